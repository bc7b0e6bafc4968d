// Spells an interval program in WAT: one local per statement, f64 for numbers and i32 for flags.

import type { IntervalProgram, ScalarOperation } from "../../formula/interval.ts";

export interface SpelledInterval {
  readonly locals: readonly { readonly name: string; readonly type: "f64" | "i32" }[];
  readonly statements: readonly string[];
  readonly may: string;
  readonly must: string;
}

const flagOperations: ReadonlySet<ScalarOperation["op"]> = new Set([
  "flag",
  "flag_argument",
  "less",
  "less_or_equal",
  "and",
  "or",
  "not",
]);

const names: Partial<Record<ScalarOperation["op"], string>> = {
  add: "f64.add",
  multiply: "f64.mul",
  min: "f64.min",
  max: "f64.max",
  less: "f64.lt",
  less_or_equal: "f64.le",
  and: "i32.and",
  or: "i32.or",
  floor: "f64.floor",
  sqrt: "f64.sqrt",
  not: "i32.eqz",
};

/** `argument` gives the expression of an argument: f64 for numbers, i32 for flags. */
export function spellInterval(program: IntervalProgram, argument: (name: string) => string): SpelledInterval {
  const local = (index: number) => `mask.${index}`;
  const value = (s: ScalarOperation): string => {
    if (s.op === "constant") return `(f64.const ${s.value})`;
    if (s.op === "flag") return `(i32.const ${s.value})`;
    if ("name" in s) return argument(s.name);
    return `(${names[s.op]} ${s.args.map((at) => `(local.get $${local(at)})`).join(" ")})`;
  };
  return {
    locals: program.statements.map((s, i) => ({ name: local(i), type: flagOperations.has(s.op) ? "i32" : "f64" })),
    statements: program.statements.map((s, i) => `(local.set $${local(i)} ${value(s)})`),
    may: local(program.may),
    must: local(program.must),
  };
}
