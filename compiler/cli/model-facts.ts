// The size of a model in numbers: parameters by part and of them active per token, work per token, cache per token.

import type { FlopsFacts } from "../source/messages/train.ts";
import type { AttentionSpec, ModelSpec } from "../spec/spec.ts";

/** A parameter of a manifest, or of a spec that nobody compiled. */
export interface CountedParameter {
  readonly path: string;
  readonly dims: readonly number[];
}

const partsInOrder = [
  "embedding",
  "attention",
  "router",
  "experts",
  "shared experts",
  "dense ffn",
  "norm",
  "head",
  "mtp",
] as const;
type Part = (typeof partsInOrder)[number];

export interface PartSize {
  readonly part: Part;
  readonly parameters: number;
  /** Of experts, as many as a token goes through; of all else, all. */
  readonly active: number;
}

export interface ModelSize {
  /** Parts without parameters are left out, and modules for further tokens, which serving can leave out. */
  readonly parts: readonly PartSize[];
  readonly parameters: number;
  readonly active: number;
  /** What a token only looks up; 0 if the table is the head's matrix as well and so multiplied with. */
  readonly inputEmbedding: number;
  /** The modules that predict tokens behind the next. */
  readonly mtp: PartSize | undefined;
}

export const lengthOf = ({ dims }: CountedParameter): number => dims.reduce((product, size) => product * size, 1);

export function modelSize(model: ModelSpec, parameters: readonly CountedParameter[]): ModelSize {
  const sums = new Map<Part, { parameters: number; active: number }>();
  for (const parameter of parameters) {
    const part = partOf(parameter.path);
    const sum = sums.get(part) ?? { parameters: 0, active: 0 };
    const length = lengthOf(parameter);
    sums.set(part, {
      parameters: sum.parameters + length,
      active: sum.active + activeOf(model, parameter.path, length),
    });
  }
  const sizes = partsInOrder.flatMap((part) => {
    const sum = sums.get(part);
    return sum === undefined ? [] : [{ part, ...sum }];
  });
  const parts = sizes.filter(({ part }) => part !== "mtp");
  return {
    parts,
    parameters: parts.reduce((sum, size) => sum + size.parameters, 0),
    active: parts.reduce((sum, size) => sum + size.active, 0),
    inputEmbedding: model.tieEmbeddings ? 0 : (sums.get("embedding")?.parameters ?? 0),
    mtp: sizes.find(({ part }) => part === "mtp"),
  };
}

/** By the paths of docs/language.md. */
function partOf(path: string): Part {
  if (path.startsWith("mtp[")) return "mtp";
  if (/(^|[._])norm$/.test(path)) return "norm";
  if (path === "head" || path === "embedding") return path;
  if (path.includes(".attention.")) return "attention";
  const [, block] = /\.ffn\.(router|experts|shared)\b/.exec(path) ?? [];
  if (block === "shared") return "shared experts";
  return block === "router" || block === "experts" ? block : "dense ffn";
}

/** A module for a further token has the blocks of the last layer. */
function activeOf({ layers }: ModelSpec, path: string, length: number): number {
  if (!path.includes(".ffn.experts.")) return length;
  const [, index] = /^layers\[(\d+)\]/.exec(path) ?? [];
  const { ffn } = layers[index === undefined ? layers.length - 1 : Number(index)];
  return ffn.kind === "moe" ? (length / ffn.experts) * ffn.topK : length;
}

/**
 * FLOPs of training per token: 6 (active parameters - input embedding) + 3 A, with A the causal half of the attention products.
 *
 * Source: 6 N per token, Kaplan et al., arXiv:2001.08361, and attention on top. A tied embedding is the head's matrix, so it is multiplied with and stays in N.
 */
export function trainingFlops(model: ModelSpec, size: ModelSize, sequence: number): FlopsFacts {
  const { active, inputEmbedding } = size;
  const attention = causalFlops(model, sequence);
  const { vocab, width, layers, mtp } = model;
  const depth = mtp?.depth ?? 0;
  const ofPrediction =
    pairFlops(layers[layers.length - 1].attention) * meanKeys(layers[layers.length - 1].attention, sequence);
  return {
    active,
    inputEmbedding,
    isTied: model.tieEmbeddings,
    attention,
    sequence,
    total: 6 * (active - inputEmbedding) + 3 * attention,
    mtp: depth === 0 ? 0 : 6 * ((size.mtp?.active ?? 0) + depth * vocab * width) + 3 * depth * ofPrediction,
  };
}

/** FLOPs of attention per token, forward, averaged over a sequence. */
const causalFlops = ({ layers }: ModelSpec, sequence: number): number =>
  layers.reduce((sum, { attention }) => sum + pairFlops(attention) * meanKeys(attention, sequence), 0);

/** FLOPs of attention over the cache: for a token of a prompt of `context` tokens, in the mean, and for one more behind them. */
export function cachedFlops({ layers }: ModelSpec, context: number): { prompt: number; next: number } {
  const sum = (keys: (attention: AttentionSpec, context: number) => number) =>
    layers.reduce((all, { attention }) => all + cachedPairFlops(attention) * keys(attention, context), 0);
  return { prompt: sum(meanKeys), next: sum(keysKept) };
}

/** Of one query and one key over all heads: q·k and p·v. */
function pairFlops(attention: AttentionSpec): number {
  if (attention.kind === "gqa") return 2 * attention.heads * (attention.headDim + attention.headDim);
  const { heads, nopeDim, ropeDim, valueDim } = attention;
  return 2 * heads * (nopeDim + ropeDim + valueDim);
}

/** With latent vectors in place of keys and values, the projections having moved to the query and the output: DeepSeek-V2, arXiv:2405.04434, appendix C. */
function cachedPairFlops(attention: AttentionSpec): number {
  if (attention.kind === "gqa") return pairFlops(attention);
  const { heads, kvRank, ropeDim } = attention;
  return 2 * heads * (kvRank + ropeDim + kvRank);
}

/** How many keys a query of a causal sequence sees in the mean: half of them, or less behind a window. */
function meanKeys(attention: AttentionSpec, sequence: number): number {
  const most = keysKept(attention, sequence);
  return most * (1 - most / (2 * sequence));
}

/** How many tokens of a sequence a layer can still see. */
export const keysKept = ({ window }: AttentionSpec, length: number): number => Math.min(length, window ?? length);

/** Elements that a token leaves in the cache of a layer: keys and values of all groups, or one latent vector and the key's turned part. */
export const cacheElements = (attention: AttentionSpec): number =>
  attention.kind === "gqa" ? 2 * attention.kvHeads * attention.headDim : attention.kvRank + attention.ropeDim;
