// Small specs that between them use what the language offers: for tests of passes, plans and whole models.

import { SourceText } from "../../compiler/source/text.ts";
import { readSpec } from "../../compiler/spec/read.ts";
import type { Spec } from "../../compiler/spec/spec.ts";

const plain = `
mspec: 1
name: tiny-plain
model:
  vocab: 37
  context: 24
  width: 20
  layers: 2
  tie_embeddings: true
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6 }
  ffn: { kind: dense, intermediate: 28 }
train:
  sequence: 12
  batch: { sequences: 4, micro: 2 }
  steps: 5
  optimizer: { kind: adamw, weight_decay: { all: 0.1, norm: 0 } }
  lr: 1e-2
  clip: 1.0
serve: { sequences: 2, tokens: 16, pages: 12, page: 4 }
`;

/** Formulas of the user's own, layers that differ, an untied head, scaled and interleaved rope. */
const formulas = `
mspec: 1
name: tiny-formulas
formulas: { relu2: "max(x, 0)^2" }
model:
  vocab: 41
  context: 32
  width: 18
  layers: 3
  attention:
    - kind: gqa
      heads: 3
      head_dim: 8
      rope: { theta: 500, layout: interleaved, llama3: { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original: 16 } }
      score: "5 * tanh(s / 5) - 0.1 * head"
      mask: "k <= q && same_document"
    - { layers: 1.., mask: "k <= q && q - k < 5", kv_heads: 1 }
  ffn:
    - { kind: dense, intermediate: 24, activation: "relu2(x) + 0.1 * x" }
    - { layers: -1.., activation: gelu(gate) * up }
train:
  sequence: 15
  batch: { sequences: 3, micro: 3 }
  steps: 5
  optimizer: { kind: adamw, betas: [0.8, 0.9] }
  lr: 1e-2
serve: { sequences: 2, tokens: 16, pages: 20, page: 4 }
`;

export function specOf(text: string, overrides: readonly string[] = []): Spec {
  const { spec, diagnostics } = readSpec(new SourceText("test.mspec.yaml", text), overrides);
  if (spec === undefined) throw new Error(diagnostics.map((d) => `${d.code}: ${d.claim}`).join("\n"));
  return spec;
}

export const tinySpecs: readonly (readonly [string, string])[] = [
  ["tiny-plain", plain],
  ["tiny-formulas", formulas],
];
