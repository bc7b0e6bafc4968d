// Weights under our names → tensors under Hugging Face's, in the format that they are stored in: stacks become a tensor for
// each expert, and channels that lie in turn are put together again.

import { mixedFormats, noTheirName } from "../messages/hugging-face.ts";
import { weightsDiffer } from "../messages/model.ts";
import { differencesOf } from "../weights.ts";
import { pieceBytes } from "./disk.ts";
import { dtypeBits } from "./dtypes.ts";
import { wordsOf } from "./finite-check.ts";
import { type Family, type Recipe, recipesOf, repetitionsOf, type WantedParameter } from "./hugging-face.ts";
import type { SafetensorsFile, StoredTensor } from "./safetensors.ts";
import type { TensorSource } from "./safetensors-writer.ts";

/**
 * Each tensor is read when its turn comes, in pieces.
 *
 * Errors: `model/weights-differ` with every difference from the model; `export/no-such-parameter` for one that the family
 * does not have.
 */
export function exportWeights(
  file: SafetensorsFile,
  path: string,
  family: Family,
  parameters: readonly WantedParameter[],
): TensorSource[] {
  const differences = differencesOf(file.tensors, parameters);
  if (differences.length > 0) throw weightsDiffer(path, differences);
  const recipes = recipesOf(family, parameters).map((recipe, i) => {
    if (recipe === undefined) throw noTheirName(parameters[i].name, family);
    return recipe;
  });
  /** The recipes of which a tensor of theirs is a part: gate and up may lie in one. */
  const byPart = new Map<string, Recipe[]>();
  for (const recipe of recipes) {
    for (const { name } of recipe.parts) byPart.set(name, [...(byPart.get(name) ?? []), recipe]);
  }
  const sources = [...byPart].map(([name, users]) => sourceOf(file, path, name, users));
  // A tied head is not repeated: transformers does not write it either.
  const repeated = repetitionsOf(family, parameters).filter(({ name }) => name.startsWith("model."));
  const copies = repeated.flatMap(({ name, of }) =>
    sources.filter((source) => source.name === of).map((source) => ({ ...source, name })),
  );
  return [...sources, ...copies];
}

function sourceOf(file: SafetensorsFile, path: string, name: string, users: readonly Recipe[]): TensorSource {
  const [recipe] = users;
  const tensor = file.tensor(recipe.ours);
  const index = recipe.parts.findIndex((part) => part.name === name);
  const shape = recipe.parts[index].dims;
  const { layout } = recipe;
  if (layout?.kind === "columns") {
    const ours = users.toSorted((a, b) => partOf(a) - partOf(b)).map((user) => file.tensor(user.ours));
    const other = ours.find(({ dtype }) => dtype !== tensor.dtype);
    if (other !== undefined) throw mixedFormats(path, tensor, other);
    return { name, dtype: tensor.dtype, shape, read: () => togetherPieces(file, ours, recipe.dims) };
  }
  const bytes = (tensor.end - tensor.begin) / recipe.parts.length;
  return { name, dtype: tensor.dtype, shape, read: () => slicePieces(file, tensor, index * bytes, bytes) };
}

const partOf = ({ layout }: Recipe): number => (layout?.kind === "columns" ? layout.part : 0);

async function* slicePieces(
  file: SafetensorsFile,
  tensor: StoredTensor,
  begin: number,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes; offset += pieceBytes) {
    yield await file.readBytes(tensor, begin + offset, Math.min(pieceBytes, bytes - offset));
  }
}

/** [experts, out, in] of each → [experts, in, of * out], an expert at a time; a bias has one input. */
async function* togetherPieces(
  file: SafetensorsFile,
  ours: readonly StoredTensor[],
  [experts, out, inputs = 1]: readonly number[],
): AsyncGenerator<Uint8Array> {
  const [{ dtype }] = ours;
  const slab = (inputs * out * dtypeBits[dtype]) / 8;
  for (let expert = 0; expert < experts; expert++) {
    const bytes = new Uint8Array(slab * ours.length);
    const theirs = wordsOf(bytes, dtype);
    for (const [part, tensor] of ours.entries()) {
      const values = wordsOf(await file.readBytes(tensor, expert * slab, slab), dtype);
      for (let o = 0; o < out; o++) {
        for (let i = 0; i < inputs; i++) theirs[(i * out + o) * ours.length + part] = values[o * inputs + i];
      }
    }
    yield bytes;
  }
}
