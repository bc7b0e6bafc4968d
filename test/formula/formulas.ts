// The formulas that the prototype of the design showed to work, with the inputs that a derivative is wanted by.

import type { Formula } from "../../compiler/formula/formula.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../../compiler/formula/terms.ts";
import { formulaFrom } from "../ops/case-parts.ts";

export interface FormulaCase {
  readonly name: string;
  readonly formula: Formula;
  readonly by: readonly string[];
}

type Inputs = Parameters<typeof formulaFrom>[1];

const one = (name: string, text: string, inputs: Inputs, by: readonly string[]): FormulaCase => ({
  name,
  formula: formulaFrom(text, inputs),
  by,
});

const x: Inputs = { x: [ELEMENT] };
const gated: Inputs = { gate: [ELEMENT], up: [ELEMENT] };
const normed: Inputs = { x: [ELEMENT], gain: [LANE], eps: [UNIFORM] };

export const formulaCases: readonly FormulaCase[] = [
  one("rms_norm", "let r = rsqrt(mean(x * x) + eps); x * r * gain", normed, ["x", "gain"]),
  one("rms_norm as in the paper", "x * gain / sqrt(mean(x * x) + eps)", normed, ["x", "gain"]),
  one(
    "layer_norm",
    "let mu = mean(x); let xc = x - mu; let r = rsqrt(mean(xc * xc) + eps); xc * r * gain + bias",
    { ...normed, bias: [LANE] },
    ["x", "gain", "bias"],
  ),
  one("softmax", "let m = max(x); let e = exp(x - m); let s = sum(e); e / s", x, ["x"]),
  one("log_sum_exp", "log_sum_exp(x)", x, ["x"]),
  one(
    "cross_entropy",
    "let m = max(x); let e = exp(x - m); let s = sum(e); m + log(s) - pick(x, label)",
    { ...x, label: [ROW, "integer"] },
    ["x"],
  ),
  one(
    "cross_entropy with z loss",
    "let lse = log_sum_exp(x); lse - pick(x, label) + 0.1 * lse^2",
    { ...x, label: [ROW, "integer"] },
    ["x"],
  ),
  one("silu", "silu(x)", x, ["x"]),
  one("silu by its definition", "x / (1 + exp(-x))", x, ["x"]),
  one("swiglu", "silu(gate) * up", gated, ["gate", "up"]),
  one("clamped swiglu", "silu(min(gate, 1)) * max(min(up, 1), -1)", gated, ["gate", "up"]),
  one("gelu", "gelu(x)", x, ["x"]),
  one("gelu_tanh", "gelu_tanh(x)", x, ["x"]),
  one("soft cap", "c * tanh(x / c)", { ...x, c: [UNIFORM] }, ["x"]),
  one("squared relu", "max(x, 0)^2", x, ["x"]),
  one("softplus root", "sqrt(log(1 + exp(x)))", x, ["x"]),
  one("log sigmoid", "log(1 / (1 + exp(-x)))", x, ["x"]),
  one(
    "rope",
    "y0: a * cos - b * sin, y1: a * sin + b * cos",
    { a: [ELEMENT], b: [ELEMENT], cos: [ELEMENT], sin: [ELEMENT] },
    ["a", "b"],
  ),
  one("powers", "(x^2 + 1)^3 / (x^2 + 2) - rsqrt(x^2 + 0.5) * (x + 4)^-1", x, ["x"]),
  one("row mix", "let s = softmax(x); sum(s * y) * x + mean(abs(x)) * y", { ...x, y: [ELEMENT] }, ["x", "y"]),
  one("quotient", "quotient(x, mean(x * x) + 1)", x, ["x"]),
  one("conditions", "if(x > y && !(x == 3) || y <= -0.5, x * y, sign(x) * y^2)", { ...x, y: [ELEMENT] }, ["x", "y"]),
  one("erf and tanh", "erf(x) * tanh(x) + softplus(x) * exp(-x)", x, ["x"]),
];
