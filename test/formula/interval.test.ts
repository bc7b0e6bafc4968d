// Interval arithmetic on masks is sound: a block that is skipped has no visible pair, one that is not tested no hidden one.

import fc from "fast-check";
import { expect, test } from "vitest";
import { evaluateFormula } from "../../compiler/formula/evaluate.ts";
import type { Formula } from "../../compiler/formula/formula.ts";
import { classifyBlock, intervalProgram } from "../../compiler/formula/interval.ts";
import { maskFormula } from "../ops/attention-cases.ts";
import { anyMask, exactMask } from "./any-mask.ts";

interface Block {
  readonly q: number;
  readonly k: number;
  readonly rows: number;
  readonly lanes: number;
  readonly head: number;
}

function classes(mask: Formula, { q, k, rows, lanes, head }: Block, documents: readonly number[]) {
  const pairs = { q_low: q, q_high: q + rows - 1, k_low: k, k_high: k + lanes - 1, head_low: head, head_high: head };
  const same = new Float64Array(rows * lanes);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < lanes; j++) same[i * lanes + j] = documents[q + i] === documents[k + j] ? 1 : 0;
  const flags = { same_document_may: same.includes(1) ? 1 : 0, same_document_must: same.includes(0) ? 0 : 1 };
  const inputs = new Map([
    ["q", Float64Array.from({ length: rows }, (_, i) => q + i)],
    ["k", Float64Array.from({ length: lanes }, (_, j) => k + j)],
    ["head", Float64Array.of(head)],
    ["same_document", same],
  ]);
  const truth = [...(evaluateFormula(mask, inputs, { rows, lanes }).outputs.get("y") ?? [])];
  const exact = truth.every((v) => v !== 0) ? 2 : truth.some((v) => v !== 0) ? 1 : 0;
  return { got: classifyBlock(intervalProgram(mask), { ...pairs, ...flags }), exact };
}

const block: fc.Arbitrary<Block> = fc.record({
  q: fc.integer({ min: 0, max: 40 }),
  k: fc.integer({ min: 0, max: 40 }),
  rows: fc.integer({ min: 1, max: 6 }),
  lanes: fc.integer({ min: 1, max: 6 }),
  head: fc.integer({ min: 0, max: 3 }),
});

test("a skipped block is hidden everywhere and an untested one visible everywhere, for any mask", () => {
  const documents = Array.from({ length: 60 }, (_, i) => Math.floor(i / 7));
  let compared = 0;
  fc.assert(
    fc.property(anyMask, block, (text, at) => {
      const mask = exactMask(`(${text}) || q < -1`);
      if (mask === undefined) return;
      compared++;
      const { got, exact } = classes(mask, at, documents);
      if (got !== 1) expect(got, text).toBe(exact);
    }),
    { numRuns: 2000 },
  );
  expect(compared).toBeGreaterThan(1000);
});

test.each([
  ["k <= q", { q: 0, k: 8, rows: 4, lanes: 4, head: 0 }, 0],
  ["k <= q", { q: 8, k: 0, rows: 4, lanes: 4, head: 0 }, 2],
  ["k <= q", { q: 8, k: 8, rows: 4, lanes: 4, head: 0 }, 1],
  ["k <= q && q - k < 4", { q: 20, k: 0, rows: 4, lanes: 4, head: 0 }, 0],
  ["k <= q && same_document", { q: 7, k: 0, rows: 4, lanes: 4, head: 0 }, 0],
  ["k <= q && same_document", { q: 4, k: 0, rows: 3, lanes: 4, head: 0 }, 2],
] as const)("%s on %j is decided, not left to tests", (text, at, expected) => {
  const documents = Array.from({ length: 60 }, (_, i) => Math.floor(i / 7));
  expect(classes(maskFormula(text), at, documents).got).toBe(expected);
});
