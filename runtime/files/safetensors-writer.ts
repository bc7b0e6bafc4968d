// Writes safetensors files tensor by tensor, byte for byte as the reference writer lays them out.

import { type Dtype, dtypeBits, dtypeRank } from "./dtypes.ts";

/** A tensor to be written; `read` is called once, when its turn comes, so that one tensor, or a piece of one, is in memory. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Its elements, little-endian and without gaps, at once or in pieces. */
  read(): Uint8Array | Promise<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** The bytes of a tensor in order. */
async function* readPieces(tensor: TensorSource): AsyncGenerator<Uint8Array> {
  const read = tensor.read();
  if (Symbol.asyncIterator in read) yield* read;
  else yield await read;
}

const bytesOf = ({ shape, dtype }: TensorSource): number =>
  (shape.reduce((count, size) => count * size, 1) * dtypeBits[dtype]) / 8;

/** The elements of an f32 or i32 array that is in memory, as a tensor to be written. */
export function tensorFromArray(
  name: string,
  shape: readonly number[],
  array: Float32Array | Int32Array,
): TensorSource {
  const dtype = array instanceof Float32Array ? "F32" : "I32";
  return { name, dtype, shape, read: () => new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
}

/**
 * Writes a file through `write`: the same tensors in any order give the same bytes.
 *
 * Order: wider formats first, then by name, as the reference has it, so every tensor is aligned to its elements.
 */
export async function writeSafetensors(
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const inOrder = tensors.toSorted(
    (a, b) => dtypeRank(b.dtype) - dtypeRank(a.dtype) || compareCodePoints(a.name, b.name),
  );
  await write(encodeHeader(inOrder, metadata));
  for (const tensor of inOrder) {
    for await (const bytes of readPieces(tensor)) if (bytes.length > 0) await write(bytes);
  }
}

/** The header's length in 8 bytes, then its JSON, padded with spaces to a multiple of 8 bytes. */
function encodeHeader(tensors: readonly TensorSource[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: string[] = [];
  const keys = Object.keys(metadata).toSorted(compareCodePoints);
  if (keys.length > 0) {
    const pairs = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
    entries.push(`"__metadata__":{${pairs.join(",")}}`);
  }
  let begin = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const end = begin + bytesOf(tensor);
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${begin},${end}]}`,
    );
    begin = end;
  }
  const json = new TextEncoder().encode(`{${entries.join(",")}}`);
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  return bytes;
}

/** The order of Rust's strings; JavaScript's own would put characters beyond U+FFFF elsewhere. */
function compareCodePoints(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i].codePointAt(0) ?? 0) - (right[i].codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
