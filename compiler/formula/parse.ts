// The parser of the expression language: one function per entry rule. A text with a fault adds its first diagnostic and
// yields nothing; no input makes a function throw, exhaust the stack or take more than milliseconds.

import type { CstNode, IRecognitionException, IToken, Lexer as LexerType } from "chevrotain";
import { DiagnosticError, type Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/expression.ts";
import type { ExpressionText } from "../source/text.ts";
import { refuseUnreadable } from "./characters.ts";
import { Lexer } from "./chevrotain.ts";
import type * as cst from "./cst.ts";
import { type EntryRule, Grammar } from "./grammar.ts";
import { distributionTree, precisionTree, rangeTree, scheduleTree, selectorTree, tileTree } from "./rule-trees.ts";
import type {
  DistributionSyntax,
  Expression,
  FormulaSyntax,
  PrecisionSyntax,
  RangeSyntax,
  ScheduleSyntax,
  SelectorSyntax,
  TileSyntax,
} from "./syntax.ts";
import { MalformedName, MalformedNumber, vocabulary } from "./tokens.ts";
import { expressionTree, formulaTree, type Reading, tokenSpan } from "./trees.ts";

/** A size such as `ceil(8 * width / 3, 64)` or `128k`. */
export function parseSize(text: ExpressionText, diagnostics: Diagnostics): Expression | undefined {
  return parse("size", text, diagnostics, (node: cst.SizeCstNode, reading) =>
    expressionTree(node.children.expression[0], reading),
  );
}

/** A formula such as `let r = rsqrt(mean(x * x) + eps); x * r * gain`. */
export function parseFormula(text: ExpressionText, diagnostics: Diagnostics): FormulaSyntax | undefined {
  return parse("formula", text, diagnostics, formulaTree);
}

/** A distribution such as `normal(0.02)`. */
export function parseDistribution(text: ExpressionText, diagnostics: Diagnostics): DistributionSyntax | undefined {
  return parse("distribution", text, diagnostics, distributionTree);
}

/** A precision signature such as `f32 * f32 -> f32 -> f32`. */
export function parsePrecision(text: ExpressionText, diagnostics: Diagnostics): PrecisionSyntax | undefined {
  return parse("precision", text, diagnostics, precisionTree);
}

/** A selector such as `layers[..1].attention.{q,k}`. */
export function parseSelector(text: ExpressionText, diagnostics: Diagnostics): SelectorSyntax | undefined {
  return parse("selector", text, diagnostics, selectorTree);
}

/** A range of indices such as `0.. by 2`. */
export function parseRange(text: ExpressionText, diagnostics: Diagnostics): RangeSyntax | undefined {
  return parse("range", text, diagnostics, rangeTree);
}

/** A tile such as `64x64x16`. */
export function parseTile(text: ExpressionText, diagnostics: Diagnostics): TileSyntax | undefined {
  return parse("tile", text, diagnostics, tileTree);
}

/** A schedule such as `warmup(20) to 1e-3 then cosine to 1e-4`. */
export function parseSchedule(text: ExpressionText, diagnostics: Diagnostics): ScheduleSyntax | undefined {
  return parse("schedule", text, diagnostics, scheduleTree);
}

const suffixRules: ReadonlySet<EntryRule> = new Set(["size", "distribution", "schedule"]);

function parse<Node extends CstNode, Tree>(
  rule: EntryRule,
  text: ExpressionText,
  diagnostics: Diagnostics,
  tree: (node: Node, reading: Reading) => Tree,
): Tree | undefined {
  try {
    refuseUnreadable(text);
    const node = concreteSyntax(rule, text) as Node;
    return tree(node, { text, allowsSuffix: suffixRules.has(rule) });
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    for (const diagnostic of error.diagnostics) diagnostics.add(diagnostic);
    return undefined;
  }
}

interface Machine {
  readonly lexer: LexerType;
  readonly grammar: Grammar;
}

let machine: Machine | undefined;

/** Built at the first parse (10 ms) and kept; the state of a parse lives in it, but no parse begins within another. */
function theMachine(): Machine {
  machine ??= {
    lexer: new Lexer(vocabulary, { positionTracking: "full", skipValidations: true }),
    grammar: new Grammar(vocabulary),
  };
  return machine;
}

function concreteSyntax(rule: EntryRule, text: ExpressionText): CstNode {
  const { lexer, grammar } = theMachine();
  const tokens = wordsOf(lexer, text);
  if (tokens.length === 0) {
    throw new DiagnosticError([say.emptyExpression(`a ${rule}`, text.place({ start: 0, end: text.text.length }))]);
  }
  grammar.input = tokens;
  const node = grammar[rule]();
  const [fault] = grammar.errors;
  if (fault === undefined) return node;
  throw new DiagnosticError([unexpected(grammar, rule, tokens, fault, text)]);
}

function wordsOf(lexer: LexerType, text: ExpressionText): IToken[] {
  const { tokens, errors } = lexer.tokenize(text.text);
  for (const { offset } of errors) {
    const place = text.place({ start: offset, end: offset + 1 });
    throw new DiagnosticError([say.foreignSign(text.text[offset], place)]);
  }
  for (const token of tokens) {
    const place = text.place(tokenSpan(token));
    if (token.tokenType === MalformedNumber) throw new DiagnosticError([say.malformedNumber(token.image, place)]);
    if (token.tokenType === MalformedName) throw new DiagnosticError([say.malformedName(token.image, place)]);
  }
  return tokens;
}

function unexpected(
  grammar: Grammar,
  rule: EntryRule,
  tokens: readonly IToken[],
  fault: IRecognitionException,
  text: ExpressionText,
) {
  // At the end of the text chevrotain reports a token of its own without an offset.
  const index = tokens.indexOf(fault.token);
  const before = index < 0 ? [...tokens] : tokens.slice(0, index);
  const assists = grammar.computeContentAssist(rule, before).filter(({ ruleStack }) => follows(ruleStack, fault));
  const expected = new Set(assists.map(({ nextTokenType }) => nextTokenType.LABEL ?? nextTokenType.name));
  if (fault.name === "NotAllInputParsedException") expected.add("the end");
  const end = text.text.trimEnd().length;
  const span = index < 0 ? { start: end, end: end + 1 } : tokenSpan(tokens[index]);
  const found = index < 0 ? undefined : tokens[index].image;
  return say.unexpected(found, [...expected], text.place(span));
}

/** Whether what could come next continues the rule that failed: `linear` was read as a word then, and not as a name. */
function follows(ruleStack: readonly string[], fault: IRecognitionException): boolean {
  return fault.context.ruleStack.every((rule, i) => ruleStack[i] === rule);
}
