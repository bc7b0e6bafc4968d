// How the operands of products lie, in bytes.

import { bytesOf } from "../../graph/types.ts";
import { invariant } from "../../source/diagnostic.ts";
import type { PlannedTensor } from "../plan.ts";
import { elementBytes, pitchBytes } from "../planner.ts";
import type { PanelStrides, RowStrides, Widening } from "./kernels.ts";

/** What of a tensor's format products compute with. */
export function realFormat({ name, type }: PlannedTensor): "f32" | "bf16" {
  invariant(type.dtype !== "i32", `${name} holds integers`);
  return type.dtype;
}

/** a(i, k) is row i, column k. */
export const rowsOfA = (a: PlannedTensor): RowStrides => ({
  format: realFormat(a),
  row: pitchBytes(a),
  depth: elementBytes(a),
});

/** a(i, k) is row k, column i. */
export const columnsOfA = (a: PlannedTensor): RowStrides => ({
  format: realFormat(a),
  row: elementBytes(a),
  depth: pitchBytes(a),
});

/** b(k, j) is in a panel of 16 columns, or row k, column j. */
export function stridesOfB(b: PlannedTensor): PanelStrides {
  const [format, line] = [realFormat(b), 16 * bytesOf[b.type.dtype]];
  return b.layout.kind === "panels"
    ? { format, panel: b.layout.depth * line, depth: line }
    : { format, panel: line, depth: pitchBytes(b) };
}

/** Larger blocks than a cache holds are not worth a copy. */
const mostWidened = 2 ** 20;

/** Room for blocks of widened operands behind `used` bytes of scratch, and how much of it is taken then. */
export function wideningOf(
  [a, b]: readonly [PlannedTensor, PlannedTensor],
  aAlong: Widening["aAlong"],
  { rows, depth }: { readonly rows: number; readonly depth: number },
  used: number,
): { readonly widening: Widening | undefined; readonly scratch: number } {
  const [length, lines] = aAlong === "depth" ? [rows, Math.ceil(depth / 16)] : [depth, Math.ceil(rows / 16)];
  // An odd number of lines, so that rows do not fall into one set of the cache.
  const aPitch = (lines + 1 - (lines % 2)) * 64;
  const aOffset = Math.ceil(used / 64) * 64;
  // A product reads rows in pairs: there is one behind an odd last one.
  const bOffset = aOffset + (length + 1) * aPitch;
  const scratch = bOffset + depth * 64;
  const isNarrow = [a, b].some(({ type }) => type.dtype === "bf16");
  if (!isNarrow || scratch - aOffset > mostWidened) return { widening: undefined, scratch: used };
  return { widening: { aAlong, aOffset, aPitch, bOffset }, scratch };
}
