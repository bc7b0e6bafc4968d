// The resolved spec: what every later stage reads. No string is left to parse; every number is final.

import type { FormulaSyntax } from "../formula/syntax.ts";
import type { ExpressionText, Place } from "../source/text.ts";
import type { Selector } from "./selector.ts";

export interface Spec {
  readonly name: string;
  readonly model: ModelSpec;
  /** The common rules, then those of single programs; the last that matches an operation and direction wins. */
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
  /** Prediction of several tokens; undefined: of the next one only. */
  readonly mtp: MtpSpec | undefined;
}

export interface NormSpec {
  readonly kind: "rms_norm";
  readonly eps: number;
}

export interface LayerSpec {
  readonly attention: AttentionSpec;
  readonly ffn: FfnSpec;
}

export type AttentionSpec = GqaSpec | MlaSpec;

/** What both kinds of attention have. */
interface AttentionCommon {
  readonly heads: number;
  readonly rope: RopeSpec;
  /** A query sees this many keys, its own the last of them; undefined: no limit besides the mask. */
  readonly window: number | undefined;
  /** Free names: s, q, k, head. `s` is the scaled product q·k / sqrt(channels of a head). */
  readonly score: SpecFormula;
  /** Free names: q, k, head, same_document; a condition. */
  readonly mask: SpecFormula;
}

/** Grouped-query attention. */
export interface GqaSpec extends AttentionCommon {
  readonly kind: "gqa";
  readonly kvHeads: number;
  readonly headDim: number;
  /** The projections that add a bias. */
  readonly bias: readonly ("q" | "k" | "v" | "out")[];
  /** Normalisation of queries and keys before they turn: of every head with one gain, or of the whole projection. */
  readonly qkNorm: "head" | "full" | undefined;
  /** Whether every head has a learned logit that takes part in the softmax and adds nothing. */
  readonly sinks: boolean;
}

/** Latent attention of DeepSeek-V2 and V3: keys and values of all heads come from one low-rank vector per token. */
export interface MlaSpec extends AttentionCommon {
  readonly kind: "mla";
  /** Channels of the queries' latent vector; undefined: queries are projected at once. */
  readonly qRank: number | undefined;
  readonly kvRank: number;
  /** Channels of a head's query and key that do not turn, and that turn; those of its value. */
  readonly nopeDim: number;
  readonly ropeDim: number;
  readonly valueDim: number;
  /** Of the norms of both latent vectors. */
  readonly normEps: number;
}

export interface RopeSpec {
  readonly theta: number;
  readonly layout: "half" | "interleaved";
  /** Channels of a head that turn: the first ones of a gqa head, the `rope_dim` ones of an mla head. */
  readonly dim: number;
  readonly llama3: Llama3RopeSpec | undefined;
  readonly yarn: YarnSpec | undefined;
}

/** Llama 3.1's frequency scaling, with Hugging Face's names. */
export interface Llama3RopeSpec {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly original: number;
}

/** YaRN, arXiv:2309.00071, with Hugging Face's names; what cosines, sines and scores are multiplied by is in yarn.ts. */
export interface YarnSpec {
  readonly factor: number;
  readonly original: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Whether the bounds of the ramp are rounded outwards to whole dimensions. */
  readonly truncate: boolean;
  readonly attentionFactor: number | undefined;
  readonly mscale: number | undefined;
  readonly mscaleAllDim: number | undefined;
}

export type FfnSpec = DenseFfnSpec | MoeSpec;

/** What an expert is, or the one block of a dense layer. */
interface FfnCommon {
  readonly intermediate: number;
  /** Free names: `x`, or `gate` and `up`; they decide the projections. */
  readonly activation: SpecFormula;
  readonly inputs: readonly ("x" | "gate" | "up")[];
  /** Whether all projections add a bias. */
  readonly bias: boolean;
}

export interface DenseFfnSpec extends FfnCommon {
  readonly kind: "dense";
}

export interface MoeSpec extends FfnCommon {
  readonly kind: "moe";
  readonly experts: number;
  readonly topK: number;
  /** Channels of the block that every token goes through besides its experts; 0: there is none. */
  readonly sharedIntermediate: number;
  readonly router: RouterSpec;
}

export interface RouterSpec {
  /** A row formula of `logit`, the row of all experts' logits. */
  readonly score: SpecFormula;
  /** Experts in groups of equal size: only those of the `keep` best groups can be chosen. */
  readonly groups: { readonly count: number; readonly keep: number; readonly score: "top2_sum" | "max" } | undefined;
  /** Whether the weights of a token's experts are divided by their sum. */
  readonly normalize: boolean;
  readonly scale: number;
  /** Whether logits have a trained bias. */
  readonly bias: boolean;
  /** Whether a bias that no gradient reaches steers the choice, and how far it moves after each step of training. */
  readonly hasChoiceBias: boolean;
  readonly biasUpdate: Schedule | undefined;
  /** Coefficients of the balance losses; each is 1 times its coefficient at perfect balance. */
  readonly losses: { readonly [kind in BalanceLoss]?: Schedule };
}

/** Balance within each sequence, within the micro-batch, and the squared log-sum-exp of the logits. */
export type BalanceLoss = "sequence" | "batch" | "z";

export interface MtpSpec {
  /** How many tokens beyond the next one are predicted. */
  readonly depth: number;
  /** Coefficient of the mean of their losses; undefined without training. */
  readonly weight: Schedule | undefined;
  /** Order of the two halves of the projection's input. */
  readonly concat: readonly ["embedding", "hidden"] | readonly ["hidden", "embedding"];
}

/** Number formats that a rule can name; only what some target computes is listed. */
export type Format = "f32" | "bf16";

/** Sections whose own rules of precision follow the common ones. */
export type PrecisionProgram = "train" | "evaluate" | "serve";

export interface PrecisionRule {
  readonly selector: Selector;
  readonly signature: Signature;
  /** The key path of the rule, such as `precision[0]`. */
  readonly key: string;
  /** The recipe whose rule for all operations this is. */
  readonly recipe?: string;
  /** The one program that it is for; undefined: all of them. */
  readonly program?: PrecisionProgram;
  /** Another rule of a recipe: nobody wrote it, so it may be about nothing. */
  readonly isImplied?: true;
}

/** `undefined` keeps what an earlier rule set (`_`). */
export interface Signature {
  /** One entry stands for every operand, two for the two of a product. */
  readonly operands: readonly (Format | undefined)[];
  readonly accumulator: Format | undefined;
  readonly result: Format | undefined;
}

/** Targets whose products a spec may cut. */
export type TileTarget = "wasm" | "wgsl";

export interface TileRule {
  readonly target: TileTarget;
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
