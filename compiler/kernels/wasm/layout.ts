// Where the elements of a tensor lie on the wasm target.

import { bytesOf, elementCount, rowsOf, type TensorType, widthOf } from "../../graph/types.ts";
import type { Layout } from "../plan.ts";

/** Floats per cache line; the register tile is as wide. */
export const lineFloats = 16;
const lineBytes = 64;
/** Matmul kernels write two rows at a time; rows behind the last are theirs to overwrite. */
const rowMultiple = 4;

/**
 * Rows are an odd number of 64-byte lines apart, so that walking down a column does not fall into one set of the L1 cache
 * (measured at 1024 cubed on one thread: 53 against 23 to 36 GF); vectors and scalars are contiguous.
 */
export function rowsLayout(type: TensorType): Layout {
  const perLine = lineBytes / bytesOf[type.dtype];
  if (type.dims.length < 2) {
    const elements = Math.ceil(elementCount(type) / perLine) * perLine;
    return { kind: "rows", rows: 1, pitch: elements };
  }
  const lines = Math.ceil(widthOf(type) / perLine);
  const rows = Math.ceil(rowsOf(type) / rowMultiple) * rowMultiple;
  return { kind: "rows", rows, pitch: (lines + 1 - (lines % 2)) * perLine };
}
