// Which names and functions a formula uses.

import { formulaConstants } from "../formula/functions.ts";
import type { Expression, FormulaSyntax } from "../formula/syntax.ts";
import type { Span } from "../source/text.ts";

/** A name or a call where it stands first. */
interface Use {
  readonly name: string;
  readonly span: Span;
}

export interface Uses {
  /** Names that no `let` of the formula defines, in order of first use. */
  readonly names: readonly Use[];
  readonly calls: readonly Use[];
}

export function usesOf(syntax: FormulaSyntax): Uses {
  const names = new Map<string, Use>();
  const calls = new Map<string, Use>();
  const defined = new Set(formulaConstants.keys());
  const visit = (tree: Expression): void => {
    if (tree.kind === "name") {
      if (!defined.has(tree.name) && !names.has(tree.name)) names.set(tree.name, { name: tree.name, span: tree.span });
    } else if (tree.kind === "call" && !calls.has(tree.callee)) {
      calls.set(tree.callee, { name: tree.callee, span: tree.calleeSpan });
    }
    for (const part of partsOf(tree)) visit(part);
  };
  for (const { name, value } of syntax.lets) {
    visit(value);
    defined.add(name);
  }
  for (const { value } of syntax.outputs) visit(value);
  return { names: [...names.values()], calls: [...calls.values()] };
}

/** The expressions directly below one. */
export function partsOf(tree: Expression): readonly Expression[] {
  if (tree.kind === "unary") return [tree.operand];
  if (tree.kind === "binary") return [tree.left, tree.right];
  return tree.kind === "call" ? tree.arguments : [];
}
