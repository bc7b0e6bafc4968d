// Where the elements of a tensor lie on the wgsl target, and in which buffer.

import { elementCount, rowsOf, type TensorType, widthOf } from "../../graph/types.ts";
import { type Arena, arenaOfStorage, type Layout, type PlannedTensor } from "../plan.ts";

/** Kernels read four values at a time: 16 bytes of f32, 8 of bf16; a row of either begins at a multiple of 16 bytes. */
const perRow = { f32: 4, i32: 4, bf16: 8 } as const;

/** Rows begin at whole vectors; scalars lie side by side, so that all of them are one binding. */
export function rowsLayout(type: TensorType): Layout {
  const step = perRow[type.dtype];
  if (type.dims.length === 0) return { kind: "rows", rows: 1, pitch: 1 };
  if (type.dims.length === 1) return { kind: "rows", rows: 1, pitch: Math.ceil(elementCount(type) / step) * step };
  return { kind: "rows", rows: rowsOf(type), pitch: Math.ceil(widthOf(type) / step) * step };
}

export const arenaOf = (tensor: PlannedTensor): Arena =>
  tensor.type.dims.length === 0 ? "scalars" : arenaOfStorage(tensor);
