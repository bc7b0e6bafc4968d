// Weights under Hugging Face's names → tensors under ours. Everything that does not fit is found before the first tensor is
// read; what is not finite while they are.

import * as messages from "../messages/hugging-face.ts";
import { differencesOf } from "../weights.ts";
import { pieceBytes } from "./disk.ts";
import { FiniteCheck } from "./finite-check.ts";
import {
  type Family,
  headNames,
  isOfOtherPrediction,
  type Recipe,
  type Repetition,
  recipesOf,
  repetitionsOf,
  saysNothing,
  type WantedParameter,
} from "./hugging-face.ts";
import type { StoredTensor } from "./safetensors.ts";
import type { TensorSource } from "./safetensors-writer.ts";
import { givenDtype, piecesOf, type ScaleBlock, scaleNameOf } from "./tensor-pieces.ts";
import type { WeightShards } from "./weight-shards.ts";

export interface ImportedWeights {
  /** In the model's order; each is read when its turn comes. */
  readonly tensors: readonly TensorSource[];
  /** How many tensors of theirs were in F8_E4M3 and are given out as F32. */
  readonly numScaled: number;
  /** Tensors of a module that predicts further tokens, which config.json does not have: they are left out. */
  readonly leftOut: readonly string[];
  /** To be called behind the last tensor. Errors: `import/non-finite-weights` with how many and the first. */
  checkFinite(): void;
}

export interface ImportOptions {
  /** Of tensors in F8_E4M3; undefined: config.json knows of none. */
  readonly scaleBlock: ScaleBlock | undefined;
}

/**
 * Errors: `import/tensors-differ` with every difference, `import/head-missing`, `import/head-differs` for a tensor that
 * should repeat another one and does not, `import/mixed-formats`.
 */
export async function importWeights(
  shards: WeightShards,
  family: Family,
  parameters: readonly WantedParameter[],
  { scaleBlock }: ImportOptions,
): Promise<ImportedWeights> {
  const recipes = recipesOf(family, parameters);
  const known = recipes.filter((recipe) => recipe !== undefined);
  const tensors = new Map([...shards.tensors].filter(([name, { shape }]) => !saysNothing(name, shape)));
  for (const repetition of repetitionsOf(family, parameters)) {
    if (!tensors.has(repetition.name) || !tensors.has(repetition.of)) continue;
    await checkRepeated(shards, repetition);
    tensors.delete(repetition.name);
  }
  const leftOut = [...tensors.keys()].filter((name) => isOfOtherPrediction(family, name, parameters));
  for (const name of leftOut) tensors.delete(name);
  const nameless = parameters.filter((_, i) => recipes[i] === undefined);
  const scaled = scaleBlock === undefined ? emptyScaled : takeScaled(tensors, known, scaleBlock);
  const differences = [...scaled.differences, ...differencesOf(tensors, [...nameless, ...partsOf(known)])];
  checkHead(shards.folder, known, differences);
  if (differences.length > 0) throw messages.tensorsDiffer(shards.folder, differences);
  const check = new FiniteCheck();
  const sources = known.map((recipe) => sourceOf(shards, recipe, { scaleBlock, look: (piece) => check.look(piece) }));
  return { tensors: sources, numScaled: scaled.count, leftOut, checkFinite: () => check.throwIfAny() };
}

/** Tensors of theirs, each once: two of ours may lie in one. */
function partsOf(recipes: readonly Recipe[]): WantedParameter[] {
  return [...new Map(recipes.flatMap(({ parts }) => parts.map((part) => [part.name, part] as const))).values()];
}

/** A head that alone is missing is most likely the embedding. */
function checkHead(folder: string, recipes: readonly Recipe[], differences: readonly string[]): void {
  const head = recipes.find(({ ours }) => ours === headNames.ours)?.parts[0].name;
  if (head === undefined || differences.length !== 1 || !differences[0].startsWith(`${head} is missing`)) return;
  throw messages.headMissing(folder, head);
}

const emptyScaled = { count: 0, differences: [] };

/** Tensors in F8_E4M3 with their scales, which then count as F32 ones; the scales are taken out. */
function takeScaled(
  tensors: Map<string, StoredTensor>,
  recipes: readonly Recipe[],
  [blockRows, blockColumns]: ScaleBlock,
): { readonly count: number; readonly differences: readonly string[] } {
  const differences: string[] = [];
  let count = 0;
  for (const { name } of recipes.flatMap(({ parts, layout }) => (layout?.kind === "columns" ? [] : parts))) {
    const [tensor, scales] = [tensors.get(name), tensors.get(scaleNameOf(name))];
    if (tensor?.dtype !== "F8_E4M3" || tensor.shape.length !== 2) continue;
    count++;
    tensors.set(name, { ...tensor, dtype: "F32" });
    tensors.delete(scaleNameOf(name));
    const [rows, columns] = tensor.shape;
    const wanted = [Math.ceil(rows / blockRows), Math.ceil(columns / blockColumns)];
    if (scales === undefined) differences.push(messages.noScales(name, scaleNameOf(name)));
    else if (scales.dtype !== "F32" || scales.shape.join() !== wanted.join()) {
      differences.push(messages.otherScales(scales, wanted, name));
    }
  }
  return { count, differences };
}

function sourceOf(shards: WeightShards, recipe: Recipe, options: Parameters<typeof piecesOf>[2]): TensorSource {
  const [first, ...others] = recipe.parts.map(({ name }) => ({
    name,
    dtype: shards.tensors.get(name)?.dtype ?? "F32",
  }));
  const other = others.find(({ dtype }) => dtype !== first.dtype);
  if (other !== undefined) throw messages.mixedFormats(shards.folder, first, other);
  return {
    name: recipe.ours,
    dtype: givenDtype(first.dtype),
    shape: recipe.dims,
    read: () => piecesOf(shards, recipe, options),
  };
}

/** A tensor that only repeats another one, byte for byte, is none of its own. */
async function checkRepeated(shards: WeightShards, { name: head, of: embedding }: Repetition): Promise<void> {
  const [ours, theirs] = [embedding, head].map((name) => shards.tensors.get(name));
  if (ours === undefined || theirs === undefined) return;
  const differs = (what: string) => messages.headDiffers(shards.folder, { head, embedding, what });
  const words = ({ dtype, shape }: StoredTensor) => `${dtype} [${shape.join(", ")}]`;
  if (words(ours) !== words(theirs)) throw differs(`one is ${words(ours)}, the other ${words(theirs)}`);
  const bytes = ours.end - ours.begin;
  for (let offset = 0; offset < bytes; offset += pieceBytes) {
    const length = Math.min(pieceBytes, bytes - offset);
    const left = await shards.readBytes(embedding, offset, length);
    const right = await shards.readBytes(head, offset, length);
    const at = left.findIndex((byte, index) => byte !== right[index]);
    if (at < 0) continue;
    const elements = ours.shape.reduce((count, size) => count * size, 1);
    throw differs(`they differ first at element ${Math.floor((offset + at) / (bytes / elements))} of ${elements}`);
  }
}
