// What the parameters of a model and its cache take in memory or in a checkpoint, by number format. Bytes of numbers alone: no pitch, no headers.

import type { ParameterShape } from "../model/parameter-shapes.ts";
import { lengthOf } from "./model-facts.ts";

export interface StorageFormat {
  readonly name: "f32" | "bf16" | "e4m3" | "e2m1";
  readonly bytesOf: (parameter: ParameterShape) => number;
}

const bf16 = (parameter: ParameterShape): number => (parameter.kind === "choice_bias" ? 4 : 2) * lengthOf(parameter);

/**
 * The formats that released checkpoints have.
 *
 * e4m3: projections in blocks of 128 x 128 with an f32 scale each, everything else bf16, as DeepSeek-V3 was released.
 * e2m1: weights of experts in blocks of 32 with a scale of one byte (MXFP4), everything else bf16, as gpt-oss was released.
 */
const storageFormats: readonly StorageFormat[] = [
  { name: "f32", bytesOf: (parameter) => 4 * lengthOf(parameter) },
  { name: "bf16", bytesOf: bf16 },
  { name: "e4m3", bytesOf: (parameter) => (isProjection(parameter) ? inSquares(parameter.dims) : bf16(parameter)) },
  {
    name: "e2m1",
    bytesOf: (parameter) =>
      isProjection(parameter) && isOfExperts(parameter) ? inRows(parameter.dims) : bf16(parameter),
  },
];

/** The formats that say something about these parameters: what is for experts needs experts. */
export const formatsFor = (parameters: readonly ParameterShape[]): readonly StorageFormat[] =>
  storageFormats.filter(({ name }) => name !== "e2m1" || parameters.some(isOfExperts));

const isOfExperts = ({ path }: ParameterShape): boolean => path.includes(".experts.");

/** Matrices of attention and of feed-forward blocks; not the router, the tables, the norms or the projection of further tokens. */
const isProjection = ({ path, kind }: ParameterShape): boolean =>
  kind === "weight" && /\.(attention|ffn)\./.test(path) && !/(^|[._])norm$|\.router$/.test(path);

/** A byte per element and an f32 for each block of 128 x 128, the last ones partial. */
function inSquares(dims: readonly number[]): number {
  const [rows, columns] = dims.slice(-2);
  const matrices = dims.slice(0, -2).reduce((product, size) => product * size, 1);
  return matrices * (rows * columns + 4 * Math.ceil(rows / 128) * Math.ceil(columns / 128));
}

/** Half a byte per element and a byte for each block of 32 along a row, the last one padded. */
function inRows(dims: readonly number[]): number {
  const rows = dims.slice(0, -1).reduce((product, size) => product * size, 1);
  return rows * Math.ceil(dims[dims.length - 1] / 32) * (16 + 1);
}

/** Formats of what a token leaves in the cache, and bytes per element; e4m3 without scales. */
export const cacheFormats = [
  { name: "f32", bytes: 4 },
  { name: "bf16", bytes: 2 },
  { name: "e4m3", bytes: 1 },
] as const;
