// The syntax trees of the expression language, one type per entry rule of the grammar. Spans are offsets into the
// expression's own text; compiler/source maps them to the file.

import type { Span } from "../source/text.ts";

export type BinaryOperator = "+" | "-" | "*" | "/" | "^" | "<" | "<=" | ">" | ">=" | "==" | "!=" | "&&" | "||";

/** Sizes and formulas share this tree; which names and calls are legal is decided by whoever reads it. */
export type Expression =
  | { readonly kind: "number"; readonly value: number; readonly span: Span }
  | { readonly kind: "name"; readonly name: string; readonly span: Span }
  | { readonly kind: "unary"; readonly operator: "-" | "!"; readonly operand: Expression; readonly span: Span }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
      /** The whole expression. */
      readonly span: Span;
      readonly operatorSpan: Span;
    }
  | {
      readonly kind: "call";
      readonly callee: string;
      readonly calleeSpan: Span;
      readonly arguments: readonly Expression[];
      readonly span: Span;
    };

/** `let r = …; x * r * gain`, or several named outputs: `y0: …, y1: …`. */
export interface FormulaSyntax {
  readonly lets: readonly { readonly name: string; readonly nameSpan: Span; readonly value: Expression }[];
  /** One entry without a name, or one or more with. */
  readonly outputs: readonly { readonly name: string | undefined; readonly value: Expression }[];
  readonly span: Span;
}

/** `normal(0.02)`, `uniform(-0.1, 0.1)`, `zeros`, `ones`; arguments are sizes. */
export interface DistributionSyntax {
  readonly kind: "normal" | "uniform" | "zeros" | "ones";
  readonly arguments: readonly Expression[];
  readonly span: Span;
}

/** `A * B -> accumulator -> result`, `in -> compute -> out`, or one format for all. */
export interface PrecisionSyntax {
  /** One operand, or two joined by `*`. */
  readonly operands: readonly FormatSyntax[];
  /** What stands behind the arrows, in order; empty when one format stands alone. */
  readonly stages: readonly FormatSyntax[];
  readonly span: Span;
}

export interface FormatSyntax {
  /** A format's name, or `_` for what an earlier rule set. */
  readonly name: string;
  readonly span: Span;
}

/** Alternatives joined by commas; each is a path of steps. */
export interface SelectorSyntax {
  readonly alternatives: readonly SelectorPathSyntax[];
  readonly span: Span;
}

export interface SelectorPathSyntax {
  readonly steps: readonly SelectorStepSyntax[];
  readonly span: Span;
}

/** One step: `name`, `{a,b}`, `*` or `**`, with an optional index range in brackets. */
export interface SelectorStepSyntax {
  /** `undefined` for `*`; `"**"` steps have `deep`. */
  readonly names: readonly string[] | undefined;
  readonly deep: boolean;
  readonly range: RangeSyntax | undefined;
  readonly span: Span;
}

/**
 * Indices, comma-separated: `0..2` (both ends included), `3..`, `..1`, `-1..`, `5`, `*`, each with an optional `by 2`.
 * A negative index counts from the end.
 */
export interface RangeSyntax {
  readonly parts: readonly {
    readonly from: number | undefined;
    readonly to: number | undefined;
    readonly by: number;
    readonly span: Span;
  }[];
  readonly span: Span;
}

/** `64x64x16` with named options behind it, such as `stages 5`. */
export interface TileSyntax {
  readonly extents: readonly number[];
  readonly options: readonly { readonly name: string; readonly value: number; readonly span: Span }[];
  readonly span: Span;
}

/** Pieces joined by `then`. */
export interface ScheduleSyntax {
  readonly pieces: readonly SchedulePieceSyntax[];
  readonly span: Span;
}

/** A span of time: steps, or tokens. */
export interface ExtentSyntax {
  readonly amount: Expression;
  readonly unit: "steps" | "tokens";
  /** `until`: measured from the start of training; otherwise from the start of the piece. */
  readonly absolute: boolean;
  readonly span: Span;
}

export type SchedulePieceSyntax =
  | {
      readonly kind: "value";
      readonly value: Expression;
      readonly extent: ExtentSyntax | undefined;
      readonly span: Span;
    }
  | { readonly kind: "hold"; readonly extent: ExtentSyntax | undefined; readonly span: Span }
  | {
      readonly kind: "warmup" | "linear" | "cosine";
      readonly extent: ExtentSyntax | undefined;
      readonly from: Expression | undefined;
      readonly to: Expression;
      readonly span: Span;
    };
