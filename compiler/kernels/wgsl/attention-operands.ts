// What the kernels of attention are given: operands by heads, numbers of the templates, names.

import type { AttentionRequest } from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { type NodePlanner, pitchOf } from "../planner.ts";
import { throughF32 } from "./convert.ts";
import type { WgslHeads, WgslPairs } from "./kernels.ts";
import type { WgslOperand } from "./launch.ts";

export type AttentionShape = Pick<AttentionRequest, "heads" | "kvHeads" | "keyDim" | "valueDim" | "scale" | "formulas">;

/** An operand whose rows are vectors of `channels` channels for each head. */
export interface HeadOperand {
  readonly name: string;
  readonly of: "queries" | "keys";
  readonly tensor: PlannedTensor;
  readonly channels: number;
}

/** Four channels are one vector of a row if that holds for all heads. */
const isAligned = ({ channels }: HeadOperand): boolean => channels % 4 === 0;

export const readHeads = (operand: HeadOperand): WgslOperand => ({
  name: operand.name,
  tensor: operand.tensor,
  access: "read",
  uses: [isAligned(operand) ? "load" : "at"],
});

export const writeHeads = (operand: HeadOperand): WgslOperand => ({
  name: operand.name,
  tensor: operand.tensor,
  access: "write",
  uses: [isAligned(operand) ? "store" : "put"],
});

export const readElements = (name: string, tensor: PlannedTensor): WgslOperand => ({
  name,
  tensor,
  access: "read",
  uses: ["at"],
});

/** What of heads' results in bf16 is not whole vectors is put together in f32 first. */
export function storedHeads(
  planner: NodePlanner,
  operand: HeadOperand,
): { readonly operand: HeadOperand; readonly finish: () => void } {
  if (isAligned(operand)) return { operand, finish: () => {} };
  const { tensor, finish } = throughF32(planner, operand.tensor);
  return { operand: { ...operand, tensor }, finish };
}

export const headsOf = (reads: readonly HeadOperand[], writes: readonly HeadOperand[]): readonly WgslHeads[] =>
  [
    ...reads.map((o) => ({ ...o, access: "read" }) as const),
    ...writes.map((o) => ({ ...o, access: "write" }) as const),
  ].map(({ name, tensor, of, channels, access }) => ({ operand: name, access, of, channels, pitch: pitchOf(tensor) }));

export const shapeName = ({ heads, kvHeads, keyDim, valueDim }: AttentionShape): string =>
  `h${heads}kv${kvHeads}d${keyDim}${valueDim === keyDim ? "" : `v${valueDim}`}`;

/** What of its operands' formats a kernel is called after. */
export function formatsName(tensors: readonly PlannedTensor[]): string {
  const formats = tensors.map(({ type }) => type.dtype);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
}

/** Numbers that all templates share. */
export const shapeNumbers = ({ heads, kvHeads, keyDim, valueDim }: AttentionShape) => ({
  groupHeads: heads / kvHeads,
  keyVectors: Math.ceil(keyDim / 4),
  valueVectors: Math.ceil(valueDim / 4),
});

export const pairsOf = (
  { heads, scale, formulas: { score, mask } }: AttentionShape,
  rest: Omit<WgslPairs, "score" | "mask" | "scale" | "heads">,
): WgslPairs => ({ score, mask, scale, heads, ...rest });

/** The sinks of a node as an operand, if it has any. */
export function sinksOf(planner: NodePlanner, index: number | undefined) {
  if (index === undefined) return { operands: [], hasSinks: false, suffix: "" };
  return { operands: [readElements("sinks", planner.input(index))], hasSinks: true, suffix: "_sinks" };
}
