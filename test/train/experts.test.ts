// A whole model with experts, balance losses and two modules that predict further ahead: gradients of the whole objective
// against central differences in f64, and every node on the device against its meaning.

import { expect, it } from "vitest";
import { buildPrograms } from "../../compiler/compile.ts";
import type { Graph } from "../../compiler/graph/graph.ts";
import { soft } from "../../compiler/kernels/wgsl/index.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { specOf } from "../language/spec-text.ts";
import { generator } from "../ops/case-parts.ts";
import { inPieces } from "../ops/on-device.ts";
import { openWholeModel, randomWeights, runAndCompare } from "./whole-model.ts";

/** PyTorch's gradcheck defaults. */
const [eps, atol, rtol] = [1e-6, 1e-5, 1e-3];

/** Each is two runs of the whole model in f64. */
const elementsPerTensor = 5;

const spec = `mspec: 1
name: experts
model:
  vocab: 11
  context: 6
  width: 6
  layers: 3
  attention: { kind: gqa, heads: 2, kv_heads: 1, head_dim: 4 }
  ffn:
    - kind: moe
      experts: 6
      top_k: 2
      shared: 1
      intermediate: 3
      bias: true
      router:
        score: sigmoid(logit)
        normalize: true
        scale: 2.5
        bias: true
        groups: { count: 3, keep: 2, score: top2_sum }
        bias_update: 0.01
        losses: { sequence: 0.2, batch: 0.1, z: 0.05 }
    - { layers: "0", kind: dense, intermediate: 5 }
    - { layers: "1", top_k: 3, router: { score: softmax(logit), normalize: false, losses: { sequence: 0.4 } } }
  mtp: { depth: 2, weight: 0.3 }
train:
  sequence: 6
  batch: { sequences: 4, micro: 2 }
  steps: 1
  lr: 1e-2
serve: { sequences: 2, tokens: 8 }
`;

const tokens = Array.from({ length: 12 }, (_, i) => (5 * i + (i % 3)) % 11);
const ahead = (by: number) => tokens.map((_, i) => ((i % 6) + by < 6 ? tokens[i + by] : -1));
const inputs: Readonly<Record<string, readonly number[]>> = {
  tokens,
  targets: ahead(1),
  documents: tokens.map(() => 0),
  positions: tokens.map((_, i) => i % 6),
  "mtp.0.tokens": ahead(1).map((token) => Math.max(0, token)),
  "mtp.0.targets": ahead(2),
  "mtp.1.tokens": ahead(2).map((token) => Math.max(0, token)),
  "mtp.1.targets": ahead(3),
  "step.first": [1],
  "step.never": [0],
};

const graphOf = (graphs: readonly Graph[], name: string): Graph => {
  const graph = graphs.find((candidate) => candidate.name === name);
  if (graph === undefined) throw new Error(`no graph ${name}`);
  return graph;
};

it("gradients of the whole objective equal central differences", () => {
  const programs = buildPrograms(specOf(spec));
  const { sequence, objectives } = programs.model;
  if (sequence === undefined) throw new Error("no sequence graph");
  // Coefficients of their own, so that no term can stand in for another.
  const seeds = new Map(objectives.map(({ result, seed }, i) => [result, { seed, value: 0.03 + 0.01 * i }]));
  expect([...seeds.keys()].sort()).toEqual(
    ["balance.batch", "balance.sequence", "balance.sequence.1", "balance.z", "mtp.0", "mtp.1"].sort(),
  );
  const oracle = new Oracle({ rounds: false });
  for (const [name, data] of Object.entries(inputs)) oracle.set(name, data);
  for (const { seed, value } of seeds.values()) oracle.set(seed, [value]);
  oracle.set("step.inverse_targets", [0.1]);
  const weights = randomWeights(programs, generator(3));
  for (const [name, data] of weights) oracle.set(name, data);
  oracle.run(graphOf(programs.graphs, "micro_step"));
  const objective = (): number => {
    const results = oracle.run(sequence);
    const sum = (name: string) => (results.get(name) ?? new Float64Array()).reduce((a, b) => a + b, 0);
    return [...seeds].reduce((total, [name, { value }]) => total + value * sum(name), 0.1 * sum("losses"));
  };
  let compared = 0;
  for (const [name, data] of weights) {
    if (name.endsWith("choice_bias")) continue;
    const gradient = Float64Array.from(oracle.get(`gradient.${name}`));
    const values = oracle.get(name);
    const step = Math.ceil(values.length / elementsPerTensor);
    values.forEach((value, i) => {
      if (i % step !== 0) return;
      values[i] = value + eps;
      const above = objective();
      values[i] = value - eps;
      const below = objective();
      values[i] = value;
      const numeric = (above - below) / (2 * eps);
      const tolerance = atol + rtol * Math.abs(numeric);
      expect(Math.abs(gradient[i] - numeric), `${name}[${i}]: ${gradient[i]}, ${numeric}`).toBeLessThanOrEqual(
        tolerance,
      );
      compared++;
    });
    expect(data.length).toBeGreaterThan(0);
  }
  // Three layers and two modules of 12 to 18 tensors each.
  expect(compared).toBeGreaterThan(60 * elementsPerTensor * 0.7);
});

it.each(["f32", "bf16", 'bf16, router: bf16, "experts.{up,down}": bf16 * bf16 -> f32 -> f32, loss: bf16'])(
  "%s: every node of every program computes what it means, and the bias moves towards the mean load",
  async (rules) => {
    const model = await openWholeModel(spec.replace("train:", `precision: [${rules}]\ntrain:`));
    const { device, programs } = model;
    for (const [name, data] of randomWeights(programs, generator(4))) device.write(name, Float32Array.from(data));
    for (const { tensor } of model.manifest.training?.stepValues ?? []) device.write(tensor, Float32Array.of(0.02));
    await device.run("derive");
    for (const [name, data] of Object.entries(inputs)) {
      device.write(name, name.startsWith("step.") ? Float32Array.from(data) : Int32Array.from(data));
    }
    device.write("step.inverse_targets", Float32Array.of(0.1));
    for (const first of [1, 0]) {
      device.write("step.first", Float32Array.of(first));
      expect((await runAndCompare(model, "micro_step")).outliers).toEqual([]);
    }
    const router = "layers.2.ffn.router";
    const loads = await device.read(`metrics.loads.${router}`);
    // Two micro-batches of 12 tokens with two choices each.
    expect(loads.reduce((sum, load) => sum + load, 0)).toBe(2 * 12 * 2);
    const before = (await device.read(`${router}.choice_bias`)).slice();
    expect((await runAndCompare(model, "update")).outliers).toEqual([]);
    const after = await device.read(`${router}.choice_bias`);
    loads.forEach((load, e) => {
      const moved = Math.fround(before[e] + Math.sign(8 - load) * Math.fround(0.02));
      expect(after[e], `expert ${e} with ${load} choices`).toBe(moved);
    });
    expect((await runAndCompare(model, "evaluate")).outliers).toEqual([]);
    await device.close();
  },
);

it("weights in pieces, and copies of them: every node on WebGPU computes what it means", async () => {
  // An expert's matrix has 24 rows of 40 or 40 of 24: some 2 KiB as bf16, of which a piece of 4 KiB takes two.
  const wide = spec.replace("width: 6", "width: 40").replace("intermediate: 3", "intermediate: 24");
  const model = await openWholeModel(wide.replace("train:", "precision: [bf16]\ntrain:"), [], inPieces(soft));
  const { device, manifest } = model;
  const derive = manifest.programs.find(({ name }) => name === "derive")?.waves.flat() ?? [];
  const bound = derive.flatMap(({ operands }) =>
    operands.flatMap((o) => (o !== null && "tensor" in o ? [o.tensor] : [])),
  );
  // A parameter and its copy are bound together, and large ones more than once.
  expect(bound.length).toBeGreaterThan(new Set(bound).size);
  expect(manifest.kernels.filter(({ name }) => /^grouped_.*_piece_/.test(name)).length).toBeGreaterThan(3);
  for (const [name, data] of randomWeights(model.programs, generator(4))) device.write(name, Float32Array.from(data));
  for (const { tensor } of manifest.training?.stepValues ?? []) device.write(tensor, Float32Array.of(0.02));
  await device.run("derive");
  for (const [name, data] of Object.entries(inputs)) {
    device.write(name, name.startsWith("step.") ? Float32Array.from(data) : Int32Array.from(data));
  }
  device.write("step.inverse_targets", Float32Array.of(0.1));
  for (const program of ["micro_step", "update", "evaluate"]) {
    expect((await runAndCompare(model, program)).outliers, program).toEqual([]);
  }
  await device.close();
}, 300_000);

it.each(["f32", "bf16"])(
  "%s: logits do not depend on how a text is cut into calls, nor on what stands beside it",
  async (recipe) => {
    const model = await openWholeModel(spec.replace("train:", `precision: [${recipe}]\ntrain:`));
    const { device } = model;
    for (const [name, data] of randomWeights(model.programs, generator(6))) device.write(name, Float32Array.from(data));
    await device.run("derive");
    const result = model.manifest.programs.find(({ name }) => name === "extend")?.results.logits ?? "";
    const text = [3, 1, 4, 1, 5, 9];
    const extend = async (first: number, count: number, others: number): Promise<Float32Array> => {
      const rows = Array.from({ length: count }, (_, i) => first + i);
      const beside = Array.from({ length: others }, (_, i) => i);
      const given: Readonly<Record<string, readonly number[]>> = {
        tokens: [...rows.map((row) => text[row]), ...beside.map((row) => 10 - row)],
        positions: [...rows, ...beside],
        slots: [...rows, ...beside.map((row) => 16 + row)],
        row_tiles: [0, 0, count, first + count, ...(others > 0 ? [1, count, others, others] : [])],
        output_rows: rows.map((_, i) => i),
      };
      device.write("page_table", Int32Array.of(0), 0);
      device.write("page_table", Int32Array.of(1), 1);
      for (const [name, data] of Object.entries(given)) device.write(name, Int32Array.from(data));
      await device.run("extend", { tokens: count + others, outputs: count, tiles: others > 0 ? 2 : 1 });
      return (await device.read(result, { program: "extend", count: count * 11 })).slice();
    };
    const whole = await extend(0, 6, 0);
    const one: number[] = [];
    for (let at = 0; at < 6; at++) one.push(...(await extend(at, 1, 0)));
    expect(one).toEqual([...whole]);
    const pieces = [...(await extend(0, 2, 6)), ...(await extend(2, 3, 1)), ...(await extend(5, 1, 3))];
    expect(pieces).toEqual([...whole]);
    await device.close();
  },
);
