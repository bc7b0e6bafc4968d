// Formulas that lose a number in f32, and masks that show what comes later: told once, with a witness.

import { expect, test } from "vitest";
import { buildPrograms } from "../../compiler/compile.ts";
import { findLaterKey } from "../../compiler/formula/probe.ts";
import { specOf } from "../language/spec-text.ts";
import { maskFormula } from "../ops/attention-cases.ts";
import { tinySpec } from "../runtime/tiny-model.ts";

const warnings = (override: string) => buildPrograms(specOf(tinySpec, [override])).warnings;

test.each([
  ["k <= q", undefined],
  ["k <= q && q - k < 16", undefined],
  ["k < q", undefined],
  ["k <= q && (q - k < 4 || k < 2 || head > 0)", undefined],
  ["same_document", { q: 0, k: 1, head: 0 }],
  ["q - k < 4", { q: 0, k: 1, head: 0 }],
  ["k <= q || head == 3 && k == q + 2", { q: 0, k: 2, head: 3 }],
  // Positions are tried at both ends of the context: 976 is the first of the last ones.
  ["k <= q || k > 900", { q: 0, k: 976, head: 0 }],
  ["0 < 1", { q: 0, k: 1, head: 0 }],
])("the mask `%s` shows later keys: %j", (text, expected) => {
  expect(findLaterKey(maskFormula(text), 1000, 4)).toEqual(expected);
});

test("such a mask is a warning at its place, once for all layers", () => {
  expect(warnings("model.attention.mask=same_document").map(({ code }) => code)).toEqual(["mask/sees-later-tokens"]);
  expect(warnings("model.attention.mask=k <= q && same_document")).toEqual([]);
});

test("an activation whose derivative is no number in f32 is a warning with the input", () => {
  // At x = 104, exp(x) is infinite in f32, and so is exp(2 x): their difference is no number.
  const [warning] = warnings("model.ffn.activation=exp(x) - exp(2 * x)");
  expect(warning.code).toBe("formula/not-a-number");
  expect(warning.details?.[0]).toMatch(/^at x = -?\d+, /);
  expect(warnings("model.ffn.activation=softplus(x)")).toEqual([]);
});
