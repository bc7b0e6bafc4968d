// Precedences of the expression language, and the tree of a flat row of operands and operators.

import { DiagnosticError } from "../source/diagnostic.ts";
import { chainedComparison, tooDeep } from "../source/messages/expression.ts";
import type { ExpressionText, Span } from "../source/text.ts";
import { maxDepth } from "./characters.ts";
import type { BinaryOperator, Expression } from "./syntax.ts";

const comparison = 3;

/** How tightly an operator binds; a prefix stands between `*` and `^`, which alone joins from the right. */
export const powers: ReadonlyMap<BinaryOperator, number> = new Map([
  ["||", 1],
  ["&&", 2],
  ["<", comparison],
  ["<=", comparison],
  [">", comparison],
  [">=", comparison],
  ["==", comparison],
  ["!=", comparison],
  ["+", 4],
  ["-", 4],
  ["*", 5],
  ["/", 5],
  ["^", 7],
]);

/** How tightly `-` and `!` bind. */
export const prefixPower = 6;

/** A finished tree, how high it is, and its text with the brackets around it. */
export interface Built {
  readonly expression: Expression;
  readonly height: number;
  readonly span: Span;
}

interface Prefix {
  readonly operator: "-" | "!";
  readonly span: Span;
}

export interface Operand {
  readonly prefixes: readonly Prefix[];
  readonly primary: Built;
}

export interface Operator {
  readonly operator: BinaryOperator;
  readonly span: Span;
}

/** Joins `operands` by the `operators` between them; throws a DiagnosticError. */
export function join(text: ExpressionText, operands: readonly Operand[], operators: readonly Operator[]): Built {
  return new Joiner(text, operands, operators).from(0, 0);
}

class Joiner {
  readonly #text: ExpressionText;
  readonly #operands: readonly Operand[];
  readonly #operators: readonly Operator[];
  /** The index of the next operand; the operator before it has one less. */
  #next = 0;

  constructor(text: ExpressionText, operands: readonly Operand[], operators: readonly Operator[]) {
    this.#text = text;
    this.#operands = operands;
    this.#operators = operators;
  }

  /** Reads on while operators bind at least as tightly as `least`; `level` counts the calls on the stack. */
  from(least: number, level: number): Built {
    let left = this.#unary(level);
    let previous: number | undefined;
    for (;;) {
      const operator = this.#operators[this.#next - 1] as Operator | undefined;
      if (operator === undefined) return left;
      const power = powers.get(operator.operator) ?? 0;
      if (power < least) return left;
      if (power === comparison && previous === comparison) {
        throw new DiagnosticError([chainedComparison(this.#text.place(operator.span))]);
      }
      left = this.#binary(left, operator, this.from(power + 1, level + 1));
      previous = power;
    }
  }

  #unary(level: number): Built {
    const { prefixes, primary } = this.#operands[this.#next++];
    const operator = this.#operators[this.#next - 1] as Operator | undefined;
    let built = primary;
    if (operator?.operator === "^") {
      // Refused on the way down as well: a chain of powers would exhaust the stack before its height is known.
      this.#refuseHeight(level + 2, operator.span);
      built = this.#binary(primary, operator, this.#unary(level + 1));
    }
    for (const prefix of prefixes.toReversed()) built = this.#prefixed(prefix, built);
    return built;
  }

  #prefixed(prefix: Prefix, operand: Built): Built {
    const span = { start: prefix.span.start, end: operand.span.end };
    const height = operand.height + 1;
    this.#refuseHeight(height, prefix.span);
    return {
      expression: { kind: "unary", operator: prefix.operator, operand: operand.expression, span },
      height,
      span,
    };
  }

  #binary(left: Built, operator: Operator, right: Built): Built {
    const span = { start: left.span.start, end: right.span.end };
    const height = Math.max(left.height, right.height) + 1;
    this.#refuseHeight(height, operator.span);
    return {
      expression: {
        kind: "binary",
        operator: operator.operator,
        left: left.expression,
        right: right.expression,
        span,
        operatorSpan: operator.span,
      },
      height,
      span,
    };
  }

  #refuseHeight(height: number, span: Span): void {
    if (height > maxDepth) throw new DiagnosticError([tooDeep(maxDepth, this.#text.place(span))]);
  }
}
