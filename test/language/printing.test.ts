// What is printed reads back to the same tree.

import fc from "fast-check";
import { expect, test } from "vitest";
import { parseFormula, parsePrecision, parseRange, parseSelector } from "../../compiler/formula/parse.ts";
import {
  printExpression,
  printFormulaSyntax,
  printPrecision,
  printRange,
  printSelector,
} from "../../compiler/formula/print-syntax.ts";
import type { BinaryOperator, Expression } from "../../compiler/formula/syntax.ts";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { type ExpressionText, standaloneExpression } from "../../compiler/source/text.ts";
import { expressionText } from "./tree-text.ts";

function parsed<Tree>(parse: (text: ExpressionText, diagnostics: Diagnostics) => Tree | undefined, text: string): Tree {
  const tree = parse(standaloneExpression("test", text), new Diagnostics());
  if (tree === undefined) throw new Error(`${text} does not parse`);
  return tree;
}

const span = { start: 0, end: 0 };
const operators: BinaryOperator[] = ["+", "-", "*", "/", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "||"];
const name = fc.constantFrom("x", "gate", "then", "to", "constructor", "k");

/** Any tree that the grammar can give; brackets are where printing decides. */
const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: "large" },
    name.map((value): Expression => ({ kind: "name", name: value, span })),
    fc
      .double({ min: 0, noNaN: true, noDefaultInfinity: true })
      .map((value): Expression => ({ kind: "number", value, span })),
    fc.tuple(fc.constantFrom("-", "!"), tie("tree")).map(([operator, operand]): Expression => {
      return { kind: "unary", operator, operand, span };
    }),
    fc.tuple(fc.constantFrom(...operators), tie("tree"), tie("tree")).map(([operator, left, right]): Expression => {
      return { kind: "binary", operator, left, right, span, operatorSpan: span };
    }),
    fc.tuple(name, fc.array(tie("tree"), { maxLength: 3 })).map(([callee, list]): Expression => {
      return { kind: "call", callee, calleeSpan: span, arguments: list, span };
    }),
  ),
}));

test("a printed expression parses to the tree it was printed from", () => {
  fc.assert(
    fc.property(tree, (expression) => {
      const text = printExpression(expression);
      expect(expressionText(parsed(parseFormula, text).outputs[0].value)).toBe(expressionText(expression));
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["(a + b) * c", "(a + b) * c"],
  ["((a * b)) + c", "a * b + c"],
  ["a - (b - c)", "a - (b - c)"],
  ["(a - b) - c", "a - b - c"],
  ["(a ^ b) ^ c", "(a^b)^c"],
  ["a ^ (b ^ c)", "a^b^c"],
  ["(-a) ^ 2", "(-a)^2"],
  ["-(a ^ 2)", "-a^2"],
  ["2 ^ (-x)", "2^-x"],
  ["-(a * b)", "-(a * b)"],
  ["(a < b) == (c < d)", "(a < b) == (c < d)"],
  ["!(k > q) && (a || b)", "!(k > q) && (a || b)"],
  ["let a = (x) ; y0: (a), y1: a+1", "let a = x; y0: a, y1: a + 1"],
])("%s prints as %s", (text, printed) => {
  expect(printFormulaSyntax(parsed(parseFormula, text))).toBe(printed);
});

test.each(["all", "**.norm", "layers[..0], layers[-1..]", "attention.{q,k}", "layers[0, 3..7 by 2].*", "*[*]"])(
  "selector %s prints as itself",
  (text) => {
    expect(printSelector(parsed(parseSelector, text))).toBe(text);
  },
);

test.each(["0..2", "-1..", "..3 by 2", "5", "*", "0, 2, 4.."])("range %s prints as itself", (text) => {
  expect(printRange(parsed(parseRange, text))).toBe(text);
});

test.each(["f32", "_ * e4m3 -> f32 -> _", "bf16 -> f32 -> bf16"])("signature %s prints as itself", (text) => {
  expect(printPrecision(parsed(parsePrecision, text))).toBe(text);
});
