// The words of the expression language. Keywords are names as well (their category), so that a formula may be called
// `then`; only `let` is reserved.

import type { TokenType } from "chevrotain";
import { createToken, Lexer } from "./chevrotain.ts";

/** What joins two operands; precedences are in precedence.ts. */
export const BinaryOperator = createToken({ name: "BinaryOperator", pattern: Lexer.NA, label: "an operator" });
export const PrefixOperator = createToken({ name: "PrefixOperator", pattern: Lexer.NA, label: "`-`, `!`" });

export const Identifier = createToken({ name: "Identifier", pattern: /[A-Za-z][A-Za-z0-9_]*/, label: "a name" });

const whiteSpace = createToken({
  name: "WhiteSpace",
  pattern: /[ \t\r\n]+/,
  group: Lexer.SKIPPED,
  line_breaks: true,
});

const keyword = (name: string, word = name.toLowerCase(), categories = [Identifier]) =>
  createToken({ name, pattern: word, longer_alt: Identifier, categories, label: `\`${word}\`` });

export const Let = keyword("Let", "let", []);
export const Then = keyword("Then");
export const Warmup = keyword("Warmup");
export const Linear = keyword("Linear");
export const Cosine = keyword("Cosine");
export const Hold = keyword("Hold");
export const For = keyword("For");
export const Until = keyword("Until");
export const From = keyword("From");
export const To = keyword("To");
export const Tokens = keyword("Tokens");
export const Steps = keyword("Steps");
export const By = keyword("By");

// A number ends where no letter, digit or further fraction follows; what does not end so is malformed as a whole.
export const SuffixedNumber = createToken({
  name: "SuffixedNumber",
  pattern: /(?:0|[1-9]\d*)(?:\.\d+)?[kMBT](?![A-Za-z0-9_])/,
  label: "a number",
});
export const NumberLiteral = createToken({
  name: "NumberLiteral",
  pattern: /(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![A-Za-z0-9_]|\.\d)/,
  label: "a number",
});
export const TileExtents = createToken({
  name: "TileExtents",
  pattern: /[1-9]\d*(?:x[1-9]\d*)+(?![A-Za-z0-9_])/,
  label: "a tile such as `64x64x16`",
});
/** Lexed so that the message can name the whole word; no rule accepts it. */
export const MalformedNumber = createToken({
  name: "MalformedNumber",
  pattern: /\d(?:[A-Za-z0-9_]|\.\d)*/,
  label: "a number",
});

export const Underscore = createToken({ name: "Underscore", pattern: /_(?![A-Za-z0-9_])/, label: "`_`" });
/** Lexed so that the message can say how names begin; no rule accepts it. */
export const MalformedName = createToken({ name: "MalformedName", pattern: /_[A-Za-z0-9_]+/, label: "a name" });

const sign = (name: string, text: string, categories: TokenType[] = []) =>
  createToken({ name, pattern: text, categories, label: `\`${text}\`` });

export const Arrow = sign("Arrow", "->");
export const DoubleStar = sign("DoubleStar", "**");
export const Star = sign("Star", "*", [BinaryOperator]);
export const Minus = sign("Minus", "-", [BinaryOperator, PrefixOperator]);
export const DotDot = sign("DotDot", "..");
export const Dot = sign("Dot", ".");
export const Comma = sign("Comma", ",");
export const Semicolon = sign("Semicolon", ";");
export const Colon = sign("Colon", ":");
export const Equals = sign("Equals", "=");
export const OpenParenthesis = sign("OpenParenthesis", "(");
export const CloseParenthesis = sign("CloseParenthesis", ")");
export const OpenBrace = sign("OpenBrace", "{");
export const CloseBrace = sign("CloseBrace", "}");
export const OpenBracket = sign("OpenBracket", "[");
export const CloseBracket = sign("CloseBracket", "]");

// Where one text begins another (`to`, `tokens`) the longer stands first, because the lexer takes the first that matches.
const keywords = [Let, Then, Warmup, Linear, Cosine, Hold, For, Until, From, Tokens, To, Steps, By];

const signs = [
  Arrow,
  DoubleStar,
  Star,
  sign("LessOrEqual", "<=", [BinaryOperator]),
  sign("GreaterOrEqual", ">=", [BinaryOperator]),
  sign("Equal", "==", [BinaryOperator]),
  sign("NotEqual", "!=", [BinaryOperator]),
  sign("And", "&&", [BinaryOperator]),
  sign("Or", "||", [BinaryOperator]),
  sign("Less", "<", [BinaryOperator]),
  sign("Greater", ">", [BinaryOperator]),
  sign("Not", "!", [PrefixOperator]),
  sign("Slash", "/", [BinaryOperator]),
  sign("Caret", "^", [BinaryOperator]),
  sign("Plus", "+", [BinaryOperator]),
  Minus,
  DotDot,
  Dot,
  Comma,
  Semicolon,
  Colon,
  Equals,
  OpenParenthesis,
  CloseParenthesis,
  OpenBrace,
  CloseBrace,
  OpenBracket,
  CloseBracket,
];

/** Every token type, in the order in which the lexer tries them. */
export const vocabulary: TokenType[] = [
  whiteSpace,
  ...keywords,
  Identifier,
  SuffixedNumber,
  NumberLiteral,
  TileExtents,
  MalformedNumber,
  Underscore,
  MalformedName,
  BinaryOperator,
  PrefixOperator,
  ...signs,
];
