// A normalised spec reads back to the same Spec and prints the same text.

import fc from "fast-check";
import { expect, test } from "vitest";
import { normalizeSpec } from "../../compiler/spec/normalize.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";
import type { Spec } from "../../compiler/spec/spec.ts";
import { smallSpec, smallSpecWith, specOf } from "./spec-text.ts";

/** A Spec without the places, spans and original texts of its parts. */
function bare(spec: Spec): unknown {
  const dropped = new Set(["place", "span", "nameSpan", "operatorSpan", "calleeSpan", "text", "placeOf", "key"]);
  return JSON.parse(
    JSON.stringify(spec, (name, value) => {
      if (dropped.has(name)) return undefined;
      return value instanceof Map ? [...value] : value;
    }),
  );
}

function expectStable(spec: Spec): void {
  const text = normalizeSpec(spec);
  const again = specOf(text);
  expect(normalizeSpec(again)).toBe(text);
  expect(bare(again)).toEqual(bare(spec));
}

const normalizedSmall = `mspec: 1
name: small
model:
  vocab: 300
  context: 64
  width: 48
  layers: 4
  tie_embeddings: false
  norm:
    kind: rms_norm
    eps: 0.00001
  attention:
    kind: gqa
    heads: 4
    kv_heads: 4
    head_dim: 12
    bias: false
    qk_norm: none
    sinks: false
    rope:
      theta: 10000
      layout: half
      dim: 12
    score: s
    mask: k <= q
  ffn:
    kind: dense
    intermediate: 96
    activation: silu(gate) * up
    bias: false
precision:
  - f32
recompute: []
train:
  sequence: 64
  batch:
    sequences: 8
    micro: 8
  steps: 100
  optimizer:
    kind: adamw
    betas:
      - 0.9
      - 0.95
    eps: 1e-8
    weight_decay:
      all: 0
  lr: 0.001
  init:
    all: normal(0.02)
    norm: ones
  seed: 0
  evaluate_every: 0
  save_every: 0
  sample_every: 0
serve:
  sequences: 8
  tokens: 256
  page: 16
  pages: 32
`;

test("the small spec is printed with every default, in the order of the schema", () => {
  expect(normalizeSpec(specOf(smallSpec))).toBe(normalizedSmall);
});

const latent =
  "model.attention={ kind: mla, heads: 3, q_rank: 5, kv_rank: 6, nope_dim: 7, rope_dim: 2, value_dim: 9, norm_eps: 1e-3 }";

const experts = `model.ffn={ kind: moe, intermediate: 8, experts: 6, top_k: 2, shared: 2, shared_intermediate: 5, bias: true, router: {
  score: "let e = exp(logit - max(logit)); e / sum(e)", groups: { count: 3, keep: 2, score: top2_sum }, normalize: true,
  scale: 2.5, bias: true, bias_update: 1e-3 until 2k tokens then 0, losses: { sequence: 1e-4, z: linear from 0 to 1e-3 } } }`;

test.each([
  ["formulas", ['formulas={ toString: "max(a, 0) ^ 2", then: toString(x) }', "model.ffn.activation=then(gate) * up"]],
  ["a block that differs by layer", ['model.ffn+={ layers: "1..2, -1", activation: "-(up + 1)^2 - (1 - 2)" }']],
  ["masks that need quotes", ['model.attention.mask="!(k > q) && same_document"']],
  [
    "rope scaling",
    ["model.attention.rope={ llama3: { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original: 8192 } }"],
  ],
  [
    "precision",
    [
      'precision+="attention.{q,k}.{fprop,dgrad}": _ * f32 -> f32 -> _',
      'precision+="**.norm, head": f32 -> _ -> f32',
      "precision+=wgrad: _",
    ],
  ],
  [
    "bf16 by recipe, by rule and by program",
    [
      "precision=[bf16, all: bf16, router: f32, linear.wgrad: _ * bf16 -> f32 -> f32]",
      "train.precision=[f32, norm: bf16]",
      "evaluate={ precision: [bf16] }",
      "serve.precision=[head: bf16 * f32 -> f32 -> bf16]",
    ],
  ],
  [
    "tiles and recompute",
    [
      "tiles={ wgsl: { head: 64x32x8 }, wasm: { linear: 64x64x16, wgrad: 2x32x3 } }",
      'recompute=["**.norm", "layers[0.. by 2, -1].attention"]',
    ],
  ],
  ["data", ['data={ tokenizer: "yes", train: ["1", "# not a comment", "*.txt"], validation: [held] }']],
  [
    "gqa with all it may have",
    ["model.attention={ kind: gqa, heads: 4, bias: qkv, qk_norm: full, sinks: true, window: 7 }"],
  ],
  ["biases and a part of a head that turns", ["model.attention={ kind: gqa, heads: 4, bias: true, rope: { dim: 4 } }"]],
  [
    "yarn",
    ["model.attention.rope={ yarn: { factor: 40, original: 4, truncate: false, mscale: 0, attention_factor: 2 } }"],
  ],
  ["latent attention", [latent]],
  ["latent attention without a rank of queries", [latent.replace("q_rank: 5,", "window: 9,")]],
  ["experts", [experts]],
  ["experts of defaults", ["model.ffn={ kind: moe, intermediate: 8, experts: 4, top_k: 2, shared: 3 }"]],
  [
    "kinds that differ by layer",
    [experts, "model.ffn+={ layers: 1.., kind: dense }", latent, "model.attention+={ layers: 2, kind: gqa }"],
  ],
  [
    "several predictions",
    ["model.mtp={ depth: 3, weight: 0.3 until 1k tokens then 0.1, concat: [hidden, embedding] }"],
  ],
  ["tokens", ["train.tokens=5121"]],
  ["a ramp over tokens", ["train.batch={ sequences: linear(4k tokens) from 4 to 8 then hold, micro: 4 }"]],
  [
    "schedules of both units",
    ["train.lr=warmup(5) to 1e-3 then hold(until 10k tokens) then linear(10k tokens) to 0 then hold"],
  ],
  ["a schedule that is longer than training", ["train.lr=1e-3 for 200"]],
  ["a schedule behind the end", ["train.lr=warmup(500) to 1e-3 then cosine to 1e-4"]],
  [
    "init and decay",
    [
      'train.init={ norm: zeros, "{out,down}": "normal(0.02 / sqrt(2 * layers))", all.linear: "uniform(-1, 1)" }',
      "train.optimizer.weight_decay={ all: 0.1, norm: 0 }",
    ],
  ],
])("%s", (_, overrides) => {
  const base = overrides[0].startsWith("train.tokens") ? smallSpecWith(["  steps: 100\n", ""]) : smallSpec;
  expectStable(specOf(base, overrides));
});

test("without training schedules of the model are not printed, but that there is a choice bias is", () => {
  const text = smallSpec.slice(0, smallSpec.indexOf("train:"));
  const spec = specOf(text, [experts, "model.mtp={ depth: 2 }"]);
  const { ffn } = spec.model.layers[0];
  expect(ffn.kind === "moe" && ffn.router).toMatchObject({ hasChoiceBias: true, biasUpdate: undefined, losses: {} });
  expect(spec.model.mtp).toMatchObject({ depth: 2, weight: undefined });
  expectStable(spec);
});

const fixtures = ["deepseek-v3", "gpt-oss-120b"].map((name) => `test/language/fixtures/${name}.mspec.yaml`);

test("the specs of the repository are stable", () => {
  for (const name of [
    "examples/sotu/model.yaml",
    "specs/llama-3.1-8b.mspec.yaml",
    "specs/tiny-formulas.mspec.yaml",
    ...fixtures,
  ]) {
    const { spec } = readSpecFile(new URL(`../../${name}`, import.meta.url).pathname);
    if (spec === undefined) throw new Error(`${name} has faults`);
    expectStable(spec);
  }
});

test("any numbers are stable", () => {
  const whole = fc.integer({ min: 1, max: 10_000 });
  const real = fc.double({ min: 1e-37, max: 3e38, noNaN: true });
  fc.assert(
    fc.property(whole, whole, whole, real, real, real, (heads, half, steps, eps, rate, deviation) => {
      const overrides = [
        `model.attention.heads=${heads}`,
        `model.attention.head_dim=${2 * half}`,
        `train.steps=${steps}`,
        `model.norm.eps=${eps.toExponential()}`,
        `train.lr=linear from ${rate.toExponential()} to ${rate.toExponential()} / 3`,
        `train.init=normal(${deviation.toExponential()})`,
      ];
      expectStable(specOf(smallSpec, overrides));
    }),
    { numRuns: 200 },
  );
});

test("any sizes of experts and latent attention are stable", () => {
  const whole = fc.integer({ min: 1, max: 1000 });
  const loss = fc.double({ min: 0, max: 1, noNaN: true }).filter((value) => Math.fround(value) === 0 || value > 1e-30);
  fc.assert(
    fc.property(whole, whole, whole, whole, loss, fc.boolean(), (perGroup, count, rank, half, z, isWhole) => {
      const router = `{ score: sigmoid(logit), groups: { count: ${count}, keep: 1, score: max }, losses: { z: ${z.toExponential()} } }`;
      const size = Math.min(perGroup, Math.floor(2 ** 16 / count));
      const rope = isWhole ? "" : `, rope: { yarn: { factor: ${1 + z}, original: ${rank} } }`;
      const overrides = [
        `model.ffn={ kind: moe, intermediate: ${rank}, experts: ${size * count}, top_k: ${size}, router: ${router} }`,
        `model.attention={ kind: mla, heads: ${count}, kv_rank: ${rank}, nope_dim: ${half}, rope_dim: ${2 * half}, value_dim: ${perGroup}${rope} }`,
      ];
      expectStable(specOf(smallSpec, overrides));
    }),
    { numRuns: 100 },
  );
});

test("B16: the text does not depend on the order of keys, the time zone or the locale", () => {
  const reordered = `train: { lr: 1e-3, steps: 100, batch: { sequences: 8 } }
model:
  ffn: { intermediate: 96, kind: dense }
  attention: { heads: 4, kind: gqa }
  layers: 4
  width: 48
  context: 64
  vocab: 300
name: small
mspec: 1
`;
  expect(normalizeSpec(specOf(reordered))).toBe(normalizeSpec(specOf(smallSpec)));
});
