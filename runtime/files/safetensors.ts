// Reads safetensors files by byte ranges: the header first, checked whole, then single tensors. Never a whole file.

import {
  headerPastEnd,
  headerTooLarge,
  headerTooShort,
  noSuchTensor,
  notDecoded,
  shapeOverflow,
  splitsByte,
  uncoveredBytes,
  unknownDtype,
  wrongElementCount,
  wrongOffsets,
  wrongSize,
} from "../messages/safetensors.ts";
import { type FileReader, pieceBytes } from "./disk.ts";
import { type Dtype, decodeBf16, decodeF16, dtypeBits, isDtype } from "./dtypes.ts";
import { type HeaderTensor, readHeader } from "./safetensors-header.ts";

/** A tensor of an open file; its bytes are `begin` to `end` of the file. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The reference refuses longer headers. */
const MAX_HEADER_BYTES = 100_000_000;
const LARGEST_U64 = 18446744073709551615n;

/**
 * Opens a file and checks its header; the verdict is the reference's (Rust crate safetensors 0.8), except that duplicate
 * keys are refused, as the format demands, and that entries must be objects and dtypes strings.
 *
 * Errors: a fault `safetensors/…` that names the byte and the tensor.
 */
export async function openSafetensors(reader: FileReader): Promise<SafetensorsFile> {
  const { path, bytes } = reader;
  if (bytes < 8) throw headerTooShort(path, bytes);
  const first = await reader.read(0, 8);
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) throw headerTooLarge(path, length, MAX_HEADER_BYTES);
  const headerEnd = 8 + Number(length);
  if (headerEnd > bytes) throw headerPastEnd(path, length, bytes);
  const header = readHeader(path, await reader.read(8, Number(length)), 8);
  const tensors = checkLayout(reader, headerEnd, header.tensors);
  return new SafetensorsFile(reader, tensors, header.metadata);
}

/** Places the tensors in the file and checks that they cover its data without holes or overlaps. */
function checkLayout(reader: FileReader, headerEnd: number, entries: readonly HeaderTensor[]): StoredTensor[] {
  const { path, bytes } = reader;
  const inOrder = entries.toSorted((a, b) => compare(a.begin, b.begin) || compare(a.end, b.end));
  let start = 0n;
  const placed = inOrder.map(({ name, byte, dtype, shape, begin, end }) => {
    if (!isDtype(dtype)) throw unknownDtype(path, byte, name, dtype);
    if (begin !== start || end < begin) throw wrongOffsets(path, byte, name, begin, end, start);
    const elements = product(shape);
    const bits = elements === undefined ? undefined : product([elements, BigInt(dtypeBits[dtype])]);
    if (bits === undefined) throw shapeOverflow(path, byte, name, shape);
    if (bits % 8n !== 0n) throw splitsByte(path, byte, name, dtype, bits);
    if (bits / 8n !== end - begin) throw wrongSize(path, byte, name, bits / 8n, end - begin);
    start = end;
    return { name, dtype, shape, begin, end };
  });
  if (start !== BigInt(bytes - headerEnd)) throw uncoveredBytes(path, headerEnd, start, bytes);
  // From here on every offset is known to lie within the file, so numbers hold it exactly.
  return placed.map(({ name, dtype, shape, begin, end }) => ({
    name,
    dtype,
    shape: shape.map(Number),
    begin: headerEnd + Number(begin),
    end: headerEnd + Number(end),
  }));
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The product, factor by factor as the reference takes it; undefined once it exceeds 64 bits. */
function product(factors: readonly bigint[]): bigint | undefined {
  let result = 1n;
  for (const factor of factors) {
    result *= factor;
    if (result > LARGEST_U64) return undefined;
  }
  return result;
}

/** An open file; the reader stays the caller's to close. */
export class SafetensorsFile {
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly #reader: FileReader;

  constructor(reader: FileReader, tensors: readonly StoredTensor[], metadata: ReadonlyMap<string, string>) {
    this.#reader = reader;
    this.tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.metadata = metadata;
  }

  /** A tensor by name. Errors: `safetensors/no-such-tensor` with the names that are there. */
  tensor(name: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw noSuchTensor(this.#reader.path, name, [...this.tensors.keys()]);
    return tensor;
  }

  /** `length` bytes of a tensor from its byte `offset`, as they lie in the file. */
  readBytes(tensor: StoredTensor, offset: number, length: number): Promise<Uint8Array> {
    return this.#reader.read(tensor.begin + offset, length);
  }

  /**
   * Reads a float tensor into `out`, widened to f32 exactly, in pieces.
   *
   * Errors: `safetensors/not-decoded` unless it is F32, BF16 or F16; `safetensors/wrong-count` unless it fills `out`.
   */
  async readFloats(name: string, out: Float32Array): Promise<void> {
    const tensor = this.tensor(name);
    const decode = floatDecoders[tensor.dtype];
    if (decode === undefined) throw notDecoded(this.#reader.path, name, tensor.dtype, "float");
    await this.#readPieces(tensor, out, decode);
  }

  /** Reads an I32 tensor into `out`, in pieces. Errors: as readFloats. */
  async readIntegers(name: string, out: Int32Array): Promise<void> {
    const tensor = this.tensor(name);
    if (tensor.dtype !== "I32") throw notDecoded(this.#reader.path, name, tensor.dtype, "integer");
    await this.#readPieces(tensor, out, copyBytes);
  }

  async #readPieces<T extends Float32Array | Int32Array>(
    tensor: StoredTensor,
    out: T,
    decode: (bytes: Uint8Array, out: T) => void,
  ): Promise<void> {
    const elementBytes = dtypeBits[tensor.dtype] / 8;
    if (tensor.end - tensor.begin !== out.length * elementBytes) {
      throw wrongElementCount(this.#reader.path, tensor.name, tensor.shape, out.length);
    }
    const pieceElements = pieceBytes / elementBytes;
    for (let first = 0; first < out.length; first += pieceElements) {
      const piece = out.subarray(first, first + pieceElements) as T;
      decode(await this.readBytes(tensor, first * elementBytes, piece.length * elementBytes), piece);
    }
  }
}

const floatDecoders: Partial<Record<Dtype, (bytes: Uint8Array, out: Float32Array) => void>> = {
  F32: copyBytes,
  BF16: decodeBf16,
  F16: decodeF16,
};

/** Every machine that runs WebAssembly is little-endian in effect, as the format is. */
function copyBytes(bytes: Uint8Array, out: Float32Array | Int32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
}
