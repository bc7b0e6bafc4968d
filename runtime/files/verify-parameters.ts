// Values for a model's parameters out of a file under Hugging Face's names, such as gradients: mapped as an import maps weights.

import { otherModel } from "../messages/verify.ts";
import type { Model } from "../model.ts";
import { decodeBf16, decodeF16 } from "./dtypes.ts";
import { type Family, type Recipe, recipesOf, repetitionsOf, saysNothing } from "./hugging-face.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import { givenDtype, piecesOf, type TensorSet, tensorSetOf } from "./tensor-pieces.ts";

/**
 * Our names of what the file has, each with its values in our order. A file may lack parameters, but none of their tensors.
 *
 * Errors: `verify/other-model` for a tensor that is not the model's, or of another shape.
 */
export function parametersOfFile(
  file: SafetensorsFile,
  path: string,
  { manifest }: Model,
  family: Family,
): ReadonlyMap<string, () => Promise<Float32Array>> {
  const set = tensorSetOf(file, path);
  const entries = [...file.tensors].filter(([name, { shape }]) => !saysNothing(name, shape));
  const unknown = new Set(entries.map(([name]) => name));
  for (const { name } of repetitionsOf(family, manifest.parameters)) unknown.delete(name);
  const found = new Map<string, () => Promise<Float32Array>>();
  for (const recipe of recipesOf(family, manifest.parameters)) {
    if (recipe === undefined || recipe.parts.every(({ name }) => !file.tensors.has(name))) continue;
    for (const { name, dims } of recipe.parts) {
      const tensor = file.tensors.get(name);
      if (tensor === undefined) throw otherModel(path, `${name} is missing, and the model has ${recipe.ours}`);
      if (tensor.shape.join() !== dims.join()) {
        throw otherModel(path, `${name} is [${tensor.shape.join(", ")}], the model has [${dims.join(", ")}]`);
      }
      unknown.delete(name);
    }
    found.set(recipe.ours, () => valuesOf(set, recipe));
  }
  const [extra] = unknown;
  if (extra !== undefined) throw otherModel(path, `the model has no parameter ${extra}`);
  return found;
}

async function valuesOf(set: TensorSet, recipe: Recipe): Promise<Float32Array> {
  const values = new Float32Array(recipe.dims.reduce((count, size) => count * size, 1));
  const stored = set.tensors.get(recipe.parts[0].name);
  const dtype = givenDtype(stored?.dtype ?? "F32");
  let at = 0;
  for await (const bytes of piecesOf(set, recipe)) {
    const width = dtype === "F32" ? 4 : 2;
    const piece = values.subarray(at, at + bytes.length / width);
    if (dtype === "BF16") decodeBf16(bytes, piece);
    else if (dtype === "F16") decodeF16(bytes, piece);
    else new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength).set(bytes);
    at += piece.length;
  }
  return values;
}
