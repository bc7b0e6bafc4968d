// Writing to a GPU: rows of a tensor, padded and rounded as it has them.

import type { ManifestTensor } from "../contract.ts";
import { type ByteSpan, byteSpan, copyIn, elementCount, memoryViews } from "../memory-map.ts";

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
  const span = byteSpan(tensor, data.length, first);
  if (data.length === 0) return;
  checkPairs(tensor, data.length);
  if (isLaidOut(tensor, data, span)) {
    queue.writeBuffer(buffer, tensor.offset + span.begin, data.buffer, data.byteOffset, data.byteLength);
    return;
  }
  const width = tensor.dims.length < 2 ? elementCount(tensor) : (tensor.dims.at(-1)?.size ?? 1);
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

/** A queue writes words of two bf16: half a word in the middle of a row would take its neighbour with it. */
function checkPairs(tensor: ManifestTensor, count: number): void {
  const { dtype, dims } = tensor;
  const width = dims.length < 2 ? elementCount(tensor) : (dims.at(-1)?.size ?? 1);
  if (dtype === "bf16" && count % width !== 0 && (count % width) % 2 === 1) {
    throw new RangeError(`${count} values end within a pair of tensor ${tensor.name}, whose bf16 are written in pairs`);
  }
}
