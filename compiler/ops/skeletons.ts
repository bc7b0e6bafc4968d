// What an op asks of a target: one of the few skeletons of architecture.md with its parameters, in terms of the node's
// inputs and outputs. Says nothing about tiles, layouts or syntax.

import type { FormulaBinding } from "./formula-binding.ts";
import type { ChoiceRules } from "./router.ts";

/** Index into a node's inputs. */
type Input = number;
/** Index into a node's outputs. */
type Output = number;

/** Elements, rows or sums over rows of lowered formulas; of several, each writes parts of the outputs. */
export interface FormulaRequest {
  readonly skeleton: "formula";
  readonly bindings: readonly FormulaBinding[];
}

/**
 * A product of two matrices.
 *
 * NT: out[m, n] = Σ a[m, k] b[n, k]; NN: out[m, n] = Σ a[m, k] b[k, n]; TN: out[m, n] = Σ a[k, m] b[k, n].
 */
export interface MatmulRequest {
  readonly skeleton: "matmul";
  readonly form: "NT" | "NN" | "TN";
  readonly a: Input;
  readonly b: Input;
  readonly out: Output;
  /** Added to the product. */
  readonly addend: Input | undefined;
  /** The product is added to the state, or overwrites it where the flag is not 0. */
  readonly accumulate: { readonly state: Input; readonly first: Input } | undefined;
}

/** Where one head's columns, or rows, stand: `size` of them from `start + head * step`. */
export interface HeadColumns {
  readonly start: number;
  readonly step: number;
  readonly size: number;
}

/** One product per head of columns of a and rows of b, as NN or NT of a matmul; columns of a may be copied behind it. */
export interface MatmulHeadsRequest {
  readonly skeleton: "matmul_heads";
  readonly form: "NN" | "NT";
  readonly heads: number;
  readonly a: Input;
  readonly b: Input;
  readonly out: Output;
  readonly aColumns: HeadColumns;
  readonly bRows: HeadColumns;
  readonly outColumns: HeadColumns;
  /** Columns of a head in a and in out. */
  readonly copied: { readonly from: number; readonly to: number; readonly size: number } | undefined;
}

/** Head and loss in row chunks: logits exist for one chunk only. */
export interface LinearCrossEntropyRequest {
  readonly skeleton: "linear_cross_entropy";
  readonly hidden: Input;
  readonly weight: Input;
  readonly targets: Input;
  /** Rows of logits `x` and targets `label` → `loss`, and in training also `d_x` from the seed `d_loss`. */
  readonly formula: FormulaBinding["formula"];
  readonly losses: Output;
  readonly gradient:
    | {
        readonly scale: Input;
        readonly dHidden: Output;
        readonly dWeight: Output;
        /** The weight's gradient is added to the state, or overwrites it where the flag is not 0. */
        readonly accumulate: { readonly state: Input; readonly first: Input } | undefined;
      }
    | undefined;
}

/** Score and mask of an attention, as formulas over s, q, k, head (and same_document). */
export interface AttentionFormulas {
  readonly score: FormulaBinding["formula"];
  readonly mask: FormulaBinding["formula"];
}

interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** Channels of a head's query and key, and of its value and result. */
  readonly keyDim: number;
  readonly valueDim: number;
  /** What multiplies q·k before the score formula. */
  readonly scale: number;
  readonly formulas: AttentionFormulas;
}

/** Online softmax over key blocks; saves the log-sum-exp of every row. */
export interface AttentionRequest extends AttentionShape {
  readonly skeleton: "attention";
  readonly sequence: number;
  readonly q: Input;
  readonly k: Input;
  readonly v: Input;
  readonly documents: Input;
  /** A logit per head that takes part in the softmax and has no value. */
  readonly sinks: Input | undefined;
  readonly out: Output;
  readonly logSumExp: Output;
}

/** Gradients of q, k and v without atomics, from the saved log-sum-exp. */
export interface AttentionBackwardRequest extends AttentionShape {
  readonly skeleton: "attention_backward";
  readonly sequence: number;
  readonly q: Input;
  readonly k: Input;
  readonly v: Input;
  readonly documents: Input;
  readonly out: Input;
  readonly logSumExp: Input;
  readonly dOut: Input;
  readonly dQ: Output;
  readonly dK: Output;
  readonly dV: Output;
}

/** Attention of new tokens of several sequences over a paged cache. */
export interface PagedAttentionRequest extends AttentionShape {
  readonly skeleton: "attention_paged";
  readonly page: number;
  readonly q: Input;
  readonly kCache: Input;
  readonly vCache: Input;
  readonly positions: Input;
  readonly pageTable: Input;
  readonly rowTiles: Input;
  readonly sinks: Input | undefined;
  readonly out: Output;
}

/** Rows of a table by index. */
export interface GatherRequest {
  readonly skeleton: "gather";
  readonly table: Input;
  readonly index: Input;
  readonly out: Output;
}

/** Rows added at an index, in the order of the rows; to the state, unless its flag is not 0. */
export interface ScatterAddRequest {
  readonly skeleton: "scatter_add";
  readonly rows: Input;
  readonly index: Input;
  readonly accumulate: { readonly state: Input; readonly first: Input } | undefined;
  readonly out: Output;
}

/** Rows stored at an index of a state. */
export interface ScatterStoreRequest {
  readonly skeleton: "scatter_store";
  readonly rows: Input;
  readonly index: Input;
  readonly state: Input;
  readonly out: Output;
}

/** One number from all elements of one or more tensors, in chunks that depend on shapes alone. */
export interface ReduceRequest {
  readonly skeleton: "reduce";
  readonly inputs: readonly Input[];
  /** Over an element x. */
  readonly element: "x" | "x * x";
  /** Over the sum. */
  readonly finish: "sum" | "sqrt(sum)";
  readonly out: Output;
}

/** Logits, scores and the choice of experts of every row. */
export interface RouterRequest extends ChoiceRules {
  readonly skeleton: "router";
  readonly score: FormulaBinding["formula"];
  readonly x: Input;
  readonly weight: Input;
  readonly bias: Input | undefined;
  /** Added to the scores that are compared, not to the weights. */
  readonly choiceBias: Input | undefined;
  readonly logits: Output;
  readonly scores: Output;
  readonly index: Output;
  readonly weights: Output;
}

/** From the gradient of the chosen weights to that of all scores. */
export interface RouterBackwardRequest {
  readonly skeleton: "router_backward";
  readonly dWeights: Input;
  readonly index: Input;
  readonly scores: Input;
  readonly dScores: Output;
  readonly normalize: boolean;
  readonly scale: number;
}

/** Choices sorted by expert. */
export interface ExpertOrderRequest {
  readonly skeleton: "expert_order";
  readonly index: Input;
  readonly experts: number;
  readonly source: Output;
  readonly place: Output;
  readonly expert: Output;
  readonly start: Output;
  readonly count: Output;
}

/** Shares of choices, counted over as many rows at a time. */
export interface ExpertFractionsRequest {
  readonly skeleton: "expert_fractions";
  readonly topK: number;
  readonly rows: number;
  readonly scores: Input;
  readonly fractions: Output;
}

/** Rows of tokens copied to their experts, times a weight per choice if there are any. */
export interface DispatchRequest {
  readonly skeleton: "dispatch";
  readonly x: Input;
  readonly source: Input;
  readonly weights: Input | undefined;
  readonly rows: Output;
  readonly topK: number;
}

/** Every token's rows added up, times a weight per choice if there are any. */
export interface CombineRequest {
  readonly skeleton: "combine";
  readonly rows: Input;
  readonly weights: Input | undefined;
  readonly place: Input;
  readonly addend: Input | undefined;
  readonly y: Output;
}

/** The inner product of each choice's row with its token's row. */
export interface CombineDotsRequest {
  readonly skeleton: "combine_dots";
  readonly rows: Input;
  readonly dY: Input;
  readonly place: Input;
  readonly dWeights: Output;
}

/** Products of the rows of each expert with its own matrix; NT and NN as in MatmulRequest. */
export interface GroupedMatmulRequest {
  readonly skeleton: "grouped_matmul";
  readonly form: "NT" | "NN";
  readonly a: Input;
  readonly b: Input;
  readonly start: Input;
  readonly count: Input;
  readonly out: Output;
}

/** out[e] = Σ over the rows of expert e of dYᵀ x. */
export interface GroupedWgradRequest {
  readonly skeleton: "grouped_wgrad";
  readonly dY: Input;
  readonly x: Input;
  readonly start: Input;
  readonly count: Input;
  readonly out: Output;
  readonly accumulate: { readonly state: Input; readonly first: Input } | undefined;
}

/** A parameter in another format, for products to read. */
export interface WorkingCopyRequest {
  readonly skeleton: "working_copy";
  readonly from: Input;
  readonly out: Output;
}

export type SkeletonRequest =
  | WorkingCopyRequest
  | FormulaRequest
  | MatmulRequest
  | MatmulHeadsRequest
  | LinearCrossEntropyRequest
  | AttentionRequest
  | AttentionBackwardRequest
  | PagedAttentionRequest
  | GatherRequest
  | ScatterAddRequest
  | ScatterStoreRequest
  | ReduceRequest
  | RouterRequest
  | RouterBackwardRequest
  | ExpertOrderRequest
  | ExpertFractionsRequest
  | DispatchRequest
  | CombineRequest
  | CombineDotsRequest
  | GroupedMatmulRequest
  | GroupedWgradRequest;

export type SkeletonName = SkeletonRequest["skeleton"];

/** Those that multiply in tiles which a spec may choose. */
export const tiledSkeletons: ReadonlySet<SkeletonName> = new Set([
  "matmul",
  "linear_cross_entropy",
  "grouped_matmul",
  "grouped_wgrad",
]);
