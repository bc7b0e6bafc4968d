// Reads one of our parameters out of a checkpoint's tensors, piece by piece: whole ones, experts one behind the other, and
// output channels that lie in turn. At most one tensor of theirs, or the part of one that is an expert's, is in memory.

import * as messages from "../messages/hugging-face.ts";
import { pieceBytes } from "./disk.ts";
import { type Dtype, dtypeBits, e4m3Values } from "./dtypes.ts";
import { type CheckedPiece, wordsOf } from "./finite-check.ts";
import type { Recipe, WantedParameter } from "./hugging-face.ts";
import type { SafetensorsFile, StoredTensor } from "./safetensors.ts";

/** The tensors of a checkpoint, in one file or several. */
export interface TensorSet {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The file that a tensor lies in. */
  pathOf(name: string): string;
  readBytes(name: string, offset: number, length: number): Promise<Uint8Array>;
}

/** The tensors of one file. */
export const tensorSetOf = (file: SafetensorsFile, path: string): TensorSet => ({
  tensors: file.tensors,
  pathOf: () => path,
  readBytes: (name, offset, length) => file.readBytes(file.tensor(name), offset, length),
});

/** Rows and columns of a weight that one scale is for. */
export type ScaleBlock = readonly [rows: number, columns: number];

export interface PieceOptions {
  readonly scaleBlock?: ScaleBlock | undefined;
  /** Sees every element of theirs before it is given out. */
  look?(piece: CheckedPiece): void;
}

/** The scales of a tensor in F8_E4M3: a weight is its code's value times that of its block. */
export const scaleNameOf = (name: string): string => `${name}_scale_inv`;

/** The format in which our parameter is given out: theirs, and F32 for F8_E4M3. */
export const givenDtype = (dtype: Dtype): Dtype => (dtype === "F8_E4M3" ? "F32" : dtype);

/** The bytes of our parameter in order, row by row. */
export async function* piecesOf(
  set: TensorSet,
  recipe: Recipe,
  options: PieceOptions = {},
): AsyncGenerator<Uint8Array> {
  if (recipe.layout?.kind === "columns") {
    const [part] = recipe.parts;
    yield* columnPieces(set, part.name, recipe.dims, { ...recipe.layout, ...options });
    return;
  }
  for (const part of recipe.parts) {
    const { dtype } = storedOf(set, part.name);
    yield* dtype === "F8_E4M3" ? scaledPieces(set, part, options) : wholePieces(set, part.name, options);
  }
}

function storedOf(set: TensorSet, name: string): StoredTensor {
  const tensor = set.tensors.get(name);
  if (tensor === undefined) throw new RangeError(`there is no tensor ${name}`);
  return tensor;
}

async function* wholePieces(set: TensorSet, name: string, { look }: PieceOptions): AsyncGenerator<Uint8Array> {
  const { dtype, begin, end } = storedOf(set, name);
  const width = dtypeBits[dtype] / 8;
  for (let offset = 0; offset < end - begin; offset += pieceBytes) {
    const bytes = await set.readBytes(name, offset, Math.min(pieceBytes, end - begin - offset));
    look?.({ path: set.pathOf(name), name, dtype, bytes, indexOf: (element) => offset / width + element });
    yield bytes;
  }
}

/** Bands of as many rows as one scale is for, each as f32: the value of a code times the scale of its block, rounded once. */
async function* scaledPieces(
  set: TensorSet,
  { name, dims: [rows, columns] }: WantedParameter,
  { scaleBlock = [1, 1], look }: PieceOptions,
): AsyncGenerator<Uint8Array> {
  const [blockRows, blockColumns] = scaleBlock;
  const scales = await scalesOf(set, name);
  const perBand = Math.ceil(columns / blockColumns);
  for (let first = 0; first < rows; first += blockRows) {
    const numRows = Math.min(blockRows, rows - first);
    const bytes = await set.readBytes(name, first * columns, numRows * columns);
    const offset = first * columns;
    look?.({ path: set.pathOf(name), name, dtype: "F8_E4M3", bytes, indexOf: (element) => offset + element });
    const values = new Float32Array(bytes.length);
    const band = (first / blockRows) * perBand;
    for (let row = 0; row < numRows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = row * columns + column;
        // Both factors have at most 28 bits of significand together, so the product is exact before it is rounded to f32.
        values[at] = e4m3Values[bytes[at]] * scales[band + Math.floor(column / blockColumns)];
      }
    }
    yield new Uint8Array(values.buffer);
  }
}

/** Errors: `import/bad-scale` for one that is no finite number above 0. */
async function scalesOf(set: TensorSet, name: string): Promise<Float32Array> {
  const scaleName = scaleNameOf(name);
  const { begin, end } = storedOf(set, scaleName);
  const scales = new Float32Array((await set.readBytes(scaleName, 0, end - begin)).slice().buffer);
  const bad = scales.findIndex((scale) => !(scale > 0 && scale < Number.POSITIVE_INFINITY));
  if (bad >= 0) throw messages.badScale(set.pathOf(scaleName), scaleName, bad, scales[bad]);
  return scales;
}

interface ColumnOptions extends PieceOptions {
  readonly of: number;
  readonly part: number;
}

/** [experts, in, of * out] → [experts, out, in], an expert at a time; a bias has one input. */
async function* columnPieces(
  set: TensorSet,
  name: string,
  [experts, out, inputs = 1]: readonly number[],
  { of, part, look }: ColumnOptions,
): AsyncGenerator<Uint8Array> {
  const { dtype } = storedOf(set, name);
  const elements = inputs * of * out;
  const slab = elements * (dtypeBits[dtype] / 8);
  for (let expert = 0; expert < experts; expert++) {
    const theirs = wordsOf(await set.readBytes(name, expert * slab, slab), dtype);
    const ours = theirs.slice(0, inputs * out);
    for (let o = 0; o < out; o++) {
      for (let i = 0; i < inputs; i++) ours[o * inputs + i] = theirs[(i * out + o) * of + part];
    }
    const bytes = new Uint8Array(ours.buffer, ours.byteOffset, ours.byteLength);
    const indexOf = (element: number): number =>
      expert * elements + ((element % inputs) * out + Math.floor(element / inputs)) * of + part;
    look?.({ path: set.pathOf(name), name, dtype, bytes, indexOf });
    yield bytes;
  }
}
