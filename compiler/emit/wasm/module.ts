// What every WAT kernel's view has: constants, locals, operands, and whether it uses the thread's scratch memory.

import type { KernelFacts } from "../../kernels/plan.ts";
import type { WatCode } from "../../targets/wasm/code.ts";
import { ident } from "../comment.ts";

export interface ModuleView {
  readonly constants: readonly { readonly name: string; readonly value: string }[];
  readonly locals: readonly { readonly name: string; readonly type: string }[];
  readonly usesScratch: boolean;
}

export interface OperandView {
  /** Holds the operand's address. */
  readonly local: string;
  /** Bytes into the table. */
  readonly offset: number;
}

/** Constants are in locals, too: `(local.get $k1)` reads what was loaded before the first loop. */
export function moduleView(code: WatCode, usesScratch: boolean): ModuleView {
  return { constants: code.constants, locals: code.locals, usesScratch };
}

export function operandViews(facts: KernelFacts): OperandView[] {
  return facts.operands.map(({ name }, i) => ({
    local: `${ident(name)}.base`,
    offset: 4 * i,
  }));
}
