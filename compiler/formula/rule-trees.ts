// From concrete syntax to the trees of syntax.ts: what stands in rules and schedules. Throws a DiagnosticError at the
// first fault.

import type { IToken } from "chevrotain";
import { DiagnosticError } from "../source/diagnostic.ts";
import * as say from "../source/messages/expression.ts";
import type * as cst from "./cst.ts";
import type * as syntax from "./syntax.ts";
import { expressionTree, nameText, nodeSpan, numberValue, type Reading, tokenSpan } from "./trees.ts";

const distributionArity: ReadonlyMap<string, number> = new Map([
  ["normal", 1],
  ["uniform", 2],
  ["zeros", 0],
  ["ones", 0],
]);

export function distributionTree(node: cst.DistributionCstNode, reading: Reading): syntax.DistributionSyntax {
  const token = node.children.Identifier[0];
  const place = reading.text.place(tokenSpan(token));
  const arity = distributionArity.get(token.image);
  if (arity === undefined) {
    throw new DiagnosticError([say.unknownDistribution(token.image, [...distributionArity.keys()], place)]);
  }
  const args = (node.children.expression ?? []).map((part) => expressionTree(part, reading));
  if (args.length !== arity) {
    throw new DiagnosticError([say.argumentCount(token.image, [arity, arity], args.length, place)]);
  }
  return { kind: token.image as syntax.DistributionSyntax["kind"], arguments: args, span: nodeSpan(node) };
}

export function precisionTree(node: cst.PrecisionCstNode, reading: Reading): syntax.PrecisionSyntax {
  const formats = node.children.format.map(({ children }) => {
    const [token] = [...(children.Identifier ?? []), ...(children.Underscore ?? [])];
    return { name: nameText(token, reading), span: tokenSpan(token) };
  });
  const numOperands = node.children.Star === undefined ? 1 : 2;
  return { operands: formats.slice(0, numOperands), stages: formats.slice(numOperands), span: nodeSpan(node) };
}

export function selectorTree(node: cst.SelectorCstNode, reading: Reading): syntax.SelectorSyntax {
  const alternatives = node.children.path.map((path) => ({
    steps: path.children.step.map((step) => stepTree(step, reading)),
    span: nodeSpan(path),
  }));
  return { alternatives, span: nodeSpan(node) };
}

function stepTree(node: cst.StepCstNode, reading: Reading): syntax.SelectorStepSyntax {
  const { children } = node;
  const words = children.choice?.[0].children.Identifier ?? children.Identifier;
  const subscript = children.subscript?.[0];
  return {
    names: words?.map((word) => nameText(word, reading)),
    deep: children.DoubleStar !== undefined,
    range: subscript === undefined ? undefined : rangeTree(subscript.children.range[0], reading),
    span: nodeSpan(node),
  };
}

export function rangeTree(node: cst.RangeCstNode, reading: Reading): syntax.RangeSyntax {
  const parts = node.children.rangePart.map((part) => {
    const [stride] = part.children.NumberLiteral ?? [];
    const by = stride === undefined ? 1 : wholeNumber(stride, reading);
    if (by < 1) throw new DiagnosticError([say.strideNotPositive(reading.text.place(tokenSpan(stride)))]);
    return { ...rangeEnds(part.children, reading), by, span: nodeSpan(part) };
  });
  return { parts, span: nodeSpan(node) };
}

function rangeEnds(
  children: cst.RangePartCstChildren,
  reading: Reading,
): { from: number | undefined; to: number | undefined } {
  const onward = children.rangeFrom?.[0].children;
  if (onward !== undefined) {
    const [first, last] = onward.index.map((index) => indexValue(index, reading));
    return { from: first, to: onward.DotDot === undefined ? first : last };
  }
  const upTo = children.rangeTo?.[0].children;
  return { from: undefined, to: upTo === undefined ? undefined : indexValue(upTo.index[0], reading) };
}

function indexValue({ children }: cst.IndexCstNode, reading: Reading): number {
  const value = wholeNumber(children.NumberLiteral[0], reading);
  return children.Minus === undefined ? value : -value;
}

function wholeNumber(token: IToken, reading: Reading): number {
  const value = numberValue(token, reading);
  if (Number.isSafeInteger(value)) return value;
  throw new DiagnosticError([say.indexNotWhole(token.image, reading.text.place(tokenSpan(token)))]);
}

export function tileTree(node: cst.TileCstNode, reading: Reading): syntax.TileSyntax {
  const extents = node.children.TileExtents[0].image.split("x").map(Number);
  const options = (node.children.tileOption ?? []).map((option) => ({
    name: nameText(option.children.Identifier[0], reading),
    value: wholeNumber(option.children.NumberLiteral[0], reading),
    span: nodeSpan(option),
  }));
  return { extents, options, span: nodeSpan(node) };
}

export function scheduleTree(node: cst.ScheduleCstNode, reading: Reading): syntax.ScheduleSyntax {
  return { pieces: node.children.piece.map((piece) => pieceTree(piece, reading)), span: nodeSpan(node) };
}

function pieceTree(node: cst.PieceCstNode, reading: Reading): syntax.SchedulePieceSyntax {
  const { warmup = [], ramp = [], hold = [], value = [] } = node.children;
  const span = nodeSpan(node);
  for (const { children } of warmup) {
    const to = expressionTree(children.expression[0], reading);
    return { kind: "warmup", extent: groupTree(children.extentGroup, reading), from: undefined, to, span };
  }
  for (const { children } of ramp) {
    const values = children.expression.map((expression) => expressionTree(expression, reading));
    const from = children.From === undefined ? undefined : values[0];
    const kind = children.Linear === undefined ? "cosine" : "linear";
    return { kind, extent: groupTree(children.extentGroup, reading), from, to: values[values.length - 1], span };
  }
  for (const { children } of hold) return { kind: "hold", extent: groupTree(children.extentGroup, reading), span };
  const { expression, extent = [], Until } = value[0].children;
  const [only] = extent.map((node) => extentTree(node, Until !== undefined, reading));
  return { kind: "value", value: expressionTree(expression[0], reading), extent: only, span };
}

function groupTree(
  group: readonly cst.ExtentGroupCstNode[] | undefined,
  reading: Reading,
): syntax.ExtentSyntax | undefined {
  const children = group?.[0].children;
  return children && extentTree(children.extent[0], children.Until !== undefined, reading);
}

function extentTree(node: cst.ExtentCstNode, absolute: boolean, reading: Reading): syntax.ExtentSyntax {
  const { expression, Tokens } = node.children;
  const unit = Tokens === undefined ? "steps" : "tokens";
  return { amount: expressionTree(expression[0], reading), unit, absolute, span: nodeSpan(node) };
}
