// What runs on one target: kernels with their numbers, launches, tensors with their layouts. Still no target syntax.

import type { ConstantRule, Direction, Storage } from "../graph/graph.ts";
import type { LiveCount, TensorType } from "../graph/types.ts";
import type { WasmKernel } from "./wasm/kernels.ts";
import type { WgslKernel } from "./wgsl/kernels.ts";

/** How a tensor lies in memory. Sizes in elements; every row starts on 16 bytes. */
export type Layout =
  /** Rows `pitch` elements apart; `rows` includes rows that kernels may overwrite beyond the last. */
  | { readonly kind: "rows"; readonly rows: number; readonly pitch: number }
  /** [out, in] transposed into panels of `panel` outputs: element (o, i) at (o / panel) · in · panel + i · panel + o % panel. */
  | { readonly kind: "panels"; readonly panels: number; readonly depth: number; readonly panel: number };

export const layoutElements = (layout: Layout): number =>
  layout.kind === "rows" ? layout.rows * layout.pitch : layout.panels * layout.depth * layout.panel;

/** `working`: copies derived from parameters; `workspace`: what a kernel needs besides its outputs. */
export type TensorStorage = Storage | "working" | "workspace";

export interface PlannedTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly storage: TensorStorage;
  readonly layout: Layout;
  readonly rule: ConstantRule | undefined;
}

/** Lifetime class of a tensor. */
export type Arena =
  | "inputs"
  | "step"
  | "parameters"
  | "gradients"
  | "optimizer"
  | "state"
  | "constants"
  | "cache"
  | "working"
  | "activations"
  | "scalars";

const arenas: Readonly<Record<TensorStorage, Arena>> = {
  input: "inputs",
  step: "step",
  parameter: "parameters",
  gradient: "gradients",
  moment: "optimizer",
  state: "state",
  constant: "constants",
  cache: "cache",
  working: "working",
  intermediate: "activations",
  workspace: "activations",
};

export const arenaOfStorage = ({ storage }: PlannedTensor): Arena => arenas[storage];

/** A number of rows: fixed, or one that follows from what the host says before a run. */
export type Count =
  | { readonly kind: "fixed"; readonly value: number }
  | { readonly kind: "live"; readonly live: LiveCount; readonly capacity: number };

export const capacityOf = (count: Count): number => (count.kind === "fixed" ? count.value : count.capacity);

/** `update` reads and writes; `part` writes a part that no other launch writes. */
export type Access = "read" | "write" | "update" | "part";

/** What a kernel is given, in order: the words of a table, or bindings and the words behind them. */
export type Operand =
  | {
      readonly kind: "tensor";
      readonly tensor: PlannedTensor;
      readonly access: Access;
      readonly offset: number;
      /** wgsl: how much of it is bound; without it all from the offset on. */
      readonly bytes?: number;
    }
  /** wasm: the address of a count; wgsl: a word that holds it. */
  | { readonly kind: "count"; readonly count: Count }
  /** wgsl: all tensors without dimensions, as one binding; and a word that says where one of them is. */
  | { readonly kind: "scalars" }
  | { readonly kind: "scalar"; readonly tensor: PlannedTensor; readonly access: Access }
  /** No tensor: address 0. */
  | { readonly kind: "none" };

/** Number of tiles: the product of ceil(count · times / per); times is 1 unless given. */
export type TileCount = readonly { readonly count: Count; readonly times?: number; readonly per: number }[];

export interface Launch {
  readonly kernel: Kernel;
  readonly operands: readonly Operand[];
  readonly tiles: TileCount;
  readonly use: Use;
  /** Multiplications and additions of the launch, at capacity. */
  readonly flops: number;
}

/** What a kernel says of itself, wherever it is used. */
export interface KernelFacts {
  /** The op plus the facts that specialise it. */
  readonly name: string;
  readonly summary: string;
  readonly formula: string;
  readonly source: string;
  /** Operands in table order, as `x: f32 rows of 128, 144 apart`. */
  readonly operands: readonly { readonly name: string; readonly description: string }[];
  /** What the entry behind the operands counts; undefined: there is none. */
  readonly count: string | undefined;
  readonly tile: string;
}

/** Who uses a kernel and why: the rest of its header. */
export interface Use {
  /** The operation that the launch computes a part of. */
  readonly path: string;
  readonly direction: Direction;
  /** The spec's key that it comes from. */
  readonly key: string;
  readonly because: string;
}

/** A kernel with its numbers; targets differ in what they need to know of one. */
export type Kernel = WasmKernel | WgslKernel;
