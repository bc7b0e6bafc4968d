// How the operands of products lie, in bytes.

import { bytesOf } from "../../graph/types.ts";
import { invariant } from "../../source/diagnostic.ts";
import { elementBytes, pitchBytes } from "../layout.ts";
import type { PanelStrides, PlannedTensor, RowStrides } from "../plan.ts";

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
