// One small spec and what attention can be besides plain: what tests of whole models run over.

import type { GqaSpec, MlaSpec, Spec, YarnSpec } from "../../compiler/spec/spec.ts";
import { specOf } from "../language/spec-text.ts";

/** Odd sizes throughout; the mask lets documents apart. */
const text = `mspec: 1
name: kinds
model:
  vocab: 37
  context: 48
  width: 18
  layers: 2
  tie_embeddings: true
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6, mask: "k <= q && same_document" }
  ffn: { kind: dense, intermediate: 11, activation: "silu(gate) * up" }
train:
  sequence: 12
  batch: { sequences: 4, micro: 2 }
  steps: 50
  lr: 3e-3
  init: normal(0.5)
serve: { sequences: 3, tokens: 20, pages: 24, page: 4 }
`;

const plainSpec = (overrides: readonly string[] = []): Spec => specOf(text, overrides);

/** The spec with other attention in all layers. */
export function withAttention(
  change: (attention: GqaSpec) => GqaSpec | MlaSpec,
  overrides: readonly string[] = [],
): Spec {
  const spec = plainSpec(overrides);
  const layers = spec.model.layers.map((layer) => {
    if (layer.attention.kind !== "gqa") throw new Error("the plain spec has grouped queries");
    return { ...layer, attention: change(layer.attention) };
  });
  return { ...spec, model: { ...spec.model, layers } };
}

const yarn: YarnSpec = {
  factor: 4,
  original: 12,
  betaFast: 2,
  betaSlow: 0.5,
  truncate: true,
  attentionFactor: undefined,
  mscale: 1,
  mscaleAllDim: 0.8,
};

type LatentSizes = Pick<MlaSpec, "heads" | "qRank" | "kvRank" | "nopeDim" | "ropeDim" | "valueDim"> & {
  readonly layout: "half" | "interleaved";
  readonly yarn: YarnSpec | undefined;
  readonly window?: number;
};

const latent =
  ({ layout, yarn: scaling, window, ...sizes }: LatentSizes) =>
  ({ rope, score, mask }: GqaSpec): MlaSpec => ({
    kind: "mla",
    ...sizes,
    normEps: 1e-6,
    window,
    score,
    mask,
    rope: { ...rope, dim: sizes.ropeDim, layout, yarn: scaling },
  });

export const attentionKinds: readonly (readonly [string, (attention: GqaSpec) => GqaSpec | MlaSpec])[] = [
  [
    "biases of all projections, sinks and a window",
    (a) => ({ ...a, bias: ["q", "k", "v", "out"], sinks: true, window: 5 }),
  ],
  [
    "norms of heads, a part that turns",
    (a) => ({ ...a, qkNorm: "head", rope: { ...a.rope, dim: 4, layout: "interleaved" } }),
  ],
  [
    "norms of projections, biases of three, YaRN",
    (a) => ({ ...a, qkNorm: "full", bias: ["q", "k", "v"], rope: { ...a.rope, yarn: { ...yarn, truncate: false } } }),
  ],
  [
    "latent vectors of queries too, interleaved, YaRN",
    latent({ heads: 3, qRank: 13, kvRank: 40, nopeDim: 24, ropeDim: 12, valueDim: 20, layout: "interleaved", yarn }),
  ],
  [
    "latent vectors without those of queries, halves, a window",
    latent({
      heads: 5,
      qRank: undefined,
      kvRank: 7,
      nopeDim: 5,
      ropeDim: 2,
      valueDim: 9,
      layout: "half",
      yarn: undefined,
      window: 6,
    }),
  ],
  [
    "one latent head of few channels",
    latent({ heads: 1, qRank: 1, kvRank: 1, nopeDim: 1, ropeDim: 2, valueDim: 1, layout: "half", yarn: undefined }),
  ],
];
