// The grammar as text: an input and the tree it must give. Faults are in grammar-faults.test.ts.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { generateCstDts, Lexer } from "../../compiler/formula/chevrotain.ts";
import { Grammar } from "../../compiler/formula/grammar.ts";
import * as parser from "../../compiler/formula/parse.ts";
import { vocabulary } from "../../compiler/formula/tokens.ts";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { type ExpressionText, standaloneExpression } from "../../compiler/source/text.ts";
import { expressionText, formulaText, rangeText, scheduleText, selectorText } from "./tree-text.ts";

function parsed<Tree>(parse: (text: ExpressionText, diagnostics: Diagnostics) => Tree | undefined, text: string): Tree {
  const diagnostics = new Diagnostics();
  const tree = parse(standaloneExpression("test", text), diagnostics);
  expect(diagnostics.all).toEqual([]);
  if (tree === undefined) throw new Error(`no tree for ${text}`);
  return tree;
}

const deepest = `${"(".repeat(256)}x${")".repeat(256)}`;

test.each([
  ["x", "x"],
  ["a + b * c", "(+ a (* b c))"],
  ["(a + b) * c", "(* (+ a b) c)"],
  ["a - b - c", "(- (- a b) c)"],
  ["a / b / c", "(/ (/ a b) c)"],
  ["a ^ b ^ c", "(^ a (^ b c))"],
  ["-x^2", "(- (^ x 2))"],
  ["-x * y", "(* (- x) y)"],
  ["2 ^ -x ^ 2", "(^ 2 (- (^ x 2)))"],
  ["a * b ^ c * d", "(* (* a (^ b c)) d)"],
  ["x - -y", "(- x (- y))"],
  ["- - x", "(- (- x))"],
  ["k <= q && q - k < 4096", "(&& (<= k q) (< (- q k) 4096))"],
  ["a || b && c || d", "(|| (|| a (&& b c)) d)"],
  ["!a && b", "(&& (! a) b)"],
  ["!(k > q)", "(! (> k q))"],
  ["(a < b) == (c < d)", "(== (< a b) (< c d))"],
  ["if(x >= 0, x, -x)", "(call if (>= x 0) x (- x))"],
  ["f()", "(call f)"],
  ["1e-5 + 2.5E+3 + 0.25", "(+ (+ 0.00001 2500) 0.25)"],
  ["then(for, until) + kernel", "(+ (call then for until) kernel)"],
  ["constructor + __proto".slice(0, 11), "constructor"],
  ["a\n\t+ b\r\n", "(+ a b)"],
  ["let r = 1 / s; r * x", "let r = (/ 1 s); (* r x)"],
  ["let a = x; let b = a * a; y0: a, y1: b + 1", "let a = x; let b = (* a a); y0: a, y1: (+ b 1)"],
  ["y: x", "y: x"],
  [deepest, "x"],
])("formula %s", (text, tree) => {
  expect(formulaText(parsed(parser.parseFormula, text))).toBe(tree);
});

test("a sum of 256 levels parses, and its tree leans to the left", () => {
  const tree = parsed(parser.parseFormula, Array(256).fill("x").join(" + ")).outputs[0].value;
  let height = 1;
  for (let node = tree; node.kind === "binary"; node = node.left) height++;
  expect(height).toBe(256);
});

test.each([
  ["4 * width", "(* 4 width)"],
  ["ceil(8 * width / 3, 64)", "(call ceil (/ (* 8 width) 3) 64)"],
  ["2^20", "(^ 2 20)"],
  ["128k", "128000"],
  ["1.5M + 469B", "(+ 1500000 469000000000)"],
  ["14.3T", "14300000000000"],
])("size %s", (text, tree) => {
  expect(expressionText(parsed(parser.parseSize, text))).toBe(tree);
});

test.each([
  ["normal(0.02 / sqrt(2 * layers))", "normal (/ 0.02 (call sqrt (* 2 layers)))"],
  ["uniform(-0.1, 0.1)", "uniform (- 0.1) 0.1"],
  ["zeros", "zeros"],
  ["ones()", "ones"],
])("distribution %s", (text, tree) => {
  const distribution = parsed(parser.parseDistribution, text);
  expect([distribution.kind, ...distribution.arguments.map(expressionText)].join(" ")).toBe(tree);
});

test.each([
  ["f32", ["f32"], []],
  ["bf16 -> f32 -> bf16", ["bf16"], ["f32", "bf16"]],
  ["_ * e4m3 -> f32 -> _", ["_", "e4m3"], ["f32", "_"]],
])("precision %s", (text, operands, stages) => {
  const precision = parsed(parser.parsePrecision, text);
  expect(precision.operands.map(({ name }) => name)).toEqual(operands);
  expect(precision.stages.map(({ name }) => name)).toEqual(stages);
});

test.each([
  ["router", "router"],
  ["layers[..0], layers[-1..]", "layers[open..0/1] or layers[-1..open/1]"],
  ["attention.out.{fprop,dgrad}", "attention / out / fprop|dgrad"],
  ["**.norm", "deep / norm"],
  ["layers[*].*.norm", "layers[open..open/1] / any / norm"],
  ["layers[0,3..7 by 2].ffn", "layers[0..0/1 3..7/2] / ffn"],
  ["linear", "linear"],
])("selector %s", (text, tree) => {
  expect(selectorText(parsed(parser.parseSelector, text))).toBe(tree);
});

test.each([
  ["0..2", "0..2/1"],
  ["3..", "3..open/1"],
  ["..1", "open..1/1"],
  ["-1..", "-1..open/1"],
  ["5", "5..5/1"],
  ["0.. by 2", "0..open/2"],
  ["*", "open..open/1"],
  ["..-2, 7", "open..-2/1 7..7/1"],
])("range %s", (text, tree) => {
  expect(rangeText(parsed(parser.parseRange, text))).toBe(tree);
});

test("a tile has extents and named options", () => {
  const tile = parsed(parser.parseTile, "128x64x16 stages 5 warps 12");
  expect(tile.extents).toEqual([128, 64, 16]);
  expect(tile.options.map(({ name, value }) => [name, value])).toEqual([
    ["stages", 5],
    ["warps", 12],
  ]);
});

test.each([
  ["1.0", "1"],
  ["warmup(20) to 1e-3 then cosine to 1e-4", "warmup for 20 steps to 0.001; cosine to 0.0001"],
  [
    "warmup(2k) to 2.2e-4 then hold(until 10T tokens) then cosine(4.3T tokens) to 2.2e-5 then hold(333B tokens) then 7.3e-6",
    "warmup for 2000 steps to 0.00022; hold until 10000000000000 tokens; cosine for 4300000000000 tokens to 0.000022; " +
      "hold for 333000000000 tokens; 0.0000073",
  ],
  ["linear(469B tokens) from 3072 to 15360 then 15360", "linear for 469000000000 tokens from 3072 to 15360; 15360"],
  ["1e-3 until 14.3T tokens then 0", "0.001 until 14300000000000 tokens; 0"],
  ["1 / 8 for 2 * layers steps then hold", "(/ 1 8) for (* 2 layers) steps; hold"],
])("schedule %s", (text, tree) => {
  expect(scheduleText(parsed(parser.parseSchedule, text))).toBe(tree);
});

describe("the grammar itself", () => {
  test("it has no ambiguity, no left recursion and no unreachable word", () => {
    expect(() => new Grammar(vocabulary, { skipValidations: false })).not.toThrow();
    expect(() => new Lexer(vocabulary, { positionTracking: "full", ensureOptimizations: true })).not.toThrow();
  });

  test("cst.ts is what chevrotain derives from the grammar", () => {
    const generated = generateCstDts(new Grammar(vocabulary).getGAstProductions(), { includeVisitorInterface: false });
    const committed = readFileSync(new URL("../../compiler/formula/cst.ts", import.meta.url), "utf8");
    const declarations = (text: string) => text.slice(text.indexOf("export ")).replace(/[\s()]/g, "");
    expect(declarations(committed)).toBe(declarations(generated));
  });
});

test("spans are offsets of the text, operators and brackets included", () => {
  const tree = parsed(parser.parseFormula, " (a + b) * f(c)").outputs[0].value;
  expect(tree.span).toEqual({ start: 1, end: 15 });
  if (tree.kind !== "binary") throw new Error("a product is binary");
  expect(tree.operatorSpan).toEqual({ start: 9, end: 10 });
  expect(tree.left.span).toEqual({ start: 2, end: 7 });
  expect(tree.right.span).toEqual({ start: 11, end: 15 });
});
