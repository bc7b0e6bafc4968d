// The kernels of the wasm target with their numbers: what skeletons plan and templates are rendered from.

import type { Formula } from "../../formula/formula.ts";
import type { PhasePlan } from "../../formula/phases.ts";
import type { Extent } from "../../formula/terms.ts";
import type { DType } from "../../graph/types.ts";
import type { KernelFacts } from "../plan.ts";

export interface FormulaPort {
  readonly port: string;
  readonly extent: Extent;
  /** Index into the table. */
  readonly operand: number;
  readonly dtype: DType;
  /** Elements from row to row; 1 for a value per row. */
  readonly pitch: number;
  readonly laneStart: number;
  readonly laneStep: number;
  readonly groupStep: number;
}

/** One lowered formula over rows in tiles; sums over rows go to one row of partial sums per tile. */
export interface FormulaKernel {
  readonly template: "formula";
  readonly facts: KernelFacts;
  readonly plan: PhasePlan;
  readonly lanes: number;
  readonly groups: number;
  readonly rowsPerTile: number;
  readonly inputs: readonly FormulaPort[];
  readonly outputs: readonly FormulaPort[];
}

/** Partial sums of columns added in order: one row out of many. */
export interface ColumnSumKernel {
  readonly template: "column-sum";
  readonly facts: KernelFacts;
  readonly width: number;
  readonly pitch: number;
  readonly columnsPerTile: number;
}

/** What kernels compute with; in bytes, a(i, k) of a product stands at i · row + k · depth. */
export interface RowStrides {
  readonly format: "f32" | "bf16";
  readonly row: number;
  readonly depth: number;
}

/** In bytes, b(k, j) of a product stands at (j / 16) · panel + k · depth, and then in the j % 16th element. */
export interface PanelStrides {
  readonly format: "f32" | "bf16";
  readonly panel: number;
  readonly depth: number;
}

/** Where blocks of narrow operands of a product lie in scratch once they are widened; bytes. */
export interface Widening {
  /** Whether a's elements stand side by side along the contraction, or along the output's rows. */
  readonly aAlong: "depth" | "rows";
  readonly aOffset: number;
  readonly aPitch: number;
  readonly bOffset: number;
}

export interface MatmulKernel {
  readonly template: "matmul";
  readonly facts: KernelFacts;
  readonly a: RowStrides;
  readonly b: PanelStrides;
  /** Bytes from row to row. */
  readonly outPitch: number;
  /** Where output or addend are stored as bf16 a tile is summed in scratch; pitches in bytes. */
  readonly inScratch:
    | {
        readonly pitch: number;
        readonly out: "f32" | "bf16";
        readonly addend: "f32" | "bf16";
        readonly addendPitch: number;
      }
    | undefined;
  readonly widening: Widening | undefined;
  /** Bytes of scratch per thread. */
  readonly scratch: number;
  readonly addend: "none" | "rows" | "state";
  /** Which extents come from the table at run time: rows of the output, or the contraction. */
  readonly counted: "rows" | "depth";
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly tile: { readonly rows: number; readonly columns: number; readonly depth: number };
}

/** Transposes rows of a weight into panels of 16. */
export interface PackKernel {
  readonly template: "pack";
  readonly facts: KernelFacts;
  /** Matrices one behind the other, each in panels of its own. */
  readonly matrices: number;
  readonly rows: number;
  readonly depth: number;
  readonly pitch: number;
  /** Of the panels; the weight is f32. */
  readonly format: "f32" | "bf16";
  readonly panelsPerTile: number;
}

/** Where one head's columns stand, in elements. */
export interface HeadPlace {
  readonly start: number;
  readonly step: number;
}

/** A product per head, over rows in tiles; the result lies in scratch until its columns are copied out. */
export interface MatmulHeadsKernel {
  readonly template: "matmul-heads";
  readonly facts: KernelFacts;
  readonly heads: number;
  readonly a: HeadPlace & { readonly pitch: number };
  /** As in a matmul, with bytes from head to head. */
  readonly b: PanelStrides & { readonly start: number; readonly step: number };
  readonly out: HeadPlace & { readonly pitch: number };
  readonly columns: number;
  readonly depth: number;
  readonly copied: { readonly from: number; readonly to: number; readonly size: number } | undefined;
  readonly tileRows: number;
  /** Elements from row to row in scratch. */
  readonly scratchPitch: number;
  /** Bytes of scratch per thread. */
  readonly scratch: number;
}

/** Transposes some rows of every head of a weight into panels of 16. */
export interface PackHeadsKernel {
  readonly template: "pack-heads";
  readonly facts: KernelFacts;
  /** Rows of the weight. */
  readonly first: number;
  readonly step: number;
  readonly rows: number;
  readonly depth: number;
  readonly pitch: number;
  /** Of the panels; the weight is f32. */
  readonly format: "f32" | "bf16";
}

/** Rows in one format; bytes from row to row. */
export interface StoredRows {
  readonly format: "f32" | "bf16";
  readonly pitch: number;
}

export interface GatherKernel {
  readonly template: "gather";
  readonly facts: KernelFacts;
  readonly width: number;
  readonly from: StoredRows;
  readonly to: StoredRows;
  readonly rowsPerTile: number;
}

export interface ScatterAddKernel {
  readonly template: "scatter-add";
  readonly facts: KernelFacts;
  readonly width: number;
  readonly rowsPitch: number;
  readonly outPitch: number;
  readonly entries: number;
  readonly entriesPerTile: number;
  readonly accumulates: boolean;
}

export interface ScatterStoreKernel {
  readonly template: "scatter-store";
  readonly facts: KernelFacts;
  readonly width: number;
  readonly from: StoredRows;
  readonly to: StoredRows;
  readonly rowsPerTile: number;
}

/** Sums of x or x² over a chunk of rows; one partial sum per tile. */
export interface ReducePartialKernel {
  readonly template: "reduce-partial";
  readonly facts: KernelFacts;
  readonly squares: boolean;
  readonly width: number;
  readonly pitch: number;
  readonly rowsPerTile: number;
}

/** Adds partial sums in order. */
export interface ReduceFinishKernel {
  readonly template: "reduce-finish";
  readonly facts: KernelFacts;
  readonly root: boolean;
}

/** Bytes: offsets into a thread's scratch, and pitches of what lies there. */
export type ScratchLayout = Readonly<Record<string, number>> & {
  readonly scoresPitch: number;
  readonly accPitch: number;
};

export interface AttentionNumbers {
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly scale: number;
  readonly score: Formula;
  readonly mask: Formula;
  /** Queries and keys per block. */
  readonly queryBlock: number;
  readonly keyBlock: number;
  /** Elements from row to row; a gradient lies as what it is of. */
  readonly qPitch: number;
  /** What queries and results are stored as; keys and values are f32 where the kernel does not say otherwise. */
  readonly qFormat: "f32" | "bf16";
  readonly outFormat: "f32" | "bf16";
  readonly kPitch: number;
  readonly vPitch: number;
  readonly outPitch: number;
  readonly layout: ScratchLayout;
  /** Bytes of scratch per thread. */
  readonly scratch: number;
}

export interface AttentionKernel extends AttentionNumbers {
  readonly template: "attention";
  readonly facts: KernelFacts;
  readonly sequence: number;
  /** Queries per tile. */
  readonly queryChunk: number;
  readonly logSumExpPitch: number;
  readonly hasSinks: boolean;
}

export interface AttentionBackwardKernel extends AttentionNumbers {
  readonly template: "attention-backward";
  readonly facts: KernelFacts;
  readonly sequence: number;
  readonly logSumExpPitch: number;
}

export interface AttentionPagedKernel extends AttentionNumbers {
  readonly template: "attention-paged";
  readonly facts: KernelFacts;
  readonly page: number;
  /** What the caches hold. */
  readonly kFormat: "f32" | "bf16";
  readonly vFormat: "f32" | "bf16";
  /** The most rows of a row tile. */
  readonly queryChunk: number;
  /** Heads of one tile: all that share keys, or a part of them. */
  readonly tileHeads: number;
  /** Whether values are the first channels of the keys, which lie in the same rows. */
  readonly sharesRows: boolean;
  readonly hasSinks: boolean;
  readonly tablePitch: number;
  readonly tilePitch: number;
}

interface ProductStrides {
  readonly a: RowStrides;
  readonly b: PanelStrides;
  /** Elements from row to row. */
  readonly outPitch: number;
}

/** Products of each expert's rows with its own matrix. */
export interface GroupedMatmulKernel extends ProductStrides {
  readonly template: "grouped-matmul";
  readonly facts: KernelFacts;
  readonly experts: number;
  /** Bytes from expert to expert in b. */
  readonly expertBytes: number;
  readonly widening: Widening | undefined;
  /** Bytes of scratch per thread. */
  readonly scratch: number;
  readonly columns: number;
  readonly depth: number;
  readonly tile: { readonly rows: number; readonly columns: number; readonly depth: number };
}

/** Products over the rows of each expert: one matrix per expert. */
export interface GroupedWgradKernel extends ProductStrides {
  readonly template: "grouped-wgrad";
  readonly facts: KernelFacts;
  readonly accumulates: boolean;
  /** Rows and columns of one expert's matrix. */
  readonly rows: number;
  readonly columns: number;
  readonly tile: { readonly rows: number; readonly columns: number; readonly depth: number };
  readonly widening: Widening | undefined;
  /** Bytes per thread: two rows of a tile, where the number of rows is odd, and what is widened. */
  readonly scratch: number;
}

export interface RouterKernel {
  readonly template: "router";
  readonly facts: KernelFacts;
  readonly product: ProductStrides;
  /** The score of a row, as a kernel over the same table. */
  readonly score: FormulaKernel;
  readonly width: number;
  readonly experts: number;
  readonly topK: number;
  readonly groups: { readonly count: number; readonly keep: number; readonly isTop2Sum: boolean } | undefined;
  readonly normalize: boolean;
  readonly scale: number;
  readonly hasBias: boolean;
  readonly hasChoiceBias: boolean;
  readonly rowsPerTile: number;
  readonly depthPerBlock: number;
  readonly scoresPitch: number;
  /** Of rows of choices: indices and weights. */
  readonly choicePitch: number;
  /** Bytes per thread: keys of all experts and of all groups, beside what the score needs. */
  readonly scratch: number;
  readonly keysOffset: number;
  readonly groupKeysOffset: number;
}

export interface RouterBackwardKernel {
  readonly template: "router-backward";
  readonly facts: KernelFacts;
  readonly topK: number;
  readonly normalize: boolean;
  readonly scale: number;
  readonly choicePitch: number;
  readonly scoresPitch: number;
  readonly rowsPerTile: number;
}

export interface ExpertOrderKernel {
  readonly template: "expert-order";
  readonly facts: KernelFacts;
  readonly experts: number;
  readonly topK: number;
  readonly choicePitch: number;
  /** Bytes per thread: where each expert's next row goes. */
  readonly scratch: number;
}

export interface ExpertFractionsKernel {
  readonly template: "expert-fractions";
  readonly facts: KernelFacts;
  readonly experts: number;
  readonly topK: number;
  readonly rows: number;
  readonly pitch: number;
  /** Bytes per thread: keys and counts of all experts. */
  readonly scratch: number;
}

export interface DispatchKernel {
  readonly template: "dispatch";
  readonly facts: KernelFacts;
  /** Bytes of a row, and from row to row. */
  readonly rowBytes: number;
  readonly topK: number;
  readonly isWeighted: boolean;
  readonly choicePitch: number;
  readonly xPitch: number;
  readonly rowsPitch: number;
  readonly rowsPerTile: number;
}

export interface CombineKernel {
  readonly template: "combine";
  readonly facts: KernelFacts;
  readonly width: number;
  readonly topK: number;
  readonly isWeighted: boolean;
  readonly addsRows: boolean;
  readonly choicePitch: number;
  readonly rowsPitch: number;
  readonly yPitch: number;
  readonly rowsPerTile: number;
}

export interface CombineDotsKernel {
  readonly template: "combine-dots";
  readonly facts: KernelFacts;
  readonly width: number;
  readonly topK: number;
  readonly choicePitch: number;
  readonly rowsPitch: number;
  readonly dYPitch: number;
  readonly rowsPerTile: number;
}

export type WasmKernel =
  | GroupedMatmulKernel
  | GroupedWgradKernel
  | RouterKernel
  | RouterBackwardKernel
  | ExpertOrderKernel
  | ExpertFractionsKernel
  | DispatchKernel
  | CombineKernel
  | CombineDotsKernel
  | FormulaKernel
  | ColumnSumKernel
  | MatmulKernel
  | PackKernel
  | MatmulHeadsKernel
  | PackHeadsKernel
  | GatherKernel
  | ScatterAddKernel
  | ScatterStoreKernel
  | ReducePartialKernel
  | ReduceFinishKernel
  | AttentionKernel
  | AttentionBackwardKernel
  | AttentionPagedKernel;
