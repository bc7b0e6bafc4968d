// Writing to a GPU: rows of a tensor, padded and rounded as it has them.

import type { ManifestTensor } from "../contract.ts";
import { type ByteSpan, byteSpan, copyIn, memoryViews, rowWidth } from "../memory-map.ts";

/** Bytes that are laid out for one call of the queue, unless a row has more. */
const pieceBytes = 1 << 22;

/** Writes row-major values from row `first` on; padding inside of the rows is written with zeros. */
export function writeRows(
  queue: GPUQueue,
  buffer: GPUBuffer,
  tensor: ManifestTensor,
  data: Float32Array | Int32Array,
  first: number,
): void {
  const span = checkWrite(tensor, data.length, first);
  if (data.length === 0) return;
  if (isLaidOut(tensor, data, span)) {
    queue.writeBuffer(buffer, tensor.offset + span.begin, data.buffer, data.byteOffset, data.byteLength);
    return;
  }
  const width = rowWidth(tensor);
  const { begin, end } = byteSpan(tensor, Math.min(width, data.length), first);
  const rows = Math.max(1, Math.floor(pieceBytes / (end - begin)));
  for (let row = 0; row * width < data.length; row += rows) {
    writePiece(queue, buffer, tensor, data.subarray(row * width, (row + rows) * width), first + row);
  }
}

/** The tensor holds these values as they are: of one format, and without padding between. */
const isLaidOut = ({ dtype }: ManifestTensor, data: Float32Array | Int32Array, { begin, end }: ByteSpan): boolean =>
  dtype === (data instanceof Int32Array ? "i32" : "f32") && end - begin === data.byteLength;

function writePiece(
  queue: GPUQueue,
  buffer: GPUBuffer,
  tensor: ManifestTensor,
  data: Float32Array | Int32Array,
  first: number,
): void {
  const { begin, end } = byteSpan(tensor, data.length, first);
  const bytes = new ArrayBuffer(Math.ceil((end - begin) / 4) * 4);
  copyIn(memoryViews(bytes), -begin, tensor, data, first);
  queue.writeBuffer(buffer, tensor.offset + begin, bytes);
}

/**
 * The place of values in a tensor. Errors: values beyond it; values of bf16 that end within a pair, of which a queue cannot
 * write one without the other.
 */
export function checkWrite(tensor: ManifestTensor, count: number, first: number): ByteSpan {
  const inLastRow = count % rowWidth(tensor);
  if (tensor.dtype === "bf16" && inLastRow % 2 === 1) {
    throw new RangeError(`${count} values end within a pair of tensor ${tensor.name}, whose bf16 are written in pairs`);
  }
  return byteSpan(tensor, count, first);
}
