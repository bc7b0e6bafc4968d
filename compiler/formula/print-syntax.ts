// Syntax trees back to text with as few brackets as read back to the same tree.

import { powers, prefixPower } from "./precedence.ts";
import type {
  BinaryOperator,
  Expression,
  FormulaSyntax,
  PrecisionSyntax,
  RangeSyntax,
  SelectorStepSyntax,
  SelectorSyntax,
} from "./syntax.ts";

const primaryPower = 8;

/** An expression as text that parses to the same tree. */
export function printExpression(tree: Expression): string {
  return atLeast(0, tree);
}

/** The text of a tree where only what binds at least as tightly as `least` may stand without brackets. */
function atLeast(least: number, tree: Expression): string {
  switch (tree.kind) {
    case "number":
      return printNumber(tree.value);
    case "name":
      return tree.name;
    case "call":
      return `${tree.callee}(${tree.arguments.map(printExpression).join(", ")})`;
    case "unary":
      return bracketed(least > prefixPower, `${tree.operator}${atLeast(prefixPower, tree.operand)}`);
    case "binary":
      return bracketed(least > powerOf(tree.operator), binary(tree));
  }
}

/** Beyond 2^53 the digits of a float are not its value and would be refused as such, so it gets an exponent. */
export function printNumber(value: number): string {
  return Math.abs(value) > 2 ** 53 ? value.toExponential() : String(value);
}

function binary({ operator, left, right }: Expression & { kind: "binary" }): string {
  const power = powerOf(operator);
  if (operator === "^") return `${atLeast(primaryPower, left)}^${atLeast(prefixPower, right)}`;
  // Comparisons do not chain, so neither side may be one.
  const leftPower = power === powerOf("<") ? power + 1 : power;
  return `${atLeast(leftPower, left)} ${operator} ${atLeast(power + 1, right)}`;
}

function powerOf(operator: BinaryOperator): number {
  return powers.get(operator) ?? 0;
}

function bracketed(isNeeded: boolean, text: string): string {
  return isNeeded ? `(${text})` : text;
}

export function printFormulaSyntax({ lets, outputs }: FormulaSyntax): string {
  const bindings = lets.map(({ name, value }) => `let ${name} = ${printExpression(value)}; `);
  const values = outputs.map(({ name, value }) => `${name === undefined ? "" : `${name}: `}${printExpression(value)}`);
  return `${bindings.join("")}${values.join(", ")}`;
}

export function printPrecision({ operands, stages }: PrecisionSyntax): string {
  return [operands.map(({ name }) => name).join(" * "), ...stages.map(({ name }) => name)].join(" -> ");
}

export function printSelector({ alternatives }: SelectorSyntax): string {
  return alternatives.map(({ steps }) => steps.map(printStep).join(".")).join(", ");
}

function printStep({ names, deep, range }: SelectorStepSyntax): string {
  const subscript = range === undefined ? "" : `[${printRange(range)}]`;
  if (names === undefined) return `${deep ? "**" : "*"}${subscript}`;
  return `${names.length === 1 ? names[0] : `{${names.join(",")}}`}${subscript}`;
}

export function printRange({ parts }: RangeSyntax): string {
  return parts
    .map(({ from, to, by }) => {
      const stride = by === 1 ? "" : ` by ${by}`;
      if (from === undefined && to === undefined) return `*${stride}`;
      return `${from === to ? from : `${from ?? ""}..${to ?? ""}`}${stride}`;
    })
    .join(", ");
}
