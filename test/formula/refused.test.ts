// Formulas that are refused because of what they compute: numbers that f32 cannot hold, activations that nothing learns
// through, and sizes that no compiler should follow.

import { describe, expect, test } from "vitest";
import { said, smallSpec, smallSpecWith } from "../language/spec-text.ts";

const withActivation = (formula: string) => smallSpecWith(["dense,", `dense, activation: "${formula}",`]);
const withMask = (formula: string) => smallSpecWith(["heads: 4", `heads: 4, mask: "${formula}"`]);
const codes = (text: string) => said(text).map(({ severity, code }) => `${severity} ${code}`);

describe("numbers that a 32-bit float cannot hold", () => {
  test.each([
    ["x / 0", "not-finite"],
    ["1 / 0 * x", "not-finite"],
    ["log(-1) * x", "not-finite"],
    ["sqrt(-1) + x", "not-finite"],
    ["exp(1000) * x", "not-finite"],
    ["quotient(x, 0)", "not-finite"],
    ["x * 1e30 * 1e30", "not-finite"],
    ["x * 1e-400", "rounds-to-zero"],
    ["x * 1e-50 + x", "rounds-to-zero"],
  ])("the activation %s", (formula, code) => {
    expect(codes(withActivation(formula))).toEqual([`error formula/${code}`]);
  });

  test.each(["floor(k / 0) < 1", "q / 0 > 1", "log(0) < q"])("the mask %s", (formula) => {
    expect(codes(withMask(formula))).toEqual(["error formula/not-finite"]);
  });

  test("zero and the smallest f32 are held", () => {
    expect(codes(withActivation("x + 0e9 * x + 1.5e-45"))).toEqual([]);
  });
});

describe("activations that nothing learns through", () => {
  const flat = [
    "floor(x)",
    "sign(x)",
    "stop(x)",
    "x^0",
    "x - x + 1",
    "0 * x",
    "if(x > 0, 1, 0)",
    "stop(gate) * sign(up)",
  ];

  test.each(flat)("%s is an error where the spec trains", (formula) => {
    expect(codes(withActivation(formula))).toEqual(["error formula/no-gradient"]);
  });

  test.each(flat)("%s is fine where it does not", (formula) => {
    const text = withActivation(formula);
    expect(codes(text.slice(0, text.indexOf("train:")))).toEqual([]);
  });

  test.each([
    ["0 * gate + up", "`gate`"],
    ["gate * stop(up)", "`up`"],
  ])("%s is a warning that names %s", (formula, name) => {
    const [warning, ...others] = said(withActivation(formula));
    expect([warning.severity, warning.code, others]).toEqual(["warning", "formula/no-gradient", []]);
    expect(warning.claim).toContain(name);
  });
});

describe("sizes are bounded before they cost time", () => {
  const nested = (count: number, open: string, close: string) => `${open.repeat(count)}x${close.repeat(count)}`;
  const squares = (count: number, more: string) => {
    const lets = Array.from({ length: count }, (_, i) => `let a${i + 1} = a${i} * a${i}${more};`);
    return `let a0 = x; ${lets.join(" ")} a${count}`;
  };

  test.each([
    ["12 squares of squares", squares(12, ""), "exponent-too-large"],
    ["28 squares of squares", squares(28, ""), "exponent-too-large"],
    ["17 factors", Array(17).fill("x").join(" * "), "exponent-too-large"],
    ["8 nested gelu", nested(8, "gelu(", ")"), "derivative-too-large"],
    ["200 nested powers", nested(200, "x^", ""), "derivative-too-large"],
    ["400 steps", squares(400, " * sigmoid(x) + 1"), "too-many-operations"],
  ])("%s", (_, formula, code) => {
    const start = performance.now();
    expect(codes(withActivation(formula))).toEqual([`error formula/${code}`]);
    // On the slowest machine it took 0.3 s; without the bounds hours.
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test("formulas that call each other count as they are put in", () => {
    const calls = `formulas: { twice: "a * (a + 1)" }\nmodel:`;
    const text = withActivation(nested(15, "twice(", ")")).replace("model:", calls);
    expect(codes(text)).toEqual(["error formula/too-many-operations"]);
  });

  test.each([nested(5, "gelu(", ")"), squares(60, " + 1"), "x^16", nested(12, "x^", "")])(
    "%s is not too large",
    (formula) => {
      expect(codes(withActivation(formula)).filter((code) => code.startsWith("error"))).toEqual([]);
    },
  );
});

test("the small spec itself has nothing to say", () => {
  expect(codes(smallSpec)).toEqual([]);
});
