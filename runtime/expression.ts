// Evaluates the manifest's expressions: launch bounds from live counts. Nothing is parsed.

import type { Expression, ExpressionOperator } from "./contract.ts";

const operators: Record<ExpressionOperator, (a: number, b: number) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  ceil_div: (a, b) => Math.ceil(a / b),
  min: Math.min,
  max: Math.max,
};

/** The counts that an expression is computed from. */
export function namesOf(expression: Expression): string[] {
  if (typeof expression === "number") return [];
  if (typeof expression === "string") return [expression];
  return [...namesOf(expression[1]), ...namesOf(expression[2])];
}

/** The value of an expression; a name that has no count is an error of the caller. */
export function evaluateExpression(expression: Expression, counts: Readonly<Record<string, number>>): number {
  if (typeof expression === "number") return expression;
  if (typeof expression === "string") {
    const value = counts[expression];
    if (value === undefined) throw new RangeError(`no count is called ${expression}`);
    return value;
  }
  const [operator, left, right] = expression;
  return operators[operator](evaluateExpression(left, counts), evaluateExpression(right, counts));
}
