// Where the arenas, tables and lists of a manifest lie in one linear memory, and copies in and out of tensors.

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

const widthOf = ({ dims }: ManifestTensor): number => dims.at(-1)?.size ?? 1;

type Elements = Float32Array | Int32Array;

/** Copies row-major values into a tensor's rows, from row `first` on. */
export function copyIn(memory: Elements, address: number, tensor: ManifestTensor, data: Elements, first = 0): void {
  forEachRow(tensor, data.length, first, (row, start, count) => {
    memory.set(data.subarray(start, start + count), address / 4 + row);
  });
}

/** Copies `data.length` values out of a tensor's rows, from row `first` on. */
export function copyOut(memory: Elements, address: number, tensor: ManifestTensor, data: Elements, first = 0): void {
  forEachRow(tensor, data.length, first, (row, start, count) => {
    data.set(memory.subarray(address / 4 + row, address / 4 + row + count), start);
  });
}

function forEachRow(
  tensor: ManifestTensor,
  length: number,
  first: number,
  visit: (element: number, start: number, count: number) => void,
): void {
  const { layout } = tensor;
  if (layout.kind !== "rows")
    throw new RangeError(`tensor ${tensor.name} is a working copy: read the parameter instead`);
  const width = tensor.dims.length < 2 ? elementCount(tensor) : widthOf(tensor);
  const [room, count] = [elementCount(tensor) - first * width, length];
  if (count > room)
    throw new RangeError(
      `${count} values from row ${first} on are beyond tensor ${tensor.name}: it has room for ${room}`,
    );
  for (let start = 0, row = first; start < length; start += width, row++) {
    visit(row * layout.pitch, start, Math.min(width, length - start));
  }
}
