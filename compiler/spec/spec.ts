// The resolved spec: what every later stage reads. No string is left to parse; every number is final.

import type { FormulaSyntax } from "../formula/syntax.ts";
import type { ExpressionText, Place } from "../source/text.ts";
import type { Selector } from "./selector.ts";

export interface Spec {
  readonly name: string;
  readonly model: ModelSpec;
  /** In the order of the file; the last rule that matches an operation and direction wins. */
  readonly precision: readonly PrecisionRule[];
  readonly tiles: readonly TileRule[];
  readonly recompute: readonly RecomputeRule[];
  readonly data: DataSpec | undefined;
  readonly train: TrainSpec | undefined;
  readonly serve: ServeSpec;
  /** Where a key stands, by its dotted path (`model.attention.heads`); undefined for a default. */
  readonly placeOf: (keyPath: string) => Place | undefined;
}

/** A formula of the spec with its place, still a tree: names are resolved by the op that uses it. */
export interface SpecFormula {
  readonly syntax: FormulaSyntax;
  readonly text: ExpressionText;
  /** The key that holds it, such as `model.ffn.activation`. */
  readonly key: string;
  /** `formulas:` of the spec by name; calls to them are inlined. Each has its free names as parameters, in order of first use. */
  readonly definitions: ReadonlyMap<string, FormulaDefinition>;
}

export interface FormulaDefinition {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly syntax: FormulaSyntax;
  readonly text: ExpressionText;
}

export interface ModelSpec {
  readonly vocab: number;
  /** The longest position the model is built for. */
  readonly context: number;
  readonly width: number;
  readonly tieEmbeddings: boolean;
  readonly norm: NormSpec;
  /** One entry per layer, with the lists of `attention` and `ffn` merged. */
  readonly layers: readonly LayerSpec[];
}

export interface NormSpec {
  readonly kind: "rms_norm";
  readonly eps: number;
}

export interface LayerSpec {
  readonly attention: AttentionSpec;
  readonly ffn: FfnSpec;
}

export interface AttentionSpec {
  readonly kind: "gqa";
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly rope: RopeSpec;
  /** Free names: s, q, k, head. `s` is the scaled product q·k / sqrt(head_dim). */
  readonly score: SpecFormula;
  /** Free names: q, k, head, same_document; a condition. */
  readonly mask: SpecFormula;
}

export interface RopeSpec {
  readonly theta: number;
  readonly layout: "half" | "interleaved";
  readonly llama3: Llama3RopeSpec | undefined;
}

/** Llama 3.1's frequency scaling, with Hugging Face's names. */
export interface Llama3RopeSpec {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly original: number;
}

export interface FfnSpec {
  readonly kind: "dense";
  readonly intermediate: number;
  /** Free names: `x`, or `gate` and `up`; they decide the projections. */
  readonly activation: SpecFormula;
  readonly inputs: readonly ("x" | "gate" | "up")[];
}

/** Number formats that a rule can name; only what some target computes is listed. */
export type Format = "f32";

export interface PrecisionRule {
  readonly selector: Selector;
  readonly signature: Signature;
  /** The key path of the rule, such as `precision[0]`. */
  readonly key: string;
}

/** `undefined` keeps what an earlier rule set (`_`). */
export interface Signature {
  /** One entry stands for every operand, two for the two of a product. */
  readonly operands: readonly (Format | undefined)[];
  readonly accumulator: Format | undefined;
  readonly result: Format | undefined;
}

export interface TileRule {
  readonly target: "wasm";
  readonly selector: Selector;
  /** Rows and columns of the output, and contraction length, that one work item computes. */
  readonly tile: { readonly rows: number; readonly columns: number; readonly depth: number };
  readonly key: string;
}

export interface RecomputeRule {
  readonly selector: Selector;
  readonly key: string;
}

export interface DataSpec {
  /** `bytes`, or the path of a tokenizer.json. */
  readonly tokenizer: string;
  /** Globs relative to the spec file. */
  readonly train: readonly string[];
  /** A fraction of the training files' tokens, or globs of files of their own. */
  readonly validation: number | readonly string[];
  /** JSONL: skip and count lines that do not parse instead of stopping. */
  readonly skipBadLines: boolean;
}

export interface TrainSpec {
  /** Tokens per sequence. */
  readonly sequence: number;
  readonly batch: { readonly sequences: Schedule; readonly micro: number };
  readonly steps: number;
  readonly optimizer: AdamwSpec;
  readonly learningRate: Schedule;
  /** Bound of the global gradient norm; undefined: no clipping. */
  readonly clip: Schedule | undefined;
  readonly init: readonly { readonly selector: Selector; readonly distribution: Distribution; readonly key: string }[];
  readonly seed: number;
  /** Evaluate on the validation tokens every so many steps; 0: only at the end. */
  readonly evaluateEvery: number;
  /** Save a checkpoint every so many steps; 0: only at the end. */
  readonly saveEvery: number;
  /** Write a sample of text every so many steps; 0: never. */
  readonly sampleEvery: number;
}

export interface AdamwSpec {
  readonly kind: "adamw";
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: readonly { readonly selector: Selector; readonly value: number; readonly key: string }[];
}

export type Distribution =
  | { readonly kind: "normal"; readonly standardDeviation: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" };

/** Pieces in order, without gaps; the last one's `end` may lie beyond training. Plain JSON: it goes into the manifest as it is. */
export interface Schedule {
  readonly pieces: readonly SchedulePiece[];
}

/** On [start, end) of its unit the value goes from `from` to `to` along `shape`; with `warmup`, (i + 1 - start) / (end - start) of `to`. */
export interface SchedulePiece {
  readonly unit: "steps" | "tokens";
  readonly start: number;
  readonly end: number;
  readonly shape: "constant" | "warmup" | "linear" | "cosine";
  readonly from: number;
  readonly to: number;
}

export interface ServeSpec {
  /** The most sequences that are extended at once. */
  readonly sequences: number;
  /** The most new tokens of all sequences in one call. */
  readonly tokens: number;
  /** Pages of the cache, and tokens per page. */
  readonly pages: number;
  readonly page: number;
}
