// A whole model against PyTorch: logits, greedy text, loss, gradients and three optimiser steps from the same weights.

import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Batch } from "../../runtime/data/batches.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import { openSafetensors, type SafetensorsFile } from "../../runtime/files/safetensors.ts";
import type { Model } from "../../runtime/model.ts";
import { clearOptimizer } from "../../runtime/train/device-state.ts";
import { runStep, type StepOutcome } from "../../runtime/train/step.ts";
import { openTiny } from "../runtime/tiny-model.ts";

/** As PyTorch printed them: see the fixture's README. */
const [lossOnBatch0, gradientNormOnBatch0] = [7.255560398101807, 7.668214354230103];

const fixture = new URL("../fixtures/llama_gqa_untied/", import.meta.url).pathname;

const spec = `mspec: 1
name: llama-gqa-untied
model:
  vocab: 512
  context: 256
  width: 96
  layers: 3
  norm: { kind: rms_norm, eps: 1e-5 }
  attention:
    kind: gqa
    heads: 6
    kv_heads: 2
    head_dim: 16
    rope: { theta: 10000, llama3: { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original: 32 } }
  ffn: { kind: dense, intermediate: 152, activation: silu(gate) * up }
train:
  sequence: 32
  batch: { sequences: 2 }
  steps: 3
  optimizer: { betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.1 }
  lr: 1e-3
  clip: 1
serve: { sequences: 4, tokens: 64 }
`;

const parts: Readonly<Record<string, string>> = {
  input_layernorm: "attention.norm",
  "self_attn.q_proj": "attention.q",
  "self_attn.k_proj": "attention.k",
  "self_attn.v_proj": "attention.v",
  "self_attn.o_proj": "attention.out",
  post_attention_layernorm: "ffn.norm",
  "mlp.gate_proj": "ffn.gate",
  "mlp.up_proj": "ffn.up",
  "mlp.down_proj": "ffn.down",
};
const others: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "embedding.weight",
  "model.norm.weight": "final_norm.weight",
  "lm_head.weight": "head.weight",
};

/** Ours for one of transformers' names. */
function nameOf(theirs: string): string {
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(theirs) ?? [];
  const name = part === undefined ? others[theirs] : `layers.${layer}.${parts[part]}.weight`;
  if (name === undefined || name.includes("undefined")) throw new Error(`no name for ${theirs}`);
  return name;
}

async function withFile<T>(name: string, work: (file: SafetensorsFile) => Promise<T>): Promise<T> {
  const reader = await nodeDisk.openRead(`${fixture}${name}.safetensors`);
  try {
    return await work(await openSafetensors(reader));
  } finally {
    await reader.close();
  }
}

/** Every tensor of a file, by our names. */
const tensorsOf = (name: string): Promise<Map<string, Float32Array>> =>
  withFile(name, async (file) => {
    const tensors = new Map<string, Float32Array>();
    for (const { name: theirs, shape } of file.tensors.values()) {
      const values = new Float32Array(shape.reduce((count, size) => count * size, 1));
      await file.readFloats(theirs, values);
      tensors.set(nameOf(theirs), values);
    }
    return tensors;
  });

const logitsOf = (prompt: number): Promise<Float32Array> =>
  withFile("ref", async (file) => {
    const [rows, vocab] = file.tensor(`logits.${prompt}`).shape;
    const values = new Float32Array(rows * vocab);
    await file.readFloats(`logits.${prompt}`, values);
    return values;
  });

const integersOf = (name: string): Promise<number[]> =>
  withFile("ref", async (file) => {
    const tensor = file.tensor(name);
    const bytes = await file.readBytes(tensor, 0, tensor.end - tensor.begin);
    return Array.from(new BigInt64Array(bytes.slice().buffer), Number);
  });

/** Sequences of 32 tokens; the target of a token is the label behind it, and the last one has none. */
async function batch(index: number): Promise<Batch> {
  const [tokens, labels] = await Promise.all(["batches", "labels"].map(integersOf));
  const from = index * 64;
  const targets = Int32Array.from({ length: 64 }, (_, i) => (i % 32 === 31 ? -1 : Math.max(-1, labels[from + i + 1])));
  const documents = new Int32Array(64);
  const positions = Int32Array.from({ length: 64 }, (_, i) => i % 32);
  return { rows: 2, tokens: Int32Array.from(tokens.slice(from, from + 64)), targets, documents, positions };
}

async function step(index: number): Promise<StepOutcome> {
  const { training } = model.manifest;
  if (training === undefined) throw new Error("the spec trains");
  return runStep(model.device, training, await batch(index), { learningRate: 1e-3, clip: 1 });
}

/** Euclidean length of a - b over that of b. */
function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, length] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    length += b[i] ** 2;
  }
  return Math.sqrt(difference / length);
}

let model: Model;
beforeAll(async () => {
  model = await openTiny(spec, [], { threads: 2 });
});
beforeEach(async () => {
  await model.setParameters(await tensorsOf("model"));
  clearOptimizer(model.device);
});
afterAll(async () => {
  await model.close();
});

it("every parameter has its tensor in the file", async () => {
  expect([...(await tensorsOf("model")).keys()].toSorted()).toEqual(model.parameterNames.toSorted());
});

it.each([0, 1, 2, 3])("logits of prompt %i are PyTorch's within 2e-4", async (prompt) => {
  const expected = await logitsOf(prompt);
  const got = await model.logits(await integersOf(`prompt.${prompt}`));
  expect(got.length).toBe(expected.length);
  const furthest = got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  expect(furthest).toBeLessThan(2e-4);
});

it("greedy text of four prompts at once is PyTorch's, token for token", async () => {
  const prompts = await Promise.all([0, 1, 2, 3].map((i) => integersOf(`prompt.${i}`)));
  const expected = await Promise.all([0, 1, 2, 3].map((i) => integersOf(`greedy.${i}`)));
  const generated = await model.generateAll(prompts.map((prompt) => ({ prompt, maxTokens: 32, temperature: 0 })));
  expect(generated.map(({ tokens }) => [...tokens])).toEqual(expected);
});

it("loss, gradient norm and every gradient on batch 0 are PyTorch's", async () => {
  const { loss, gradientNorm } = await step(0);
  expect(Math.abs(loss / lossOnBatch0 - 1)).toBeLessThan(1e-5);
  expect(Math.abs(gradientNorm / gradientNormOnBatch0 - 1)).toBeLessThan(1e-4);
  const expected = await tensorsOf("grads");
  for (const { name, gradient = "" } of model.manifest.parameters) {
    const got = await model.device.read(gradient);
    expect(relativeDistance(got, expected.get(name) ?? []), name).toBeLessThan(1e-3);
  }
});

it("three steps of AdamW with clipping and decay change every parameter as PyTorch's do", async () => {
  const [before, after] = [await tensorsOf("model"), await tensorsOf("after3")];
  for (const index of [0, 1, 2]) expect((await step(index)).isSkipped).toBe(false);
  for (const name of model.parameterNames) {
    const start = before.get(name) ?? new Float32Array();
    const got = (await model.parameter(name)).map((value, i) => value - start[i]);
    const expected = (after.get(name) ?? new Float32Array()).map((value, i) => value - start[i]);
    expect(relativeDistance(got, expected), name).toBeLessThan(1e-2);
  }
});
