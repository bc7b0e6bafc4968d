// The numbers of a plan against hand calculation, for sizes that nothing divides.

import { describe, expect, test } from "vitest";
import { cacheElements, modelSize, trainingFlops } from "../../compiler/cli/model-facts.ts";
import { planFacts } from "../../compiler/cli/plan-facts.ts";
import { parameterShapes } from "../../compiler/model/parameter-shapes.ts";
import type { GqaSpec, LayerSpec, MlaSpec, ModelSpec, MoeSpec, Spec } from "../../compiler/spec/spec.ts";
import { smallSpec, specOf } from "../language/spec-text.ts";

const small = specOf(smallSpec);
const { attention, ffn } = small.model.layers[0];
const { rope, score, mask } = attention;

const latent: MlaSpec = {
  kind: "mla",
  ...{ heads: 3, qRank: 5, kvRank: 4, nopeDim: 2, ropeDim: 2, valueDim: 3 },
  ...{ normEps: 1e-6, window: undefined, rope, score, mask },
};
const grouped: GqaSpec = {
  kind: "gqa",
  ...{ heads: 4, kvHeads: 2, headDim: 3, bias: ["q", "out"], qkNorm: "full", sinks: true },
  ...{ window: 5, rope, score, mask },
};
const experts: MoeSpec = {
  kind: "moe",
  ...{ experts: 7, topK: 2, intermediate: 3, sharedIntermediate: 5, bias: true },
  ...{ activation: ffn.activation, inputs: ["gate", "up"] },
  router: {
    ...{ score, groups: undefined, normalize: false, scale: 1, bias: true },
    ...{ hasChoiceBias: true, biasUpdate: undefined, losses: {} },
  },
};
const dense: LayerSpec["ffn"] = { ...ffn, kind: "dense", intermediate: 8, bias: true };

const modelOf = (layers: readonly LayerSpec[], rest: Partial<ModelSpec> = {}): ModelSpec => ({
  ...{ vocab: 11, width: 10, context: 40, tieEmbeddings: false, norm: small.model.norm, mtp: undefined },
  layers,
  ...rest,
});
const both = [
  { attention: grouped, ffn: dense },
  { attention: latent, ffn: experts },
];
const sizeOf = (model: ModelSpec) => modelSize(model, parameterShapes(model));
const partsOf = (model: ModelSpec) =>
  Object.fromEntries(sizeOf(model).parts.map(({ part, parameters, active }) => [part, [parameters, active]]));

describe("parameters", () => {
  test("of both kinds of attention and feed-forward are what their matrices hold", () => {
    expect(partsOf(modelOf(both))).toEqual({
      embedding: [110, 110],
      // Grouped: q 10 * 12 + 12, k and v 2 * 10 * 6, out 12 * 10 + 10, 4 sinks.
      // Latent: q 5 * 10 and 12 * 5, kv 6 * 10 and 15 * 4, out 10 * 9.
      attention: [132 + 120 + 130 + 4 + 110 + 120 + 90, 706],
      // Logits 7 * 10, their bias and the one of the choice.
      router: [70 + 7 + 7, 84],
      // Of 7: 3 matrices of 30 and biases 3, 3 and 10; two are active.
      experts: [7 * 106, 2 * 106],
      "shared experts": [3 * 50 + 20, 170],
      "dense ffn": [3 * 80 + 26, 266],
      // Two for each layer and the last one, q 12 and k 6, the latent ones 5 and 4.
      norm: [5 * 10 + 18 + 9, 77],
      head: [110, 110],
    });
  });

  test("of queries that are not compressed are one matrix, of a head's norm one gain", () => {
    const layers = [
      { attention: { ...latent, qRank: undefined }, ffn: dense },
      { attention: { ...grouped, qkNorm: "head" as const, bias: [], sinks: false }, ffn: dense },
    ];
    // q 12 * 10, kv 60 + 60, out 90; and 120 + 120 + 120.
    expect(partsOf(modelOf(layers)).attention).toEqual([330 + 360, 690]);
    expect(partsOf(modelOf(layers)).norm).toEqual([5 * 10 + 4 + 6, 60]);
  });

  test("of modules for further tokens are those of the last layer, counted apart", () => {
    const mtp = { depth: 2, weight: undefined, concat: ["embedding", "hidden"] as const };
    const [without, withThem] = [sizeOf(modelOf(both)), sizeOf(modelOf(both, { mtp }))];
    const layer = 110 + 120 + 90 + 9 + 84 + 170 + 2 * 10;
    const around = 10 * 20 + 3 * 10;
    expect(withThem.mtp).toEqual({
      part: "mtp",
      parameters: 2 * (layer + 7 * 106 + around),
      active: 2 * (layer + 2 * 106 + around),
    });
    expect({ ...withThem, mtp: undefined }).toEqual(without);
  });

  test("of a tied embedding are there once, and are multiplied with", () => {
    const [tied, untied] = [sizeOf(modelOf(both, { tieEmbeddings: true })), sizeOf(modelOf(both))];
    expect(untied.parameters - tied.parameters).toBe(110);
    expect([untied.inputEmbedding, tied.inputEmbedding]).toEqual([110, 0]);
  });
});

describe("work", () => {
  test("of training is 6 per active parameter that is multiplied with and 3 per attention FLOP", () => {
    const model = modelOf(both);
    const size = sizeOf(model);
    // Grouped: 2 * 4 heads * (3 + 3) per pair; of 8 positions behind a window of 5, 5 * (1 - 5 / 16) keys.
    // Latent: 2 * 3 heads * (4 + 3) per pair, 4 keys in the mean.
    const pairs = 48 * 5 * (11 / 16) + 42 * 4;
    const flops = trainingFlops(model, size, 8);
    expect(flops.attention).toBeCloseTo(pairs, 9);
    expect(flops.total).toBeCloseTo(6 * (706 + 84 + 212 + 170 + 266 + 77 + 110) + 3 * pairs, 9);
    expect(flops.mtp).toBe(0);
  });

  test("of a further token is its module's, the head's once more, and its attention's", () => {
    const mtp = { depth: 1, weight: undefined, concat: ["embedding", "hidden"] as const };
    const model = modelOf(both, { mtp });
    const active = 110 + 120 + 90 + 9 + 84 + 170 + 20 + 212 + 230;
    expect(trainingFlops(model, sizeOf(model), 8).mtp).toBe(6 * (active + 110) + 3 * 42 * 4);
  });

  test("of serving sees every key that a window leaves, as latent vectors where there are some", () => {
    const { serving } = planFacts(specWith(modelOf(both)), 20);
    expect(serving.next).toBe(48 * 5 + 2 * 3 * (4 + 2 + 4) * 20);
    // Behind a window of 5 of 20, 5 * (1 - 5 / 40) keys in the mean; else half of them.
    expect(serving.prompt).toBeCloseTo(48 * 5 * (7 / 8) + 60 * 10, 9);
    expect(serving.matmuls).toBe(2 * (706 + 84 + 212 + 170 + 266 + 77 + 110));
  });
});

describe("memory", () => {
  test("of the cache is keys and values of all groups, or one latent vector and a turned part", () => {
    expect([cacheElements(grouped), cacheElements(latent)]).toEqual([2 * 2 * 3, 4 + 2]);
    const { cache } = planFacts(specWith(modelOf(both)), 20);
    expect(cache.elements).toBe(18);
    expect(cache.formats.map(({ format, perToken, whole, seen }) => [format, perToken, whole, seen])).toEqual([
      ["f32", 72, 72 * 20, 4 * (12 * 5 + 6 * 20)],
      ["bf16", 36, 36 * 20, 2 * (12 * 5 + 6 * 20)],
      ["e4m3", 18, 18 * 20, 12 * 5 + 6 * 20],
    ]);
    expect(cache.windowed).toBe(1);
  });

  test("of a checkpoint counts last partial blocks as blocks", () => {
    const layer = {
      attention: { ...grouped, bias: [], sinks: false, qkNorm: undefined },
      ffn: { ...experts, bias: false },
    };
    const { checkpoint } = planFacts(specWith(modelOf([layer])), 20);
    const matrices = 360 + 7 * 90 + 150;
    // Two tables, three norms, the router with its bias, in bf16; the bias of the choice stays f32.
    const rest = 2 * (220 + 30 + 77) + 4 * 7;
    const bytes = Object.fromEntries(checkpoint.map((one) => [one.format, one.bytes]));
    expect(bytes).toEqual({
      f32: 4 * (matrices + 220 + 30 + 84),
      bf16: 2 * matrices + rest,
      // One scale for each of 4 + 7 * 3 + 3 matrices.
      e4m3: matrices + 4 * (4 + 21 + 3) + rest,
      // Rows of 10 or 3 are a block of 32 each: 16 bytes and a scale; 3 + 3 + 10 rows an expert.
      e2m1: 2 * (360 + 150) + 7 * 16 * 17 + rest,
    });
  });

  test("of training is weights, gradients and two moments of what gradients reach", () => {
    const { trainingMemory } = planFacts(specWith(modelOf(both)), 20);
    const all = 110 + 706 + 84 + 742 + 170 + 266 + 77 + 110;
    expect(trainingMemory).toMatchObject({ weights: 4 * all, gradients: 4 * (all - 7), moments: 8 * (all - 7) });
  });

  test("of serving leaves out modules for further tokens", () => {
    const mtp = { depth: 1, weight: undefined, concat: ["embedding", "hidden"] as const };
    const [without, withThem] = [modelOf(both), modelOf(both, { mtp })].map((model) => planFacts(specWith(model), 20));
    expect(withThem.servingMemory).toEqual(without.servingMemory);
    expect(withThem.checkpoint[0].bytes).toBeGreaterThan(without.checkpoint[0].bytes);
  });
});

function specWith(model: ModelSpec): Spec {
  return { ...small, model };
}
