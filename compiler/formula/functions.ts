// The built-in functions of formulas: names and arity. What they mean is in evaluate.ts, their derivatives in
// derivative.ts, their spelling in targets/.

export interface FunctionSignature {
  readonly arity: readonly [least: number, most: number];
  /**
   * `elementwise`, or `row`: reads its first argument along the whole row (`max` with one argument does). Of a
   * spec's formulas only a router's score reads rows, all others are computed element by element; the compiler's own
   * use both.
   */
  readonly kind: "elementwise" | "row";
  /** For people, in terms of x, y and z. */
  readonly meaning: string;
}

const elementwise = (meaning: string, least = 1, most = least): FunctionSignature => {
  return { arity: [least, most], kind: "elementwise", meaning };
};
const row = (meaning: string, arity = 1): FunctionSignature => ({ arity: [arity, arity], kind: "row", meaning });

/** What a formula may call. */
export const formulaFunctions: ReadonlyMap<string, FunctionSignature> = new Map([
  ["exp", elementwise("e to the power of x")],
  ["log", elementwise("natural logarithm")],
  ["sqrt", elementwise("square root")],
  ["rsqrt", elementwise("1 / sqrt(x)")],
  ["abs", elementwise("absolute value")],
  ["sign", elementwise("-1, 0 or 1; its derivative is 0")],
  ["floor", elementwise("the next whole number below; its derivative is 0")],
  ["min", elementwise("the smaller of x and y", 2)],
  ["max", elementwise("the larger of x and y", 1, 2)],
  ["clamp", elementwise("x, but at least y and at most z", 3)],
  ["sigmoid", elementwise("1 / (1 + exp(-x)), without overflow")],
  ["silu", elementwise("x * sigmoid(x)")],
  ["gelu", elementwise("x * (1 + erf(x / sqrt(2))) / 2")],
  ["gelu_tanh", elementwise("gelu as approximated with tanh")],
  ["tanh", elementwise("hyperbolic tangent")],
  ["softplus", elementwise("log(1 + exp(x)), without overflow")],
  ["erf", elementwise("error function")],
  ["if", elementwise("y where the condition x holds, otherwise z", 3)],
  ["stop", elementwise("x, as a constant for derivatives")],
  ["quotient", elementwise("x / y, divided exactly on every target instead of multiplied by 1 / y", 2)],
  ["sum", row("sum of the row")],
  ["mean", row("mean of the row")],
  ["softmax", row("exp(x) over the row's sum of it")],
  ["log_sum_exp", row("logarithm of the row's sum of exp(x)")],
  ["pick", row("x in column y", 2)],
]);

/** What a size may call; arguments and results are exact integers or ratios of them. */
export const sizeFunctions: ReadonlyMap<string, { readonly arity: readonly [number, number] }> = new Map([
  ["ceil", { arity: [1, 2] }],
  ["floor", { arity: [1, 2] }],
  ["min", { arity: [2, 2] }],
  ["max", { arity: [2, 2] }],
  ["sqrt", { arity: [1, 1] }],
]);

/** Names with a value in every formula. */
export const formulaConstants: ReadonlyMap<string, number> = new Map([["pi", Math.PI]]);
