// The built-in functions of formulas: names and arity. What they mean is in evaluate.ts, their derivatives in
// derivative.ts, their spelling in targets/.

export interface FunctionSignature {
  readonly arity: readonly [least: number, most: number];
  /** `elementwise`, or `row`: reduces its one argument along the row (`max` with one argument is such a reduction). */
  readonly kind: "elementwise" | "row";
}

const elementwise = (least: number, most = least): FunctionSignature => ({ arity: [least, most], kind: "elementwise" });
const row = (arity = 1): FunctionSignature => ({ arity: [arity, arity], kind: "row" });

/**
 * What a formula may call. `max` and `min` of two arguments are elementwise; `max` of one is along the row.
 * `softmax(x)` is along the row and keeps its extent; `pick(x, i)` is x at column i; `stop(x)` has no derivative.
 */
export const formulaFunctions: ReadonlyMap<string, FunctionSignature> = new Map([
  ["exp", elementwise(1)],
  ["log", elementwise(1)],
  ["sqrt", elementwise(1)],
  ["rsqrt", elementwise(1)],
  ["abs", elementwise(1)],
  ["sign", elementwise(1)],
  ["floor", elementwise(1)],
  ["min", elementwise(2)],
  ["max", elementwise(1, 2)],
  ["clamp", elementwise(3)],
  ["sigmoid", elementwise(1)],
  ["silu", elementwise(1)],
  ["gelu", elementwise(1)],
  ["gelu_tanh", elementwise(1)],
  ["tanh", elementwise(1)],
  ["softplus", elementwise(1)],
  ["erf", elementwise(1)],
  ["if", elementwise(3)],
  ["stop", elementwise(1)],
  ["quotient", elementwise(2)],
  ["pick", elementwise(2)],
  ["sum", row()],
  ["mean", row()],
  ["softmax", row()],
  ["log_sum_exp", row()],
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
