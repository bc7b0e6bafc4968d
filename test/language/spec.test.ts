// What a spec resolves to: defaults, blocks of layers, rules in order, and where each key stands.

import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { selectorText } from "../../compiler/spec/normalize.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";
import type { Selector } from "../../compiler/spec/selector.ts";
import { position } from "./read-text.ts";
import { smallSpec, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

test("defaults", () => {
  const { model, train, serve, precision, tiles, recompute, data } = specOf(smallSpec);
  expect(model).toMatchObject({ tieEmbeddings: false, norm: { kind: "rms_norm", eps: 1e-5 } });
  const [{ attention, ffn }] = model.layers;
  expect(attention).toMatchObject({
    kvHeads: 4,
    headDim: 12,
    rope: { theta: 10_000, layout: "half", llama3: undefined },
  });
  expect([attention.score.text.text, attention.mask.text.text, ffn.activation.text.text]).toEqual([
    "s",
    "k <= q",
    "silu(gate) * up",
  ]);
  expect(train).toMatchObject({
    sequence: 64,
    clip: undefined,
    seed: 0,
    evaluateEvery: 0,
    saveEvery: 0,
    sampleEvery: 0,
  });
  expect(train?.optimizer).toMatchObject({ kind: "adamw", betas: [0.9, 0.95], eps: 1e-8 });
  expect(serve).toEqual({ sequences: 8, tokens: 256, page: 16, pages: 32 });
  expect(precision).toHaveLength(1);
  expect(precision[0].signature).toEqual({ operands: ["f32"], accumulator: "f32", result: "f32" });
  expect([tiles, recompute, data]).toEqual([[], [], undefined]);
});

test("defaults of blocks of other kinds", () => {
  const latent = "{ kind: mla, heads: 4, kv_rank: 8, nope_dim: 6, rope_dim: 2, value_dim: 5 }";
  const experts = "{ kind: moe, intermediate: 9, experts: 4, top_k: 2 }";
  const sets = [`model.attention=${latent}`, `model.ffn=${experts}`, "model.mtp={}"];
  const { model } = specOf(smallSpec, sets);
  const [{ attention, ffn }] = model.layers;
  expect(attention).toMatchObject({
    ...{ qRank: undefined, normEps: 1e-5, window: undefined },
    rope: { theta: 10_000, layout: "half", dim: 2, llama3: undefined, yarn: undefined },
  });
  expect(ffn).toMatchObject({
    ...{ bias: false, sharedIntermediate: 0, inputs: ["gate", "up"] },
    router: { groups: undefined, normalize: false, scale: 1, bias: false, hasChoiceBias: false, losses: {} },
  });
  expect(ffn.kind === "moe" && ffn.router.score.text.text).toBe("softmax(logit)");
  const constant = { unit: "steps", start: 0, end: 100, shape: "constant", from: 0.3, to: 0.3 };
  expect(model.mtp).toEqual({ depth: 1, weight: { pieces: [constant] }, concat: ["embedding", "hidden"] });
  expect(specOf(smallSpec).model.layers[0]).toMatchObject({
    attention: { bias: [], qkNorm: undefined, sinks: false, window: undefined, rope: { dim: 12 } },
    ffn: { bias: false },
  });
});

test("yarn has the defaults of transformers", () => {
  const { attention } = specOf(smallSpec, ["model.attention.rope.yarn={ factor: 4, original: 16 }"]).model.layers[0];
  const { yarn } = attention.rope;
  expect(yarn).toEqual({
    ...{ factor: 4, original: 16, betaFast: 32, betaSlow: 1, truncate: true },
    ...{ attentionFactor: undefined, mscale: undefined, mscaleAllDim: undefined },
  });
});

test.each([
  ["false", []],
  ["true", ["q", "k", "v", "out"]],
  ["qkv", ["q", "k", "v"]],
])("bias: %s", (bias, projections) => {
  const { attention } = specOf(smallSpec, [`model.attention.bias=${bias}`]).model.layers[0];
  expect(attention.kind === "gqa" && attention.bias).toEqual(projections);
});

test("a spec without training or data is for serving", () => {
  const text = smallSpec.slice(0, smallSpec.indexOf("train:"));
  expect(specOf(text)).toMatchObject({ train: undefined, data: undefined });
});

test("a call of serving may have a token of each sequence and no more", () => {
  expect(specOf(`${smallSpec}serve: { sequences: 8, tokens: 8 }\n`).serve.tokens).toBe(8);
  expect(specOf(`${smallSpec}serve: { sequences: 300 }\n`).serve.tokens).toBe(300);
});

test("data", () => {
  const data = (entries: string) =>
    specOf(`${smallSpec}data: { tokenizer: bytes, train: [a, "b/*.txt"]${entries} }\n`).data;
  expect(data("")).toEqual({ tokenizer: "bytes", train: ["a", "b/*.txt"], validation: 0.05, skipBadLines: false });
  expect(data(", validation: [held], skip_bad_lines: true")).toMatchObject({
    validation: ["held"],
    skipBadLines: true,
  });
  expect(data(", validation: 1 / 4")?.validation).toBe(0.25);
});

describe("blocks of layers", () => {
  const ffns = (list: string) => {
    const text = smallSpecWith(["ffn: { kind: dense, intermediate: 96 }", `ffn:\n${list}`]);
    return specOf(text).model.layers.map(({ ffn }) => `${ffn.intermediate} ${ffn.activation.text.text}`);
  };

  test("entries merge in order and the later wins, key by key", () => {
    const list = [
      "    - { kind: dense, intermediate: 96, activation: gelu(x) }",
      "    - { layers: 1.., intermediate: 2 * width }",
      '    - { layers: "0.. by 2", activation: silu(x) }',
      "    - { layers: -1, intermediate: 5 }",
    ];
    expect(ffns(list.join("\n"))).toEqual(["96 silu(x)", "96 gelu(x)", "96 silu(x)", "5 gelu(x)"]);
  });

  test("layers with the same entries share one block", () => {
    const text = smallSpecWith(["ffn: {", "ffn: [{"], ["96 }", "96 }, { layers: 2, intermediate: 8 }]"]);
    const { layers } = specOf(text).model;
    expect(layers[0].ffn).toBe(layers[3].ffn);
    expect(layers[0].ffn).not.toBe(layers[2].ffn);
    expect(layers[0].attention).toBe(layers[2].attention);
  });

  test("maps below an entry merge as well", () => {
    const text = smallSpecWith([
      "attention: { kind: gqa, heads: 4 }",
      "attention: [{ kind: gqa, heads: 4, rope: { theta: 5, layout: interleaved } }, { layers: 1, rope: { theta: 7 } }]",
    ]);
    expect(specOf(text).model.layers.map(({ attention }) => attention.rope)).toMatchObject([
      { theta: 5, layout: "interleaved" },
      { theta: 7, layout: "interleaved" },
      { theta: 5 },
      { theta: 5 },
    ]);
  });

  test.each([
    ["- { layers: 0..2, kind: dense, intermediate: 9 }", "10:5 range/uncovered-layers"],
    ["- { kind: dense }\n    - { layers: 1.., intermediate: 9 }", "10:5 range/missing-keys"],
    ["- { kind: dense, intermediate: 9 }\n    - { layers: 4, intermediate: 9 }", "11:17 range/beyond-end"],
    ["- { kind: dense, intermediate: 9 }\n    - { layers: -5.., intermediate: 9 }", "11:17 range/beyond-end"],
    ["- { kind: dense, intermediate: 9 }\n    - { layers: 3..1, intermediate: 9 }", "11:17 range/empty"],
    ["- { kind: dense, intermediate: 9 }\n    - { layers: 1.5, intermediate: 9 }", "11:17 key/wrong-kind"],
    ["- { kind: dense, intermediate: 9 }\n    - { layers: 1...2, intermediate: 9 }", "11:20 expression/unexpected"],
  ])("%j is refused", (list, fault) => {
    const text = smallSpecWith(["ffn: { kind: dense, intermediate: 96 }", `ffn:\n    ${list}`]);
    expect(specFaults(text)).toEqual([`error ${fault}`]);
  });
});

describe("rules keep the order of the file", () => {
  const texts = (rules: readonly { readonly selector: Selector; readonly key: string }[]) =>
    rules.map(({ selector, key }) => `${key}: ${selectorText(selector)}`);

  test("precision", () => {
    const { precision } = specOf(
      `${smallSpec}precision: [f32, linear.wgrad: f32, head: _ * f32 -> f32 -> _, norm: f32 -> _ -> f32]\n`,
    );
    expect(texts(precision)).toEqual([
      "precision[0]: all",
      "precision[1]: linear.wgrad",
      "precision[2]: head",
      "precision[3]: norm",
    ]);
    expect(precision[2].signature).toEqual({ operands: [undefined, "f32"], accumulator: "f32", result: undefined });
    expect(precision[3].signature).toEqual({ operands: ["f32"], accumulator: undefined, result: "f32" });
  });

  test("tiles and recompute", () => {
    const { tiles, recompute } = specOf(
      `${smallSpec}tiles: { wgsl: { head: 128x128x12 }, wasm: { linear: 64x32x16 } }\nrecompute: [norm, "layers[1..]"]\n`,
    );
    expect(tiles.map(({ target, tile, key }) => ({ target, tile, key }))).toEqual([
      { target: "wasm", tile: { rows: 64, columns: 32, depth: 16 }, key: "tiles.wasm.linear" },
      { target: "wgsl", tile: { rows: 128, columns: 128, depth: 12 }, key: "tiles.wgsl.head" },
    ]);
    expect(texts(recompute)).toEqual(["recompute[0]: norm", "recompute[1]: layers[1..]"]);
  });

  test("weight decay: one number is a rule for all", () => {
    const decay = (value: string) =>
      specOf(smallSpec, [`train.optimizer.weight_decay=${value}`]).train?.optimizer.weightDecay;
    expect(texts(decay("0.1") ?? [])).toEqual(["train.optimizer.weight_decay: all"]);
    expect(decay("{ all: 0.1, norm: 1 / 8 }")?.map(({ value }) => value)).toEqual([0.1, 0.125]);
  });

  test.each([
    [undefined, ["all normal 0.02", "norm ones"]],
    ["normal(0.006)", ["all normal 0.006", "norm ones"]],
    ["{ all: normal(0.5), head: zeros }", ["all normal 0.5", "norm ones", "head zeros"]],
    ["{ head: zeros }", ["all normal 0.02", "norm ones", "head zeros"]],
    ['{ head: zeros, norm: "uniform(0, 1)" }', ["all normal 0.02", "head zeros", "norm uniform 0..1"]],
    ["{ all: normal(1 / sqrt(layers)) }", ["all normal 0.5", "norm ones"]],
  ])("init %s: norms begin at one unless a rule names them", (value, rules) => {
    const { train } = specOf(smallSpec, value === undefined ? [] : [`train.init=${value}`]);
    const shown = train?.init.map(({ selector, distribution }) => {
      const { kind } = distribution;
      const numbers =
        kind === "normal"
          ? ` ${distribution.standardDeviation}`
          : kind === "uniform"
            ? ` ${distribution.low}..${distribution.high}`
            : "";
      return `${selectorText(selector)} ${kind}${numbers}`;
    });
    expect(shown).toEqual(rules);
  });

  test.each([
    ["precision: [linear: f16]", "14:21 precision/unknown-format"],
    ["precision: [linear: f32 -> f32]", "14:21 precision/stages"],
    ["precision: [linear: f32 * f32]", "14:21 precision/stages"],
    ["precision: [{ linear: f32, head: f32 }]", "14:13 key/not-single"],
    ["precision: [linear: f32, linear..q: f32]", "14:32 expression/unexpected"],
    ["recompute: [linear.wgrad]", "14:13 selector/direction"],
    ["tiles: { wasm: { a: 64x64x16 stages 5 } }", "14:30 tile/option"],
    ["tiles: { wasm: { a: 64x64x99999 } }", "14:21 tile/too-large"],
    ["tiles: { wasm: { a: 7x64x16 } }", "14:21 tile/uneven"],
    ["tiles: { wasm: { a: 64x24x16 } }", "14:21 tile/uneven"],
    ['tiles: { wasm: { "{a,b}": 2x16x1, "{a, b}": 2x16x2 } }', "14:35 selector/twice and 14:18"],
    ["tiles: { wgsl: { a: 64x64 } }", "14:21 tile/extents"],
    ["tiles: { wgsl: { a: 64x48x16 } }", "14:21 tile/uneven"],
    ["tiles: { wgsl: { a: 64x64x6 } }", "14:21 tile/uneven"],
    ["tiles: { wgsl: { a: 256x128x4 } }", "14:21 tile/too-many-threads"],
    ["tiles: { wgsl: { a: 128x128x16 } }", "14:21 tile/too-deep"],
    ["tiles: { wgsl: { a: 32x32x20 } }", "14:21 tile/too-deep"],
    ["tiles: { cuda: { a: 64x64x16 } }", "14:10 key/unknown"],
  ])("%s is refused", (line, fault) => {
    expect(specFaults(`${smallSpec}${line}\n`)).toEqual([`error ${fault}`]);
  });

  test.each([
    ["normal(-1)", "key/out-of-range"],
    ["uniform(1, 0)", "key/out-of-range"],
    ["normal(0.02, 1)", "expression/argument-count"],
    ["normal(1 / 0)", "size/division-by-zero"],
  ])("init %s is refused", (value, code) => {
    expect(specFaults(smallSpec, [`train.init=${value}`]).map((line) => line.split(" ")[2])).toEqual([code]);
  });
});

test("keys have places; those of defaults have none", () => {
  const { placeOf } = specOf(`${smallSpec}precision: [f32, head: f32]\n`, ["model.layers=2"]);
  expect(position(placeOf("model.width"))).toBe("6:10");
  expect(position(placeOf("model.attention.heads"))).toBe("8:34");
  expect(position(placeOf("precision[1]"))).toBe("14:18");
  expect(placeOf("model.layers")?.source.name).toBe("--set");
  expect(placeOf("model.attention.kv_heads")).toBeUndefined();
});

describe("the specs of the repository", () => {
  const folder = new URL("../../specs/", import.meta.url).pathname;
  const files = readdirSync(folder).filter((name) => name.endsWith(".mspec.yaml"));

  test("there are some", () => {
    expect(files).toEqual(expect.arrayContaining(["tiny.mspec.yaml", "llama-3.1-8b.mspec.yaml"]));
  });

  test.each(files)("%s has no fault", (name) => {
    expect(readSpecFile(`${folder}${name}`).diagnostics).toEqual([]);
  });

  test("Llama 3.1 8B has the published number of parameters", () => {
    const { spec } = readSpecFile(`${folder}llama-3.1-8b.mspec.yaml`);
    if (spec === undefined) throw new Error("no spec");
    const { vocab, width, layers } = spec.model;
    const perLayer = layers.map(({ attention, ffn }) => {
      if (attention.kind !== "gqa") throw new Error("Llama has grouped-query attention");
      const { heads, kvHeads, headDim } = attention;
      const projections = (2 * heads + 2 * kvHeads) * headDim;
      return width * (projections + 3 * ffn.intermediate + 2);
    });
    expect(perLayer.reduce((sum, count) => sum + count, 2 * vocab * width + width)).toBe(8_030_261_248);
  });

  test("61 layers of width 7168 are read with a batch that ramps over tokens", () => {
    const path = new URL("fixtures/dense-61.mspec.yaml", import.meta.url).pathname;
    const { spec, diagnostics } = readSpecFile(path);
    expect(diagnostics).toEqual([]);
    expect(spec?.model.layers).toHaveLength(61);
    expect(new Set(spec?.model.layers.map(({ ffn }) => ffn)).size).toBe(2);
    expect(spec?.model.layers[2].ffn.intermediate).toBe(21_504);
    expect(spec?.train?.learningRate.pieces.map(({ unit, end }) => `${end} ${unit}`).slice(0, 4)).toEqual([
      "2000 steps",
      "10000000000000 tokens",
      "14300000000000 tokens",
      "14633000000000 tokens",
    ]);
  });
});
