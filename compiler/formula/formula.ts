// A formula in normal form: named inputs, named outputs, and the names the author gave on the way.

import { type Extent, type InputTerm, postorder, type Term, type Terms } from "./terms.ts";

export interface FormulaOutput {
  readonly name: string;
  readonly term: Term;
  /** What it is stored as: at least the term's own extent; a smaller term is repeated. */
  readonly extent: Extent;
}

export interface Formula {
  readonly terms: Terms;
  readonly inputs: readonly InputTerm[];
  readonly outputs: readonly FormulaOutput[];
  /** What the author, or a derivation, called a term; the first name wins. */
  readonly names: ReadonlyMap<Term, string>;
}

/** The same formula with only the inputs that it reads, in their declared order. */
export function withoutUnusedInputs(formula: Formula): Formula {
  const reached = new Set(postorder(formula.outputs.map((output) => output.term)));
  return { ...formula, inputs: formula.inputs.filter((input) => reached.has(input)) };
}
