// From concrete syntax to the trees of syntax.ts: expressions and formulas. Throws a DiagnosticError at the first fault.

import type { CstNode, IToken } from "chevrotain";
import { DiagnosticError, invariant } from "../source/diagnostic.ts";
import * as say from "../source/messages/expression.ts";
import type { ExpressionText, Span } from "../source/text.ts";
import { maxDepth } from "./characters.ts";
import type { ExpressionCstNode, FormulaCstNode, OperandCstNode } from "./cst.ts";
import { type Built, join, type Operand } from "./precedence.ts";
import type { BinaryOperator, Expression, FormulaSyntax } from "./syntax.ts";

const maxNameLength = 63;

/** What a tree is read from. */
export interface Reading {
  readonly text: ExpressionText;
  /** Sizes and schedules may write 128k. */
  readonly allowsSuffix: boolean;
}

export function formulaTree(node: FormulaCstNode, reading: Reading): FormulaSyntax {
  const { letBinding = [], namedOutput = [], expression = [] } = node.children;
  const named = new Map<string, Span>();
  const lets = letBinding.map(({ children }) => {
    const name = newName(children.Identifier[0], named, reading);
    return {
      name,
      nameSpan: tokenSpan(children.Identifier[0]),
      value: expressionTree(children.expression[0], reading),
    };
  });
  const outputs = namedOutput.map(({ children }) => {
    const name = newName(children.Identifier[0], named, reading);
    return { name, value: expressionTree(children.expression[0], reading) };
  });
  const only = expression.map((value) => ({ name: undefined, value: expressionTree(value, reading) }));
  return { lets, outputs: [...outputs, ...only], span: nodeSpan(node) };
}

export function expressionTree(node: ExpressionCstNode, reading: Reading): Expression {
  return built(node, reading).expression;
}

function built(node: ExpressionCstNode, reading: Reading): Built {
  const operators = (node.children.BinaryOperator ?? []).map((token) => ({
    operator: token.image as BinaryOperator,
    span: tokenSpan(token),
  }));
  const operands = node.children.operand.map((operand) => operandOf(operand, reading));
  return join(reading.text, operands, operators);
}

function operandOf(node: OperandCstNode, reading: Reading): Operand {
  const prefixes = (node.children.PrefixOperator ?? []).map((token) => ({
    operator: token.image as "-" | "!",
    span: tokenSpan(token),
  }));
  return { prefixes, primary: primary(node.children, reading) };
}

function primary(children: OperandCstNode["children"], reading: Reading): Built {
  const [number] = [...(children.NumberLiteral ?? []), ...(children.SuffixedNumber ?? [])] as (IToken | undefined)[];
  if (number !== undefined) {
    const span = tokenSpan(number);
    return { expression: { kind: "number", value: numberValue(number, reading), span }, height: 1, span };
  }
  const { Identifier, OpenParenthesis, CloseParenthesis, expression = [] } = children;
  const parts = expression.map((part) => built(part, reading));
  if (Identifier !== undefined) return named(Identifier[0], CloseParenthesis?.[0], parts, reading);
  invariant(OpenParenthesis && CloseParenthesis, "an operand of the grammar has no branch");
  const span = { start: OpenParenthesis[0].startOffset, end: tokenSpan(CloseParenthesis[0]).end };
  return { ...parts[0], span };
}

/** A name, or a call if a bracket closes behind it. */
function named(token: IToken, close: IToken | undefined, parts: readonly Built[], reading: Reading): Built {
  const name = nameText(token, reading);
  const calleeSpan = tokenSpan(token);
  if (close === undefined) {
    return { expression: { kind: "name", name, span: calleeSpan }, height: 1, span: calleeSpan };
  }
  const span = { start: calleeSpan.start, end: tokenSpan(close).end };
  const height = 1 + Math.max(0, ...parts.map((part) => part.height));
  if (height > maxDepth) throw new DiagnosticError([say.tooDeep(maxDepth, reading.text.place(calleeSpan))]);
  const list = parts.map((part) => part.expression);
  return { expression: { kind: "call", callee: name, calleeSpan, arguments: list, span }, height, span };
}

/** A name that is given here and must not be given twice in one formula. */
function newName(token: IToken, given: Map<string, Span>, reading: Reading): string {
  const name = nameText(token, reading);
  const earlier = given.get(name);
  const span = tokenSpan(token);
  if (earlier !== undefined) {
    throw new DiagnosticError([say.nameTwice(name, reading.text.place(span), reading.text.place(earlier))]);
  }
  given.set(name, span);
  return name;
}

export function nameText(token: IToken, reading: Reading): string {
  if (token.image.length <= maxNameLength) return token.image;
  throw new DiagnosticError([say.nameTooLong(token.image, maxNameLength, reading.text.place(tokenSpan(token)))]);
}

const zeros: ReadonlyMap<string, number> = new Map([
  ["k", 3],
  ["M", 6],
  ["B", 9],
  ["T", 12],
]);

/** The value of a number; a whole one is exact or refused. */
export function numberValue(token: IToken, reading: Reading): number {
  const exponent = zeros.get(token.image.slice(-1));
  const decimal = exponent === undefined ? token.image : `${token.image.slice(0, -1)}e${exponent}`;
  const value = Number(decimal);
  const place = reading.text.place(tokenSpan(token));
  if (!Number.isFinite(value)) throw new DiagnosticError([say.numberTooLarge(token.image, place)]);
  if (exponent !== undefined && !reading.allowsSuffix) {
    throw new DiagnosticError([say.suffixOutsideSize(token.image, value, place)]);
  }
  if (/^\d+$/.test(token.image) && BigInt(token.image) !== BigInt(value)) {
    throw new DiagnosticError([say.numberNotExact(token.image, BigInt(value).toString(), place)]);
  }
  return value;
}

export function tokenSpan(token: IToken): Span {
  return { start: token.startOffset, end: token.startOffset + token.image.length };
}

export function nodeSpan(node: CstNode): Span {
  const { startOffset, endOffset } = node.location ?? {};
  invariant(startOffset !== undefined && endOffset !== undefined, `${node.name} of the grammar has no location`);
  return { start: startOffset, end: endOffset + 1 };
}
