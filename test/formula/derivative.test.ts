// Derivatives of formulas: against central differences, in the shape that a careful hand would give them, and never NaN
// where the function is smooth.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differentiateFormula, namedTerm } from "../../compiler/formula/derivative.ts";
import { evaluateFormula, type Space, valueCount } from "../../compiler/formula/evaluate.ts";
import type { Formula } from "../../compiler/formula/formula.ts";
import { lowerFormula } from "../../compiler/formula/lower.ts";
import { phasesOf } from "../../compiler/formula/phases.ts";
import { printFormula } from "../../compiler/formula/print.ts";
import { findLostNumber } from "../../compiler/formula/probe.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../../compiler/formula/terms.ts";
import { formulaFrom, generator } from "../ops/case-parts.ts";
import { type FormulaCase, formulaCases } from "./formulas.ts";

const space: Space = { rows: 3, lanes: 5 };

function inputsOf(formula: Formula, seed: number): Map<string, Float64Array> {
  const random = generator(seed);
  const make = (kind: string) => (kind === "integer" ? 2 : 1.7 * random());
  return new Map(
    formula.inputs.map(({ name, extent, kind }) => [
      name,
      Float64Array.from({ length: valueCount(extent, space) }, () => make(kind)),
    ]),
  );
}

/** The largest difference between a derivative and central differences, relative to the largest derivative. */
function worstDifference({ formula, by }: FormulaCase, keep: readonly string[] = [], seed = 1): number {
  const inputs = inputsOf(formula, seed);
  for (const name of ["eps", "c"]) if (inputs.has(name)) inputs.set(name, Float64Array.of(0.3));
  const random = generator(seed + 100);
  const seeds = formula.outputs.map(
    ({ name, term }) => [`d_${name}`, Float64Array.from({ length: valueCount(term.extent, space) }, random)] as const,
  );
  const objective = (): number => {
    const { outputs } = evaluateFormula(formula, inputs, space);
    return seeds.reduce(
      (sum, [name, d]) => sum + d.reduce((s, value, i) => s + value * (outputs.get(name.slice(2))?.[i] ?? 0), 0),
      0,
    );
  };
  const derivative = differentiateFormula(formula, { by, keep });
  // Kept values as the forward pass would store them: outputs of their own.
  const outputs = keep.map((name) => {
    const term = namedTerm(formula, name);
    return { name, term, extent: term.extent };
  });
  const kept = evaluateFormula({ ...formula, outputs }, inputs, space).outputs;
  const gradients = evaluateFormula(derivative, new Map([...inputs, ...seeds, ...kept]), space).outputs;
  let worst = 0;
  for (const name of by) {
    const values = inputs.get(name) ?? new Float64Array();
    const gradient = gradients.get(`d_${name}`) ?? new Float64Array();
    values.forEach((value, i) => {
      const step = 1e-5;
      values[i] = value + step;
      const up = objective();
      values[i] = value - step;
      const down = objective();
      values[i] = value;
      const got = gradient.length === 1 ? gradient[0] : gradient[i];
      worst = Math.max(worst, Math.abs(got - (up - down) / (2 * step)) / Math.max(1, Math.abs(got)));
    });
  }
  return worst;
}

test.each(formulaCases.map((c) => [c.name, c] as const))("the derivative of %s equals central differences", (_, c) => {
  for (const seed of [1, 2, 3]) expect(worstDifference(c, [], seed)).toBeLessThan(1e-6);
});

const caseNamed = (name: string): FormulaCase => {
  const found = formulaCases.find((c) => c.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};

test.each([
  ["rms_norm", ["r"]],
  ["layer_norm", ["r", "mu"]],
  ["softmax", ["y"]],
  ["cross_entropy with z loss", ["lse"]],
] as const)("the derivative of %s from kept values equals central differences", (name, keep) => {
  expect(worstDifference(caseNamed(name), keep)).toBeLessThan(1e-6);
});

/** Loads, stores and operations per element of each pass, as the design counted them for the prototype. */
function shapeOf(formula: Formula): string[] {
  const free = new Set(["input", "constant", "index", "pick"]);
  return phasesOf(formula)
    .phases.filter((phase) => phase.loop.length > 0)
    .map(({ loop, elementStores, columnSums }) => {
      const loads = loop.filter((o) => o.op === "input").length;
      return `${loads}L${elementStores.length + columnSums.length}S${loop.filter((o) => !free.has(o.op)).length}`;
    });
}

/** What a careful hand writes: loads, values along the row, stores and operations of each pass. */
test.each([
  ["rms_norm", ["r"], ["3L1S4", "3L1S4"]],
  ["rms_norm", [], ["3L0S3", "3L2S6"]],
  ["layer_norm", ["r", "mu"], ["3L2S5", "3L1S6"]],
  ["softmax", ["y"], ["2L0S1", "2L1S2"]],
  ["cross_entropy", [], ["1L0S0", "1L0S2", "0L1S4"]],
  ["swiglu", [], ["3L2S8"]],
  ["rope", [], ["4L2S6"]],
] as const)("the derivative of %s keeping %j takes %j", (name, keep, expected) => {
  const { formula, by } = caseNamed(name);
  expect(shapeOf(differentiateFormula(formula, { by, keep }))).toEqual(expected);
});

describe("simplification is exact algebra", () => {
  const rows = { x: [ELEMENT], g: [ELEMENT], r: [ROW], u: [UNIFORM], c: [LANE] } as const;
  test.each([
    ["x * x / x", "y = x"],
    ["sqrt(x) * sqrt(x)", "y = x"],
    ["sqrt(4 * x)", "y = 2 * sqrt(x)"],
    ["x - x", "y = 0"],
    ["g * x - r * x", "y = x * (g - r)"],
    ["sum(r * x)", "y = r * sum(x)"],
    ["sum(r + 0 * x + x)", "y = sum(x + r)"],
    ["mean(x) * 2 / 2", "y = sum(x) / columns"],
    ["1 / (1 + exp(-x))", "y = sigmoid(x)"],
    ["exp(x) * (1 / (1 + exp(x)))", "y = sigmoid(x)"],
    ["log(1 + exp(x))", "y = softplus(x)"],
    ["log(sigmoid(x))", "y = -softplus(-x)"],
    ["if(x > g, r, r)", "y = r"],
    ["x^2^0.5", "y = exp(1.4142136 * log(x))"],
    ["-x^2", "y = -x^2"],
    ["(x * x)^0.5", "y = sqrt(x^2)"],
    ["x * c * u", "y = x * u * c"],
  ])("%s is %s", (text, printed) => {
    expect(printFormula(formulaFrom(text, { x: rows.x, g: rows.g, r: rows.r, u: rows.u, c: rows.c }))).toBe(printed);
  });
});

test("the maximum inside a softmax gets no gradient", () => {
  const { formula } = caseNamed("softmax");
  expect(printFormula(differentiateFormula(formula, { by: ["x"], keep: ["y"] }))).toBe(
    "d_x = y * (d_y - sum(d_y * y))",
  );
});

test("a sum that the author wrote is never split, so a large mean does not cancel", () => {
  const formula = formulaFrom("let mu = mean(x); sum(g * (x - mu))", { x: [ELEMENT], g: [ELEMENT] });
  const lanes = 64;
  const random = generator(5);
  const values = new Map([
    ["x", Float64Array.from({ length: lanes }, () => Math.fround(1e4 + random()))],
    ["g", Float64Array.from({ length: lanes }, () => Math.fround(random()))],
  ]);
  const exact = evaluateFormula(formula, values, { rows: 1, lanes }).outputs.get("y")?.[0] ?? 0;
  const rounded = evaluateFormula(formula, values, { rows: 1, lanes }, Math.fround).outputs.get("y")?.[0] ?? 0;
  // Splitting would cost 64 roundings of 1e4: about 0.04. Unsplit only the mean's rounding, 6e-4 relative to it, is left.
  expect(Math.abs(rounded - exact)).toBeLessThan(0.01);
});

describe("numbers that get lost", () => {
  test("a derivative with inf · 0 is found with the input that shows it", () => {
    const lost = findLostNumber(formulaFrom("let e = exp(x); e / (e + 2)", { x: [ELEMENT] }));
    expect(lost?.at).toMatch(/^x = (88|104)$/);
  });
  test("stable spellings lose nothing", () => {
    for (const text of [
      "x / (1 + exp(-x))",
      "silu(x)",
      "softplus(x)",
      "gelu(x)",
      "30 * tanh(x / 30)",
      "log(1 + exp(x))",
    ]) {
      expect(findLostNumber(formulaFrom(text, { x: [ELEMENT] })), text).toBeUndefined();
    }
  });
});

/** Smooth formulas over x and y, built at random. */
const smooth: fc.Arbitrary<string> = fc.letrec<{ e: string }>((tie) => ({
  e: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom("x", "y", "0.5", "2"),
    fc.tuple(tie("e"), tie("e")).map(([a, b]) => `(${a} + ${b})`),
    fc.tuple(tie("e"), tie("e")).map(([a, b]) => `(${a} * ${b})`),
    fc.tuple(tie("e"), tie("e")).map(([a, b]) => `(${a} / (2 + (${b})^2))`),
    tie("e").map((a) => `tanh(${a})`),
    tie("e").map((a) => `sigmoid(${a})`),
    tie("e").map((a) => `exp(-(${a})^2)`),
    tie("e").map((a) => `sqrt(1 + (${a})^2)`),
    tie("e").map((a) => `softplus(${a})`),
    tie("e").map((a) => `sum(tanh(${a}) * x)`),
    tie("e").map((a) => `mean((${a}) * x)`),
    tie("e").map((a) => `softmax(${a} + x)`),
    tie("e").map((a) => `erf(${a})`),
  ),
})).e;

test("derivatives of random smooth formulas equal central differences", () => {
  fc.assert(
    fc.property(smooth, fc.integer({ min: 1, max: 1000 }), (text, seed) => {
      const formula = formulaFrom(`${text} + 0.1 * x * y`, { x: [ELEMENT], y: [ELEMENT] });
      expect(worstDifference({ name: text, formula, by: ["x", "y"] }, [], seed)).toBeLessThan(1e-5);
    }),
    { numRuns: 300 },
  );
});

test("lowering computes what the normal form means", () => {
  for (const { formula, by, name } of formulaCases) {
    for (const f of [formula, differentiateFormula(formula, { by })]) {
      const lowered = lowerFormula(f);
      expect(
        lowered.outputs.map((o) => o.name),
        name,
      ).toEqual(f.outputs.map((o) => o.name));
      for (const { operation } of lowered.outputs) expect(operation.args.length, name).toBeLessThanOrEqual(3);
    }
  }
});
