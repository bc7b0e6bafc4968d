// Weights from safetensors files: all differences from the model are found before anything of it changes.

import { closest } from "fastest-levenshtein";
import type { ManifestParameter } from "./contract.ts";
import type { FileReader } from "./files/disk.ts";
import type { SafetensorsFile, StoredTensor } from "./files/safetensors.ts";
import * as messages from "./messages/model.ts";

const readableDtypes = new Set(["F32", "BF16", "F16"]);

export const parameterLength = ({ dims }: ManifestParameter): number => dims.reduce((count, size) => count * size, 1);

/**
 * All parameters of a file, in the model's order.
 *
 * Errors: `model/weights-differ` with every difference; `model/non-finite-weights`.
 */
export async function readWeights(
  file: SafetensorsFile,
  path: FileReader["path"],
  parameters: readonly ManifestParameter[],
): Promise<[string, Float32Array][]> {
  const differences = differencesOf(file.tensors, parameters);
  if (differences.length > 0) throw messages.weightsDiffer(path, differences);
  const weights: [string, Float32Array][] = [];
  for (const parameter of parameters) {
    const values = new Float32Array(parameterLength(parameter));
    await file.readFloats(parameter.name, values);
    weights.push([parameter.name, values]);
  }
  checkFinite(path, weights);
  return weights;
}

/** One sentence per tensor that is missing, too many, or not what the model has. */
export function differencesOf(
  tensors: ReadonlyMap<string, StoredTensor>,
  parameters: readonly Pick<ManifestParameter, "name" | "dims">[],
): string[] {
  const known = new Set(parameters.map(({ name }) => name));
  const extra = [...tensors.keys()].filter((name) => !known.has(name));
  const differences = parameters.flatMap(({ name, dims }) => {
    const tensor = tensors.get(name);
    if (tensor === undefined)
      return [messages.missingWeight(name, extra.length > 0 ? closest(name, extra) : undefined)];
    if (tensor.shape.join() !== dims.join()) return [messages.otherShape(name, tensor.shape, dims)];
    return readableDtypes.has(tensor.dtype) ? [] : [messages.otherDtype(name, tensor.dtype)];
  });
  return [...differences, ...extra.map(messages.extraWeight)];
}

function checkFinite(path: string, weights: readonly (readonly [string, Float32Array])[]): void {
  let first: { readonly name: string; readonly index: number } | undefined;
  let count = 0;
  for (const [name, values] of weights) {
    for (let index = 0; index < values.length; index++) {
      if (Number.isFinite(values[index])) continue;
      first ??= { name, index };
      count++;
    }
  }
  if (first !== undefined) throw messages.nonFiniteWeights(path, first.name, first.index, count);
}
