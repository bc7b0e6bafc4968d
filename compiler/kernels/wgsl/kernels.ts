// The kernels of the wgsl target: what they are given, their numbers, and the formulas in them.

import type { Formula } from "../../formula/formula.ts";
import type { PhasePlan } from "../../formula/phases.ts";
import type { DType } from "../../graph/types.ts";
import type { KernelFacts } from "../plan.ts";

/** How a kernel touches an operand: `load` and `store` vectors of four, `at` and `put` single elements. */
export type WgslUse = "load" | "store" | "at" | "put";

/** A tensor that a kernel is given; its elements are f32 in the kernel, however they are stored, or i32. */
export interface WgslBinding {
  readonly name: string;
  readonly dtype: DType;
  readonly uses: readonly WgslUse[];
  /** The binding before it that is the same memory: one tensor may be bound once. */
  readonly sameAs: string | undefined;
}

export interface WgslKernel {
  readonly target: "wgsl";
  readonly template: string;
  readonly facts: KernelFacts;
  readonly bindings: readonly WgslBinding[];
  /** Tensors without dimensions: each is a word that says where it stands among all scalars. */
  readonly scalars: readonly string[];
  /** Numbers of the run, such as rows: words of the uniform block, before those of the scalars. */
  readonly counts: readonly string[];
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** Whether all threads of a workgroup add up what they have, or some of them: with subgroups they need fewer barriers. */
  readonly addsOverThreads: boolean;
  readonly addsOverLanes: boolean;
  /** Constants and conditions of the template. */
  readonly numbers: WgslNumbers;
  readonly formulas: WgslFormulas;
}

export type WgslNumbers = Readonly<Record<string, number | boolean>>;

/** A formula that the template calls: `name(arguments) -> f32`, of one element. */
export interface WgslScalarFormula {
  readonly name: string;
  readonly formula: Formula;
}

/** What of a kernel is written from formulas. */
export type WgslFormulas =
  | { readonly kind: "none" }
  /** Rows of a lowered formula; see emit/wgsl/formula.ts. */
  | { readonly kind: "rows"; readonly rows: WgslRows }
  /** Scores of queries and keys; see emit/wgsl/attention.ts. */
  | { readonly kind: "pairs"; readonly pairs: WgslPairs }
  | { readonly kind: "heads"; readonly vectors: WgslHeadVectors }
  /** Functions of one element. */
  | { readonly kind: "functions"; readonly functions: readonly WgslScalarFormula[] };

/** One input or output of a formula over rows. */
export interface WgslPort {
  readonly port: string;
  /** Axes along which it varies; see formula/terms.ts. */
  readonly extent: number;
  /** Name of the binding or scalar. */
  readonly operand: string;
  readonly isScalar: boolean;
  readonly dtype: DType;
  /** In elements, as in FormulaPort. */
  readonly pitch: number;
  readonly laneStart: number;
  readonly laneStep: number;
  readonly groupStep: number;
  /** Whether four lanes are one vector of the binding. */
  readonly isAligned: boolean;
}

export interface WgslRows {
  readonly plan: PhasePlan;
  /** Whether elements need nothing of their row: each thread has four of them. */
  readonly isMap: boolean;
  readonly lanes: number;
  readonly groups: number;
  /** Rows that one after the other are the work of the same threads: those of a partial sum over rows. */
  readonly rowsPerTile: number;
  /** Threads that share a row. */
  readonly threadsPerRow: number;
  readonly inputs: readonly WgslPort[];
  readonly outputs: readonly WgslPort[];
}

/** An operand of attention whose rows are vectors of several heads, side by side. */
export interface WgslHeads {
  readonly operand: string;
  readonly access: "read" | "write";
  /** What its rows belong to. */
  readonly of: "queries" | "keys";
  /** Channels of one head, and elements from row to row. */
  readonly channels: number;
  readonly pitch: number;
}

/** Operands of attention by heads, and what else a kernel of it needs. */
export interface WgslHeadVectors {
  readonly heads: number;
  readonly operands: readonly WgslHeads[];
  /** Elementary functions that the template calls. */
  readonly elementary: readonly string[];
}

/** What attention computes for pairs of query and key. */
export interface WgslPairs extends WgslHeadVectors {
  readonly score: Formula;
  readonly mask: Formula;
  /** What multiplies q·k before the score formula. */
  readonly scale: number;
  /** Positions of queries and keys are less than this. */
  readonly positions: number;
  /** Whether the kernel is given document ids, as its mask asks for them. */
  readonly readsDocuments: boolean;
  /** Whether the score's derivative is wanted. */
  readonly hasGradient: boolean;
  /** What a workgroup has a block of, to meet all blocks of the others; undefined: threads work for themselves. */
  readonly owns: "queries" | "keys" | undefined;
}
