// Whole numbers in masks and scores: what 32 bits hold is exact, what they do not is decided, rounded or refused, and
// never wraps.

import { describe, expect, test } from "vitest";
import { evaluateFormula, valueIndex } from "../../compiler/formula/evaluate.ts";
import { postorder } from "../../compiler/formula/terms.ts";
import { readSpecText, smallSpecWith } from "../language/spec-text.ts";
import { maskFormula } from "../ops/attention-cases.ts";

const positions = [0, 1, 2, 7, 100, 198, 199];

describe("a mask means what it says", () => {
  test.each<[string, (q: bigint, k: bigint) => boolean]>([
    ["k <= q && q - k <= 3e9", (q, k) => k <= q && q - k <= 3000000000n],
    ["k * 15000000 < 3e9", (_, k) => k * 15000000n < 3000000000n],
    ["q * 300000000 >= 0", (q) => q * 300000000n >= 0n],
    ["q - k < 1e30", () => true],
    ["q - k < 4294967300", () => true],
    ["k > -3e9", () => true],
    ["q - k == 4294967296", () => false],
    ["q - k > 4294967300", () => false],
    ["q * 8000000 - k < 2000000000", (q, k) => q * 8000000n - k < 2000000000n],
    ["q * k < 1000.5", (q, k) => q * k < 1001n],
    ["q < 0.1", (q) => q === 0n],
  ])("%s", (text, expected) => {
    const mask = maskFormula(text);
    const [{ name, term }] = mask.outputs;
    const space = { rows: positions.length, lanes: positions.length };
    const inputs = new Map<string, readonly number[]>([
      ["q", positions],
      ["k", positions],
      ["head", [0]],
      ["same_document", positions.flatMap(() => positions.map(() => 1))],
    ]);
    const visible = evaluateFormula(mask, inputs, space).outputs.get(name) ?? [];
    for (const [row, q] of positions.entries()) {
      for (const [lane, k] of positions.entries()) {
        const isVisible = visible[valueIndex(term.extent, space, row, lane)] !== 0;
        expect(isVisible, `q = ${q}, k = ${k}`).toBe(expected(BigInt(q), BigInt(k)));
      }
    }
    for (const below of postorder([term])) {
      if (below.op !== "constant" || below.kind !== "integer") continue;
      expect(Math.abs(below.value), `the integer ${below.value}`).toBeLessThan(2 ** 31);
    }
  });
});

describe("what kernels would round or wrap is refused where the answer depends on it", () => {
  const claims = (key: string, formula: string, context: string) =>
    readSpecText(
      smallSpecWith(["heads: 4", `heads: 4, ${key}: "${formula}"`], ["context: 64", `context: ${context}`]),
    ).diagnostics.map(({ code, details }) => `${code}: ${details?.[0]}`);

  test.each([
    ["mask", "q * 300000000 > 300000000", "64", "`300000000 * q` goes from 0 to 18900000000"],
    ["mask", "head * 1e9 < k", "64", "`1000000000 * head` goes from 0 to 3000000000"],
    ["mask", "q * k < 100", "8192", "`q * k` goes from 0 to 67092481"],
    ["score", "if(q * k * k < 16777217, s, 0)", "1024", "`q * k^2` goes from 0 to 1070599167"],
  ])("%s: %s, with a context of %s", (key, formula, context, range) => {
    expect(claims(key, formula, context)).toEqual([`formula/beyond-integers: ${range}`]);
  });

  test.each([
    ["mask", "q * k < 100", "4096"],
    ["mask", "q * 30000000 > 30000000", "64"],
    ["mask", "head * 1e9 < 3.5e9", "64"],
    ["score", "s + 3e9 * k", "64"],
    ["score", "s - abs(q - k) * 1e10", "64"],
  ])("%s: %s is fine with a context of %s", (key, formula, context) => {
    expect(claims(key, formula, context)).toEqual([]);
  });
});
