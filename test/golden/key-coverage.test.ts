// Every key of a spec does something (docs/language.md): each leaf of a maximal spec is changed to another legal value,
// and the code of a kernel or a fact of the manifest must change with it.

import { describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import type { Target } from "../../compiler/kernels/target.ts";
import { targets } from "../../compiler/kernels/targets.ts";
import { SourceText } from "../../compiler/source/text.ts";
import { readSpec } from "../../compiler/spec/read.ts";
import { specSchema } from "../../compiler/spec/schema.ts";
import { branches, type SectionShape, type Shape } from "../../compiler/spec/shape.ts";

/** Every key, with a value that is no default. */
const maximal = `
mspec: 1
name: maximal
formulas: { squared: "max(x, 0)^2" }
model:
  vocab: 300
  context: 48
  width: 24
  layers: 2
  tie_embeddings: true
  norm: { kind: rms_norm, eps: 1e-6 }
  attention:
    - kind: gqa
      heads: 4
      kv_heads: 2
      head_dim: 8
      rope:
        theta: 5000
        layout: interleaved
        llama3: { factor: 4, low_freq_factor: 1, high_freq_factor: 2, original: 16 }
      score: 2 * s
      mask: k <= q && same_document
    - { layers: 1, score: s }
  ffn:
    - { kind: dense, intermediate: 40, activation: squared(x) }
    - { layers: 1, activation: silu(gate) * up }
precision: [f32, { norm: f32 }]
tiles: { wasm: { linear: 32x32x16 }, wgsl: { linear: 32x32x8 } }
recompute: [norm]
data: { tokenizer: bytes, train: [a.txt], validation: 0.1, skip_bad_lines: true }
train:
  sequence: 16
  batch: { sequences: 4, micro: 2 }
  steps: 30
  optimizer: { kind: adamw, betas: [0.8, 0.9], eps: 1e-7, weight_decay: { all: 0.2, norm: 0 } }
  lr: warmup(5) to 1e-3 then 1e-4
  clip: 2
  init: { all: normal(0.03), out: zeros }
  seed: 3
  evaluate_every: 7
  save_every: 8
  sample_every: 9
serve: { sequences: 3, tokens: 33, pages: 20, page: 4 }
`;

/** Another legal value for each key; below a list of blocks, for one of its entries. */
const changes: Readonly<Record<string, string>> = {
  formulas: "formulas.squared=max(x, 0)^3",
  "model.vocab": "model.vocab=301",
  "model.context": "model.context=64",
  "model.width": "model.width=28",
  "model.layers": "model.layers=3",
  "model.tie_embeddings": "model.tie_embeddings=false",
  "model.norm.eps": "model.norm.eps=1e-4",
  "model.attention.heads": "model.attention[0].heads=2",
  "model.attention.kv_heads": "model.attention[0].kv_heads=4",
  "model.attention.head_dim": "model.attention[0].head_dim=10",
  "model.attention.rope.theta": "model.attention[0].rope.theta=6000",
  "model.attention.rope.layout": "model.attention[0].rope.layout=half",
  "model.attention.rope.llama3.factor": "model.attention[0].rope.llama3.factor=8",
  "model.attention.rope.llama3.low_freq_factor": "model.attention[0].rope.llama3.low_freq_factor=1.5",
  "model.attention.rope.llama3.high_freq_factor": "model.attention[0].rope.llama3.high_freq_factor=3",
  "model.attention.rope.llama3.original": "model.attention[0].rope.llama3.original=32",
  "model.attention.score": "model.attention[0].score=3 * s",
  "model.attention.mask": "model.attention[0].mask=k <= q",
  "model.attention.layers": "model.attention[1].layers=0..1",
  "model.ffn.intermediate": "model.ffn[0].intermediate=44",
  "model.ffn.activation": "model.ffn[0].activation=gelu(x)",
  "model.ffn.layers": "model.ffn[1].layers=0",
  precision: "precision=[bf16]",
  "train.precision": "train.precision=[bf16]",
  "evaluate.precision": "evaluate={ precision: [bf16] }",
  "serve.precision": "serve.precision=[bf16]",
  "tiles.wasm": "tiles.wasm={linear: 64x32x16}",
  "tiles.wgsl": "tiles.wgsl={linear: 64x32x8}",
  recompute: "recompute=[activation]",
  "data.tokenizer": "data.tokenizer=tokenizer.json",
  "data.train": "data.train=[b.txt]",
  "data.validation": "data.validation=[held-out.txt]",
  "data.skip_bad_lines": "data.skip_bad_lines=false",
  "train.sequence": "train.sequence=24",
  "train.batch.sequences": "train.batch.sequences=6",
  "train.batch.micro": "train.batch.micro=4",
  "train.steps": "train.steps=31",
  "train.optimizer.betas": "train.optimizer.betas=[0.8, 0.95]",
  "train.optimizer.eps": "train.optimizer.eps=1e-6",
  "train.optimizer.weight_decay": "train.optimizer.weight_decay=0.3",
  "train.lr": "train.lr=2e-3",
  "train.clip": "train.clip=3",
  "train.init": "train.init=normal(0.04)",
  "train.seed": "train.seed=4",
  "train.evaluate_every": "train.evaluate_every=5",
  "train.save_every": "train.save_every=5",
  "train.sample_every": "train.sample_every=5",
  "serve.sequences": "serve.sequences=4",
  "serve.tokens": "serve.tokens=40",
  "serve.page": "serve.page=8",
  "serve.pages": "serve.pages=24",
};

/** Keys that change nothing, and why. */
const exceptions: Readonly<Record<string, string>> = {
  mspec: "the version of the language has one legal value",
  name: "names the output: it stands in the manifest and in headers as itself",
  "model.norm.kind": "one word so far",
  "train.optimizer.kind": "one word so far",
  "train.tokens": "another way to say steps, refused beside it; the test below takes its place",
};

/** The maximal spec with other blocks, and another legal value for each of their keys. */
interface Variant {
  readonly blocks: readonly string[];
  readonly changes: Readonly<Record<string, string>>;
}

const yarn =
  "yarn: { factor: 4, original: 16, beta_fast: 30, beta_slow: 2, truncate: false, mscale: 0.9, mscale_all_dim: 0.8 }";

const variants: readonly Variant[] = [
  {
    blocks: [
      `model.attention={ kind: gqa, heads: 4, head_dim: 8, bias: qkv, qk_norm: head, sinks: true, window: 9, rope: { dim: 6, ${yarn} } }`,
      "model.ffn={ kind: dense, intermediate: 40, bias: true }",
    ],
    changes: {
      "model.attention.bias": "model.attention.bias=true",
      "model.attention.qk_norm": "model.attention.qk_norm=full",
      "model.attention.sinks": "model.attention.sinks=false",
      "model.attention.window": "model.attention.window=7",
      "model.attention.rope.dim": "model.attention.rope.dim=4",
      "model.attention.rope.yarn.factor": "model.attention.rope.yarn.factor=8",
      "model.attention.rope.yarn.original": "model.attention.rope.yarn.original=24",
      "model.attention.rope.yarn.beta_fast": "model.attention.rope.yarn.beta_fast=20",
      "model.attention.rope.yarn.beta_slow": "model.attention.rope.yarn.beta_slow=1",
      "model.attention.rope.yarn.truncate": "model.attention.rope.yarn.truncate=true",
      "model.attention.rope.yarn.attention_factor": "model.attention.rope.yarn.attention_factor=1.5",
      "model.attention.rope.yarn.mscale": "model.attention.rope.yarn.mscale=1",
      "model.attention.rope.yarn.mscale_all_dim": "model.attention.rope.yarn.mscale_all_dim=1",
    },
  },
  {
    blocks: [
      "model.attention={ kind: mla, heads: 3, q_rank: 12, kv_rank: 10, nope_dim: 6, rope_dim: 4, value_dim: 5, norm_eps: 1e-4 }",
      "model.ffn={ kind: moe, experts: 8, top_k: 2, shared: 1, shared_intermediate: 14, intermediate: 12, bias: true, router: { score: sigmoid(logit), groups: { count: 4, keep: 2, score: top2_sum }, normalize: true, scale: 2.5, bias: true, bias_update: 0.01, losses: { sequence: 0.1, batch: 0.2, z: 0.3 } } }",
      "model.mtp={ depth: 1, weight: 0.2, concat: [hidden, embedding] }",
    ],
    changes: {
      "model.attention.kind": "model.attention={ kind: gqa, heads: 3, head_dim: 8 }",
      "model.attention.q_rank": "model.attention.q_rank=11",
      "model.attention.kv_rank": "model.attention.kv_rank=9",
      "model.attention.nope_dim": "model.attention.nope_dim=7",
      "model.attention.rope_dim": "model.attention.rope_dim=6",
      "model.attention.value_dim": "model.attention.value_dim=6",
      "model.attention.norm_eps": "model.attention.norm_eps=1e-3",
      "model.ffn.kind": "model.ffn={ kind: dense, intermediate: 12 }",
      "model.ffn.bias": "model.ffn.bias=false",
      "model.ffn.experts": "model.ffn.experts=12",
      "model.ffn.top_k": "model.ffn.top_k=3",
      "model.ffn.shared": "model.ffn.shared=0",
      "model.ffn.shared_intermediate": "model.ffn.shared_intermediate=15",
      "model.ffn.router.score": "model.ffn.router.score=softmax(logit)",
      "model.ffn.router.normalize": "model.ffn.router.normalize=false",
      "model.ffn.router.scale": "model.ffn.router.scale=2",
      "model.ffn.router.bias": "model.ffn.router.bias=false",
      "model.ffn.router.bias_update": "model.ffn.router.bias_update=0.02",
      "model.ffn.router.groups.count": "model.ffn.router.groups.count=2",
      "model.ffn.router.groups.keep": "model.ffn.router.groups.keep=3",
      "model.ffn.router.groups.score": "model.ffn.router.groups.score=max",
      "model.ffn.router.losses.sequence": "model.ffn.router.losses.sequence=0.15",
      "model.ffn.router.losses.batch": "model.ffn.router.losses.batch=0.25",
      "model.ffn.router.losses.z": "model.ffn.router.losses.z=0.35",
      "model.mtp.depth": "model.mtp.depth=2",
      "model.mtp.weight": "model.mtp.weight=0.3",
      "model.mtp.concat": "model.mtp.concat=[embedding, hidden]",
    },
  },
];

/** The leaves of the schema by path; entries of lists and of maps with invented keys belong to their key. */
function leafPaths(section: SectionShape, path = ""): string[] {
  const paths = [...section.keys].flatMap(([name, { shape }]) =>
    leavesOf(shape, path === "" ? name : `${path}.${name}`),
  );
  return [...new Set(paths)];
}

function leavesOf(shape: Shape, path: string): string[] {
  const sections = branches(shape).flatMap((branch) => {
    if (branch.kind === "section") return [branch];
    return branch.kind === "list" && branch.of.kind === "section" ? [branch.of] : [];
  });
  return sections.length === 0 ? [path] : sections.flatMap((section) => leafPaths(section, path));
}

/** The code of all kernels without its provenance, and the manifest without what only repeats the spec. */
function effects(
  overrides: readonly string[],
  target: Target = targets.wasm,
): {
  readonly kernels: string;
  readonly manifest: string;
} {
  const { spec, diagnostics } = readSpec(new SourceText("maximal.yaml", maximal), overrides);
  if (spec === undefined) throw new Error(diagnostics.map(({ code, claim }) => `${code}: ${claim}`).join("\n"));
  const { kernels, manifest } = compile(spec, undefined, {}, target);
  const code = kernels.map(({ text }) => text.replace(/^(;;|\/\/).*\n/gm, "")).sort();
  const { name: _name, model: _model, kernels: listed, ...facts } = manifest;
  const parts = { ...facts, kernels: listed.map(({ sha256: _sha256, ...kernel }) => kernel) };
  return { kernels: code.join("\n"), manifest: JSON.stringify(parts) };
}

test("every key of the schema is changed here, or an exception with a reason", () => {
  const listed = [
    ...Object.keys(changes),
    ...Object.keys(exceptions),
    ...variants.flatMap((variant) => Object.keys(variant.changes)),
  ];
  expect(listed.sort()).toEqual(leafPaths(specSchema).sort());
  expect(Object.keys(changes).length).toBeGreaterThan(40);
});

/** The choices at a key, in every block that has it. */
function wordsAt(section: SectionShape, [name, ...below]: readonly string[]): number[] {
  const shapes = branches(section.keys.get(name)?.shape ?? { kind: "flag" }).flatMap((shape) =>
    shape.kind === "list" ? branches(shape.of) : [shape],
  );
  return shapes.flatMap((shape) => {
    if (shape.kind === "section" && below.length > 0 && shape.keys.has(below[0])) return wordsAt(shape, below);
    return shape.kind === "choice" && below.length === 0 ? [shape.words.length] : [];
  });
}

test("where an exception says that there is one word, there is one: a second must do something", () => {
  const keys = Object.entries(exceptions).filter(([, reason]) => reason === "one word so far");
  const counts = keys.flatMap(([key]) => wordsAt(specSchema, key.split(".")));
  expect(counts.length).toBeGreaterThanOrEqual(keys.length);
  expect(new Set(counts)).toEqual(new Set([1]));
});

const bases = { wasm: effects([]), wgsl: effects([], targets.wgsl) };

test.each(Object.entries(changes))("%s does something", (path, override) => {
  const target = path === "tiles.wgsl" ? "wgsl" : "wasm";
  const [before, after] = [bases[target], effects([override], targets[target])];
  expect(after.kernels !== before.kernels || after.manifest !== before.manifest).toBe(true);
});

describe.each(variants)("with $blocks", ({ blocks, changes: own }) => {
  const plain = effects(blocks);

  test.each(Object.entries(own))("%s does something", (path, override) => {
    const others = path.endsWith(".shared")
      ? blocks.map((block) => block.replace("shared_intermediate: 14, ", ""))
      : blocks;
    const base = others === blocks ? plain : effects(others);
    const after = effects([...others, override]);
    expect(after.kernels !== base.kernels || after.manifest !== base.manifest).toBe(true);
  });
});

test("train.tokens says how many steps there are", () => {
  const tokens = maximal.replace("steps: 30", "tokens: 1920");
  const { spec } = readSpec(new SourceText("maximal.yaml", tokens));
  expect(spec?.train?.steps).toBe(30);
  const more = readSpec(new SourceText("maximal.yaml", maximal.replace("steps: 30", "tokens: 19200"))).spec;
  expect(more?.train?.steps).toBe(300);
});
