// How much a formula is as text and as code: shared values count as often as they are printed, powers as they multiply.

import type { Formula } from "./formula.ts";
import { operands, postorder, type Term } from "./terms.ts";

/**
 * Operations of a formula when values without a name stand wherever they are used.
 *
 * Kernels compute shared values once, but headers and notes print them each time, so this bounds both.
 */
export function countOperations({ outputs, names }: Formula): number {
  const counts = new Map<Term, number>();
  const isNamed = (term: Term): boolean => term.op !== "input" && term.op !== "constant" && names.has(term);
  let total = 0;
  for (const term of postorder(outputs.map((output) => output.term))) {
    let count = ownOperations(term);
    for (const below of operands(term)) count += isNamed(below) ? 1 : (counts.get(below) ?? 0);
    counts.set(term, count);
    if (isNamed(term)) total += count;
  }
  return outputs.reduce((sum, { term }) => sum + (isNamed(term) ? 1 : (counts.get(term) ?? 0)), total);
}

function ownOperations(term: Term): number {
  if (term.op === "sum") return term.summands.length;
  if (term.op !== "product") return 1;
  return term.factors.reduce((sum, [, exponent]) => sum + Math.ceil(Math.abs(exponent)), 0);
}
