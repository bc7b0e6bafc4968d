// Where the arenas, tables and lists of a manifest lie in one linear memory; and on any device, how values lie in a tensor's
// rows and are copied in and out of them.

import type { Manifest, ManifestProgram, ManifestTensor } from "./contract.ts";

/** Room behind the last byte: vector loads may read past the end of a row. */
const guardBytes = 65_536;
const pageBytes = 65_536;
const alignment = 256;

/** Hands out addresses from 0 upwards. */
export class MemoryMap {
  #end = 0;
  readonly #arenas = new Map<string, number>();

  /** The address of `bytes` fresh bytes. */
  take(bytes: number): number {
    const address = this.#end;
    this.#end = Math.ceil((address + bytes) / alignment) * alignment;
    return address;
  }

  placeArenas(arenas: Manifest["arenas"]): void {
    for (const [name, bytes] of Object.entries(arenas)) this.#arenas.set(name, this.take(bytes));
  }

  addressOf({ arena, offset, name }: ManifestTensor): number {
    const base = this.#arenas.get(arena);
    if (base === undefined) throw new RangeError(`tensor ${name} lies in unknown arena ${arena}`);
    return base + offset;
  }

  get pages(): number {
    return Math.ceil((this.#end + guardBytes) / pageBytes);
  }
}

/** A program's tensors by name: its own, then the persistent ones. */
export function tensorsOf(manifest: Manifest, program?: ManifestProgram): Map<string, ManifestTensor> {
  return new Map([...manifest.tensors, ...(program?.tensors ?? [])].map((tensor) => [tensor.name, tensor]));
}

export const elementCount = (tensor: ManifestTensor): number =>
  tensor.dims.reduce((count, { size }) => count * size, 1);

/** Elements of a row; a vector is one row. */
export const rowWidth = ({ dims }: ManifestTensor): number =>
  dims.length === 0 ? 1 : (dims[dims.length - 1]?.size ?? 1);

type Elements = Float32Array | Int32Array;

/** A device's memory as elements of each format. */
export interface MemoryViews {
  readonly f32: Float32Array;
  readonly i32: Int32Array;
  /** Upper halves of floats. */
  readonly bf16: Uint16Array;
}

export const memoryViews = (memory: ArrayBufferLike): MemoryViews => ({
  f32: new Float32Array(memory),
  i32: new Int32Array(memory),
  bf16: new Uint16Array(memory),
});

/** Copies row-major values into a tensor's rows, from row `first` on; they are rounded where it holds bf16. */
export function copyIn(memory: MemoryViews, address: number, tensor: ManifestTensor, data: Elements, first = 0): void {
  const { dtype } = tensor;
  const elements = memory[dtype];
  const values = dtype === "bf16" ? bf16From(data) : data;
  forEachRow(tensor, data.length, first, (row, start, count) => {
    elements.set(values.subarray(start, start + count), address / elements.BYTES_PER_ELEMENT + row);
  });
}

/** Copies `data.length` values out of a tensor's rows, from row `first` on. */
export function copyOut(memory: MemoryViews, address: number, tensor: ManifestTensor, data: Elements, first = 0): void {
  const { dtype } = tensor;
  const elements = memory[dtype];
  forEachRow(tensor, data.length, first, (row, start, count) => {
    const from = address / elements.BYTES_PER_ELEMENT + row;
    const values = elements.subarray(from, from + count);
    data.set(dtype === "bf16" ? floatsOf(values) : values, start);
  });
}

/** The nearest bf16 of every number, ties to even; what is no number stays none. */
function bf16From(data: Elements): Uint16Array {
  const floats = Float32Array.from(data);
  return Uint16Array.from(new Uint32Array(floats.buffer), (bits, i) =>
    Number.isNaN(floats[i]) ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16,
  );
}

const floatsOf = (values: ArrayLike<number>): Float32Array =>
  new Float32Array(Uint32Array.from(values, (upper) => upper << 16).buffer);

const bytesPerElement = { f32: 4, i32: 4, bf16: 2 } as const;

/** All bytes of a tensor, with the padding of its rows. */
export function tensorBytes({ layout, dtype }: ManifestTensor): number {
  const elements = layout.kind === "rows" ? layout.rows * layout.pitch : layout.panels * layout.depth * layout.panel;
  return elements * bytesPerElement[dtype];
}

/** A part of a tensor: bytes from the tensor's own start. */
export interface ByteSpan {
  readonly begin: number;
  readonly end: number;
}

/** Where `length` values from row `first` on lie; the padding behind the last of them is left out. */
export function byteSpan(tensor: ManifestTensor, length: number, first: number): ByteSpan {
  const { width, pitch } = rowsFor(tensor, length, first);
  const size = bytesPerElement[tensor.dtype];
  const begin = first * pitch * size;
  if (length === 0) return { begin, end: begin };
  const lastRow = Math.ceil(length / width) - 1;
  return { begin, end: begin + (lastRow * pitch + length - lastRow * width) * size };
}

function forEachRow(
  tensor: ManifestTensor,
  length: number,
  first: number,
  visit: (element: number, start: number, count: number) => void,
): void {
  const { width, pitch } = rowsFor(tensor, length, first);
  for (let start = 0, row = first; start < length; start += width, row++) {
    visit(row * pitch, start, Math.min(width, length - start));
  }
}

/** Elements per row and from row to row. Errors: values that the tensor has no rows, or no room for. */
function rowsFor(tensor: ManifestTensor, length: number, first: number): { width: number; pitch: number } {
  const { layout } = tensor;
  if (layout.kind !== "rows")
    throw new RangeError(`tensor ${tensor.name} is a working copy: read the parameter instead`);
  const width = rowWidth(tensor);
  const room = elementCount(tensor) - first * width;
  if (length > room)
    throw new RangeError(
      `${length} values from row ${first} on are beyond tensor ${tensor.name}: it has room for ${room}`,
    );
  return { width, pitch: layout.pitch };
}
