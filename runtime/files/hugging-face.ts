// What Hugging Face checkpoints call a model's parameters, per family, and how they lie there. Knows names and shapes: no file.

import { deepseekV2, deepseekV3 } from "./families/deepseek.ts";
import { gptOss } from "./families/gpt-oss.ts";
import { llama } from "./families/llama.ts";
import { mixtral } from "./families/mixtral.ts";
import type { FamilyNames, Layout, NameRow } from "./families/names.ts";
import { olmoe } from "./families/olmoe.ts";
import { qwen3 } from "./families/qwen3.ts";
import { qwen3Moe } from "./families/qwen3-moe.ts";

const families = {
  llama,
  qwen3,
  qwen3_moe: qwen3Moe,
  mixtral,
  olmoe,
  deepseek_v2: deepseekV2,
  deepseek_v3: deepseekV3,
  gpt_oss: gptOss,
} as const satisfies Readonly<Record<string, FamilyNames>>;
export type Family = keyof typeof families;

/** A parameter of a model, by our name. */
export interface WantedParameter {
  readonly name: string;
  readonly dims: readonly number[];
}

/** What one of our parameters is made of. */
export interface Recipe {
  readonly ours: string;
  readonly dims: readonly number[];
  /** One tensor of theirs, or with the layout `stack` one for every expert. */
  readonly parts: readonly WantedParameter[];
  readonly layout: Layout | undefined;
}

/** A tensor of theirs that only repeats another one. */
export interface Repetition {
  readonly name: string;
  readonly of: string;
}

/** A tied model has no head of its own; some checkpoints repeat the embedding under this name. */
export const headNames = { ours: "head.weight", embedding: "embedding.weight" } as const;

/**
 * Buffers that old checkpoints keep beside the parameters and that config.json already says: transformers skips them too.
 * And tensors without elements: it saves the shared block of a model that has 0 shared experts.
 */
export const saysNothing = (theirs: string, shape: readonly number[]): boolean =>
  theirs.endsWith(".rotary_emb.inv_freq") || shape.includes(0);

/** Where our parameters lie in a checkpoint, in their order; `undefined` for one that the family does not have. */
export function recipesOf(family: Family, parameters: readonly WantedParameter[]): (Recipe | undefined)[] {
  const numLayers = numLayersOf(parameters);
  return parameters.map(({ name, dims }) => {
    const found = rowOf(families[family], name, numLayers);
    if (found === undefined) return undefined;
    const [theirs, layout] = found;
    return { ours: name, dims, layout, parts: partsOf(theirs, dims, layout) };
  });
}

/** What a checkpoint repeats of the model's own tensors: a tied head, and embedding and head of further predictions. */
export function repetitionsOf(family: Family, parameters: readonly WantedParameter[]): Repetition[] {
  const names: FamilyNames = families[family];
  const numLayers = numLayersOf(parameters);
  const isTied = parameters.every(({ name }) => name !== headNames.ours);
  const theirs = (ours: string): string => {
    const own = isTied && ours === headNames.ours ? headNames.embedding : ours;
    return names.rows.find(([name]) => name === own)?.[1] ?? own;
  };
  const head = names.rows.find(([ours]) => ours === headNames.ours)?.[1];
  const tied = isTied && head !== undefined ? [{ name: head, of: theirs(headNames.embedding) }] : [];
  const modules = Array.from({ length: depthOf(parameters) }, (_, i) => i + numLayers);
  return [
    ...tied,
    ...modules.flatMap((layer) =>
      (names.repeated ?? []).map(([name, ours]) => ({ name: `model.layers.${layer}.${name}`, of: theirs(ours) })),
    ),
  ];
}

/** Whether a tensor is of a module that predicts further tokens, which the model does not have. */
export function isOfOtherPrediction(family: Family, theirs: string, parameters: readonly WantedParameter[]): boolean {
  const names: FamilyNames = families[family];
  const layer = Number(/^model\.layers\.(0|[1-9]\d*)\./.exec(theirs)?.[1] ?? Number.NaN);
  return names.prediction !== undefined && depthOf(parameters) === 0 && layer >= numLayersOf(parameters);
}

const numLayersOf = (parameters: readonly WantedParameter[]): number => countOf("layers", parameters);
const depthOf = (parameters: readonly WantedParameter[]): number => countOf("mtp", parameters);

function countOf(kind: "layers" | "mtp", parameters: readonly WantedParameter[]): number {
  const pattern = new RegExp(`^${kind}\\.(\\d+)\\.`);
  const numbers = parameters.map(({ name }) => Number(pattern.exec(name)?.[1] ?? -1));
  return numbers.reduce((most, number) => Math.max(most, number + 1), 0);
}

/** Their name of one of our parameters, with `{e}` where it lies in several tensors. */
function rowOf(
  { rows, prediction = [] }: FamilyNames,
  name: string,
  numLayers: number,
): readonly [theirs: string, layout: Layout | undefined] | undefined {
  const [, kind, number, rest] = /^(layers|mtp)\.(0|[1-9]\d*)\.(.+)$/.exec(name) ?? [];
  if (kind === undefined) return resultOf(rows.find(([ours]) => ours === name));
  const layer = kind === "layers" ? Number(number) : numLayers + Number(number);
  const own = kind === "mtp" ? prediction.find(([ours]) => ours === rest) : undefined;
  if (own !== undefined) return [`model.layers.${layer}.${own[1]}`, own[2]];
  const isPossible = kind === "layers" || prediction.length > 0;
  const row = isPossible ? rows.find(([ours]) => ours === `layers.{i}.${rest}`) : undefined;
  return resultOf(row, String(layer));
}

const resultOf = (row: NameRow | undefined, layer = ""): readonly [string, Layout | undefined] | undefined =>
  row && [row[1].replace("{i}", layer), row[2]];

function partsOf(theirs: string, dims: readonly number[], layout: Layout | undefined): WantedParameter[] {
  if (layout === undefined) return [{ name: theirs, dims }];
  const [count, out, ...inputs] = dims;
  if (layout.kind === "columns") return [{ name: theirs, dims: [count, ...inputs, layout.of * out] }];
  return Array.from({ length: count }, (_, e) => ({ name: theirs.replace("{e}", String(e)), dims: dims.slice(1) }));
}
