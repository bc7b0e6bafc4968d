// The models of docs that need most of the language: DeepSeek-V3 and gpt-oss read as written, to the published numbers.

import { expect, test } from "vitest";
import { readSpecFile } from "../../compiler/spec/read.ts";
import type { LayerSpec, ModelSpec, Spec } from "../../compiler/spec/spec.ts";
import { layerWeights } from "../../compiler/spec/weights.ts";

function known(name: string): Spec {
  const path = new URL(`fixtures/${name}.mspec.yaml`, import.meta.url).pathname;
  const { spec, diagnostics } = readSpecFile(path);
  expect(diagnostics).toEqual([]);
  return spec ?? expect.fail(`${name} has faults`);
}

/** Parameters of all matrices, of the layers given. */
const matrices = (layers: readonly LayerSpec[], width: number): number =>
  layers
    .flatMap((layer) => layerWeights(layer, width))
    .reduce((sum, { factors }) => sum + factors.reduce((product, { value }) => product * value, 1), 0);

const embeddings = ({ vocab, width }: ModelSpec): number => 2 * vocab * width;

test("DeepSeek-V3: three dense layers, experts in all others, one more prediction", () => {
  const { model, train } = known("deepseek-v3");
  expect(model.layers.map(({ ffn }) => ffn.kind)).toEqual([...Array(3).fill("dense"), ...Array(58).fill("moe")]);
  const [{ attention, ffn: dense }] = model.layers;
  expect(attention).toMatchObject({
    kind: "mla",
    ...{ heads: 128, qRank: 1536, kvRank: 512, nopeDim: 128, ropeDim: 64, valueDim: 128, normEps: 1e-6 },
    window: undefined,
    rope: {
      ...{ theta: 10_000, layout: "interleaved", dim: 64, llama3: undefined },
      yarn: { factor: 40, original: 4096, betaFast: 32, betaSlow: 1, truncate: true, mscale: 1, mscaleAllDim: 1 },
    },
  });
  // The dense entry keeps the activation and drops everything that only experts have.
  expect(dense).toMatchObject({ kind: "dense", intermediate: 18_432, bias: false, inputs: ["gate", "up"] });
  expect(Object.keys(dense)).not.toContain("router");
  const { ffn } = model.layers[60];
  expect(ffn).toMatchObject({ experts: 256, topK: 8, intermediate: 2048, sharedIntermediate: 2048 });
  expect(ffn.kind === "moe" && ffn.router).toMatchObject({
    groups: { count: 8, keep: 4, score: "top2_sum" },
    ...{ normalize: true, scale: 2.5, bias: false, hasChoiceBias: true },
  });
  expect(model.mtp).toMatchObject({ depth: 1, concat: ["embedding", "hidden"] });
  expect(train?.sequence).toBe(4096);
});

test("DeepSeek-V3: what steers its experts is on the clock of its training", () => {
  const { model, train } = known("deepseek-v3");
  const { ffn } = model.layers[60];
  if (ffn.kind !== "moe" || train === undefined) throw new Error("no experts, or no training");
  const { biasUpdate, losses } = ffn.router;
  expect(biasUpdate?.pieces.map(({ unit, start, end, to }) => ({ unit, start, end, to }))).toEqual([
    { unit: "tokens", start: 0, end: 14_300_000_000_000, to: 1e-3 },
    { unit: "steps", start: expect.any(Number), end: train.steps, to: 0 },
  ]);
  expect(losses).toEqual({ sequence: { pieces: [expect.objectContaining({ to: 1e-4, end: train.steps })] } });
  expect(model.mtp?.weight?.pieces.map(({ to }) => to)).toEqual([0.3, 0.1]);
});

// 671B in the report and 117B in the model card; what is left out are gains, biases and sinks, 0.01 % of gpt-oss.
test.each([
  ["deepseek-v3", 671.0e9, 0.001],
  ["gpt-oss-120b", 116.83e9, 0.001],
])("%s has the published number of parameters", (name, published, tolerance) => {
  const { model } = known(name);
  const total = matrices(model.layers, model.width) + embeddings(model);
  expect(Math.abs(total / published - 1)).toBeLessThan(tolerance);
});

test("gpt-oss-120b: a window in layers 0, 2, 4 and so on, biases and sinks in all", () => {
  const { model } = known("gpt-oss-120b");
  const windows = model.layers.map(({ attention }) => attention.window);
  expect(windows).toEqual(Array.from({ length: 36 }, (_, i) => (i % 2 === 0 ? 128 : undefined)));
  for (const { attention, ffn } of new Set(model.layers)) {
    expect(attention).toMatchObject({ kind: "gqa", bias: ["q", "k", "v", "out"], sinks: true, qkNorm: undefined });
    expect(attention.rope).toMatchObject({ dim: 64, yarn: { factor: 32, truncate: false, mscale: undefined } });
    expect(ffn).toMatchObject({ kind: "moe", bias: true, sharedIntermediate: 0, inputs: ["gate", "up"] });
    expect(ffn.kind === "moe" && ffn.router).toMatchObject({
      ...{ bias: true, normalize: true, scale: 1, hasChoiceBias: false, groups: undefined },
    });
  }
});
