// Masks of attention that nobody would write, for properties of all of them.

import fc from "fast-check";
import type { Formula } from "../../compiler/formula/formula.ts";
import { maskFormula } from "../ops/attention-cases.ts";

const number: fc.Arbitrary<string> = fc.letrec<{ n: string }>((tie) => ({
  n: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom("q", "k", "head", "1", "7", "-3", "0.5"),
    fc.tuple(tie("n"), tie("n")).map(([a, b]) => `(${a} - ${b})`),
    fc.tuple(tie("n"), tie("n")).map(([a, b]) => `(${a} * ${b})`),
    fc.tuple(tie("n"), tie("n")).map(([a, b]) => `max(${a}, ${b})`),
    tie("n").map((a) => `abs(${a})`),
    tie("n").map((a) => `floor(${a} / 4)`),
    tie("n").map((a) => `sqrt(abs(${a}))`),
    tie("n").map((a) => `exp(${a} * 0.01)`),
    tie("n").map((a) => `(1 / (1 + abs(${a})))`),
  ),
})).n;

/** Text of a mask over q, k, head and same_document. */
export const anyMask: fc.Arbitrary<string> = fc.letrec<{ c: string }>((tie) => ({
  c: fc.oneof(
    { maxDepth: 3 },
    fc.tuple(number, fc.constantFrom("<", "<=", ">", ">=", "==", "!="), number).map(([a, o, b]) => `${a} ${o} ${b}`),
    fc.constant("same_document"),
    fc.tuple(tie("c"), tie("c")).map(([a, b]) => `(${a}) && (${b})`),
    fc.tuple(tie("c"), tie("c")).map(([a, b]) => `(${a}) || (${b})`),
    tie("c").map((a) => `!(${a})`),
  ),
})).c;

/** The mask, unless it is one of the few that are refused because they multiply positions beyond exact numbers. */
export function exactMask(text: string): Formula | undefined {
  try {
    return maskFormula(text);
  } catch (error) {
    if (error instanceof Error && error.message.includes("leaves the numbers that kernels compute exactly")) return;
    throw error;
  }
}
