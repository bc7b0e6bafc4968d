// Where the elements of a tensor lie on the wasm target.

import type { Value } from "../graph/graph.ts";
import { bytesOf, elementCount, rowsOf, type TensorType, widthOf } from "../graph/types.ts";
import type { Layout, PlannedTensor, TensorStorage } from "./plan.ts";

/** Floats per cache line; the register tile is as wide. */
export const lineFloats = 16;
const lineBytes = 64;
/** Matmul kernels write two rows at a time; rows behind the last are theirs to overwrite. */
const rowMultiple = 4;

/**
 * Rows are an odd number of 64-byte lines apart, so that walking down a column does not fall into one set of the L1 cache
 * (measured at 1024 cubed on one thread: 53 against 23 to 36 GF); vectors and scalars are contiguous.
 */
function rowsLayout(type: TensorType): Layout {
  const perLine = lineBytes / bytesOf[type.dtype];
  if (type.dims.length < 2) {
    const elements = Math.ceil(elementCount(type) / perLine) * perLine;
    return { kind: "rows", rows: 1, pitch: elements };
  }
  const lines = Math.ceil(widthOf(type) / perLine);
  const rows = Math.ceil(rowsOf(type) / rowMultiple) * rowMultiple;
  return { kind: "rows", rows, pitch: (lines + 1 - (lines % 2)) * perLine };
}

export const plannedTensor = (name: string, type: TensorType, storage: TensorStorage): PlannedTensor => ({
  name,
  type,
  storage,
  layout: rowsLayout(type),
  rule: undefined,
});

export const tensorOf = (value: Value): PlannedTensor => ({
  ...plannedTensor(value.name, value.type, value.storage),
  rule: value.rule,
});

/** Bytes from row to row, or in panels from k to k. */
export const pitchBytes = (tensor: PlannedTensor): number => pitchOf(tensor) * elementBytes(tensor);

export const elementBytes = ({ type }: PlannedTensor): number => bytesOf[type.dtype];

export function pitchOf(tensor: PlannedTensor): number {
  return tensor.layout.kind === "rows" ? tensor.layout.pitch : tensor.layout.panel;
}
