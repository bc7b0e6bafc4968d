// A whole model on every device beside the oracle: steps that each begin from the oracle's state, every node of every
// program compared on the values that the device gave it.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wasm } from "../../compiler/kernels/wasm/index.ts";
import { gpu, soft } from "../../compiler/kernels/wgsl/index.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { generator } from "../ops/case-parts.ts";
import { openWholeModel, randomWeights, runAndCompare, type WholeModel } from "./whole-model.ts";

const spec = `mspec: 1
name: nodes
model:
  vocab: 37
  context: 12
  width: 18
  layers: 2
  tie_embeddings: true
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6, score: "20 * tanh(s / 20)", mask: "k <= q && same_document" }
  ffn: { kind: dense, intermediate: 23, activation: "max(gate, 0)^2 * up" }
train:
  sequence: 12
  batch: { sequences: 4, micro: 2 }
  steps: 50
  optimizer: { weight_decay: { all: 0.1, norm: 0 } }
  lr: 3e-3
  clip: 1
serve: { sequences: 2, tokens: 16 }
`;

/** Tokens of one micro-batch and the scalars of its step; every fifth target is masked. */
function inputsOf(random: () => number, isFirst: boolean): Readonly<Record<string, readonly number[]>> {
  const draw = () => Math.min(36, Math.floor(((random() + 1) / 2) * 37));
  const tokens = Array.from({ length: 24 }, draw);
  return {
    tokens,
    targets: Array.from({ length: 24 }, (_, i) => (i % 5 === 4 ? -1 : (tokens[i] * 3 + 1) % 37)),
    documents: Array.from({ length: 24 }, (_, i) => Math.floor(i / 7)),
    positions: Array.from({ length: 24 }, (_, i) => i % 12),
    "step.first": [isFirst ? 1 : 0],
    "step.never": [0],
    // 20 of 24 targets of each of two micro-batches count.
    "step.inverse_targets": [Math.fround(1 / 40)],
  };
}

const stateNames = ({ manifest: { parameters } }: WholeModel): string[] => {
  const scalars = ["correction1", "correction2", "skipped"].map((name) => `optimizer.${name}`);
  return [...parameters.flatMap(({ name, moments }) => [name, ...(moments ?? [])]), ...scalars];
};

function copyToDevice(model: WholeModel, oracle: Oracle): void {
  for (const name of stateNames(model)) {
    const data = oracle.store.get(name);
    if (data !== undefined) model.device.write(name, Float32Array.from(data));
  }
}

/** A shader takes as long as ten steps to compile where a GPU is software. */
describe.each([
  [wasm.id, wasm, 50],
  [gpu.id, gpu, 3],
  [soft.id, soft, 5],
] as const)("%s", (_, target, steps) => {
  let model: WholeModel;
  beforeAll(async () => {
    model = await openWholeModel(spec, [], target);
  }, 300_000);
  afterAll(async () => {
    await model.device.close();
  });

  it(`every node computes what its op means in each of ${steps} steps from the oracle's state, and losses agree`, async () => {
    const { device, programs } = model;
    const graphOf = (name: string) => {
      const graph = programs.graphs.find((candidate) => candidate.name === name);
      if (graph === undefined) throw new Error(`no graph ${name}`);
      return graph;
    };
    const random = generator(9);
    const oracle = new Oracle({ rounds: true });
    for (const [name, data] of randomWeights(programs, random)) oracle.set(name, data);
    const losses: number[] = [];
    let compared = 0;
    for (let step = 0; step < steps; step++) {
      copyToDevice(model, oracle);
      await device.run("derive");
      for (const isFirst of [true, false]) {
        for (const [name, data] of Object.entries(inputsOf(random, isFirst))) {
          const isReal = name.startsWith("step.");
          device.write(name, isReal ? Float32Array.from(data) : Int32Array.from(data));
          oracle.set(name, data);
        }
        const comparison = await runAndCompare(model, "micro_step");
        expect(comparison.outliers, `micro_step of step ${step}`).toEqual([]);
        compared += comparison.compared;
        oracle.run(graphOf("micro_step"));
      }
      const [loss] = oracle.get("metrics.loss");
      const [got] = await device.read("metrics.loss");
      losses.push(loss / 40);
      // The loss is a mean of 40 logarithms through some 30 nodes; each rounds its sums of at most 37 terms to 2^-24.
      expect(Math.abs(got - loss) / loss, `loss of step ${step}`).toBeLessThan(30 * 37 * 2 ** -24);
      for (const [name, value] of [
        ["step.learning_rate", 3e-3],
        ["step.clip", 1],
      ] as const) {
        device.write(name, Float32Array.of(value));
        oracle.set(name, [Math.fround(value)]);
      }
      const comparison = await runAndCompare(model, "update");
      expect(comparison.outliers, `update of step ${step}`).toEqual([]);
      compared += comparison.compared;
      oracle.run(graphOf("update"));
    }
    // Every parameter appears in both programs of every step, and the model learns the rule of its targets.
    const numParameters = model.manifest.parameters.reduce((sum, { dims }) => sum + dims.reduce((a, b) => a * b, 1), 0);
    expect(compared).toBeGreaterThan(steps * 3 * numParameters);
    if (steps < 50) return;
    const mean = (from: number) => losses.slice(from, from + 10).reduce((sum, loss) => sum + loss, 0) / 10;
    expect(mean(40)).toBeLessThan(mean(0) - 0.3);
  });

  it("serving computes node by node what its ops mean, and logits are the oracle's", async () => {
    const { device, programs } = model;
    const random = generator(5);
    const weights = randomWeights(programs, random);
    const oracle = new Oracle({ rounds: true });
    for (const [name, data] of weights) {
      oracle.set(name, data);
      device.write(name, Float32Array.from(data));
    }
    await device.run("derive");
    // Two sequences fill the call: 9 tokens in pages 1 and 0 of the first half, 7 in page 3; pages have 16 slots.
    const positions = [...Array(9).keys(), ...Array(7).keys()];
    const inputs: Readonly<Record<string, readonly number[]>> = {
      tokens: positions.map((position, i) => (position * 11 + i) % 37),
      positions,
      slots: positions.map((position, i) => (i < 9 ? 16 : 0) + position),
      page_table: [1, 0],
      row_tiles: [0, 0, 9, 9, 1, 9, 7, 7, ...new Array(14 * 4).fill(0)],
      output_rows: [...positions.keys()],
    };
    for (const [name, data] of Object.entries(inputs)) {
      oracle.set(name, data);
      device.write(name, Int32Array.from(data));
    }
    const counts = { tokens: 16, outputs: 16, tiles: 2 };
    const { outliers, compared } = await runAndCompare(model, "extend", counts);
    expect(outliers).toEqual([]);
    expect(compared).toBeGreaterThan(16 * 37);
    const extend = programs.graphs.find(({ name }) => name === "extend");
    if (extend === undefined) throw new Error("no graph extend");
    const expected = oracle.run(extend).get("logits") ?? new Float64Array();
    const result = model.manifest.programs.find(({ name }) => name === "extend")?.results.logits ?? "";
    const got = await device.read(result, { program: "extend" });
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // Some 30 nodes with sums of at most 37 terms, each rounded to 2^-24 of the largest values.
    got.forEach((value, i) => {
      expect(Math.abs(value - expected[i]), `logit ${i}`).toBeLessThan(30 * 37 * 2 ** -24 * largest);
    });
  });
});

it("the comparison names the one node that computes with something else than its input", async () => {
  const model = await openWholeModel(spec);
  const graph = model.fused.get("micro_step");
  if (graph === undefined) throw new Error("no micro_step");
  const random = generator(2);
  for (const [name, data] of randomWeights(model.programs, random)) model.device.write(name, Float32Array.from(data));
  await model.device.run("derive");
  for (const [name, data] of Object.entries(inputsOf(random, true))) {
    model.device.write(name, name.startsWith("step.") ? Float32Array.from(data) : Int32Array.from(data));
  }
  // The working copies are made from other weights now, so linears of this layer compute with what is not their input.
  const name = "layers.1.ffn.up.weight";
  const values = await model.device.read(name);
  values[7] += 1e-3;
  model.device.write(name, values);
  const { outliers } = await runAndCompare(model, "micro_step");
  expect(outliers.length).toBeGreaterThan(0);
  expect(new Set(outliers.map(({ node }) => node.split(" ")[0]))).toEqual(new Set(["layers[1].ffn.up"]));
  await model.device.close();
});
