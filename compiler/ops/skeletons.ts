// What an op asks of a target: one of the few skeletons of architecture.md with its parameters, in terms of the node's
// inputs and outputs. Says nothing about tiles, layouts or syntax.

import type { FormulaBinding } from "./formula-binding.ts";

/** Index into a node's inputs. */
type Input = number;
/** Index into a node's outputs. */
type Output = number;

/** Elements, rows or sums over rows of one lowered formula. */
export interface FormulaRequest {
  readonly skeleton: "formula";
  readonly binding: FormulaBinding;
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
  readonly headDim: number;
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

export type SkeletonRequest =
  | FormulaRequest
  | MatmulRequest
  | LinearCrossEntropyRequest
  | AttentionRequest
  | AttentionBackwardRequest
  | PagedAttentionRequest
  | GatherRequest
  | ScatterAddRequest
  | ScatterStoreRequest
  | ReduceRequest;

export type SkeletonName = SkeletonRequest["skeleton"];

/** Those that multiply in tiles which a spec may choose. */
export const tiledSkeletons: ReadonlySet<SkeletonName> = new Set(["matmul", "linear_cross_entropy"]);
