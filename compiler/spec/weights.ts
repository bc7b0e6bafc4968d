// The matrices of a layer's blocks and the widest vectors between them, in numbers: what limits.ts adds up and bounds.

import type { AttentionSpec, FfnSpec, LayerSpec } from "./spec.ts";

/** A number of the spec, or a product of some, as messages spell it. */
export interface NamedSize {
  readonly name: string;
  readonly value: number;
}

/** A matrix, or one for each of so many experts. */
export interface Weight {
  readonly block: "attention" | "ffn";
  readonly factors: readonly NamedSize[];
}

const size = (name: string, value: number): NamedSize => ({ name, value });

/** Every matrix of a layer; gains and biases are thousands of times smaller. */
export function layerWeights({ attention, ffn }: LayerSpec, width: number): Weight[] {
  const channels = size("width", width);
  const ofAttention = attentionWeights(attention, channels).map(
    (factors) => ({ block: "attention", factors }) as const,
  );
  const ofFfn = ffnWeights(ffn, channels).map((factors) => ({ block: "ffn", factors }) as const);
  return [...ofAttention, ...ofFfn];
}

function attentionWeights(spec: AttentionSpec, width: NamedSize): NamedSize[][] {
  if (spec.kind === "gqa") {
    const queries = size("heads * head_dim", spec.heads * spec.headDim);
    const keys = size("kv_heads * head_dim", spec.kvHeads * spec.headDim);
    return [queries, keys, keys, queries].map((out) => [out, width]);
  }
  const { heads, qRank, kvRank, nopeDim, ropeDim, valueDim } = spec;
  const queries = size("heads * (nope_dim + rope_dim)", heads * (nopeDim + ropeDim));
  const rank = qRank === undefined ? width : size("q_rank", qRank);
  const both = size("heads * (nope_dim + value_dim)", heads * (nopeDim + valueDim));
  return [
    ...(qRank === undefined ? [] : [[rank, width]]),
    [queries, rank],
    [size("kv_rank + rope_dim", kvRank + ropeDim), width],
    [both, size("kv_rank", kvRank)],
    [size("heads * value_dim", heads * valueDim), width],
  ];
}

function ffnWeights(spec: FfnSpec, width: NamedSize): NamedSize[][] {
  const intermediate = size("intermediate", spec.intermediate);
  const projections = Array.from({ length: spec.inputs.length + 1 }, () => [intermediate, width]);
  if (spec.kind === "dense") return projections;
  const experts = size("experts", spec.experts);
  const shared = size("shared_intermediate", spec.sharedIntermediate);
  return [
    [experts, width],
    ...projections.map((factors) => [experts, ...factors]),
    ...(spec.sharedIntermediate === 0 ? [] : projections.map(() => [shared, width])),
  ];
}

/** The widest vectors of a layer between its projections, per token; a token has as many rows as it has experts. */
export function layerChannels({ attention, ffn }: LayerSpec): NamedSize[] {
  const own =
    attention.kind === "gqa"
      ? [size("heads * head_dim", attention.heads * attention.headDim)]
      : [
          size("heads * (nope_dim + rope_dim)", attention.heads * (attention.nopeDim + attention.ropeDim)),
          size("heads * (nope_dim + value_dim)", attention.heads * (attention.nopeDim + attention.valueDim)),
        ];
  if (ffn.kind === "dense") return [...own, size("intermediate", ffn.intermediate)];
  return [
    ...own,
    size("top_k * intermediate", ffn.topK * ffn.intermediate),
    size("shared_intermediate", ffn.sharedIntermediate),
    size("experts", ffn.experts),
  ];
}

/** Numbers that the cache keeps of a token in one layer: keys and values, or the latent vector and the shared key. */
export function cachedChannels(attention: AttentionSpec): number {
  if (attention.kind === "gqa") return 2 * attention.kvHeads * attention.headDim;
  return attention.kvRank + attention.ropeDim;
}
