// Attention that is more than plain, in whole models: gradients against central differences, every node on the device
// against its meaning, and logits over the cache against those of whole sequences.

import { describe, expect, it } from "vitest";
import { buildPrograms } from "../../compiler/compile.ts";
import type { Graph } from "../../compiler/graph/graph.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { generator } from "../ops/case-parts.ts";
import { attentionKinds, withAttention } from "./attention-kinds.ts";
import { logitsInChunks } from "./in-chunks.ts";
import { openWholeSpec, randomWeights, runAndCompare } from "./whole-model.ts";

const [vocab, sequence, sequences] = [37, 12, 2];
const rows = sequence * sequences;

const graphNamed = (graphs: readonly Graph[], name: string): Graph => {
  const graph = graphs.find((candidate) => candidate.name === name);
  if (graph === undefined) throw new Error(`no graph ${name}`);
  return graph;
};

type Inputs = Readonly<Record<string, readonly number[]>>;
type Change = (typeof attentionKinds)[number][1];

function trainingInputs(): Inputs {
  const tokens = Array.from({ length: rows }, (_, i) => (i * 11 + 5) % vocab);
  const targets = tokens.map((token, i) => (i % 5 === 4 ? -1 : (token * 3 + 1) % vocab));
  return {
    tokens,
    targets,
    documents: Array.from({ length: rows }, (_, i) => Math.floor(i / 7)),
    positions: Array.from({ length: rows }, (_, i) => i % sequence),
    "step.first": [1],
    "step.never": [0],
    "step.inverse_targets": [Math.fround(1 / targets.filter((target) => target >= 0).length)],
  };
}

function checkGradients(change: Change): void {
  // PyTorch's gradcheck defaults.
  const [eps, atol, rtol] = [1e-6, 1e-5, 1e-3];
  const programs = buildPrograms(withAttention(change));
  const random = generator(3);
  const oracle = new Oracle({ rounds: false });
  const weights = randomWeights(programs, random);
  const inputs = trainingInputs();
  for (const [name, data] of [...Object.entries(inputs), ...weights]) oracle.set(name, data);
  oracle.run(graphNamed(programs.graphs, "micro_step"));
  const evaluate = graphNamed(programs.graphs, "evaluate");
  const scale = inputs["step.inverse_targets"][0];
  const loss = () => (oracle.run(evaluate).get("loss")?.[0] ?? Number.NaN) * scale;
  const names = [...weights.keys()].filter((name) => name.includes("attention"));
  expect(names.length).toBeGreaterThan(8);
  for (const name of names) {
    const gradient = oracle.get(`gradient.${name}`);
    const weight = oracle.get(name);
    // Of every parameter the first, the last, and some between.
    const some = [0, 1, 2, 3, 4, 5].map((fifth) => Math.floor((fifth * (weight.length - 1)) / 5));
    for (const i of new Set(some)) {
      const value = weight[i];
      weight[i] = value + eps;
      const up = loss();
      weight[i] = value - eps;
      const down = loss();
      weight[i] = value;
      const numeric = (up - down) / (2 * eps);
      expect(Math.abs(gradient[i] - numeric), `${name}[${i}]: ${gradient[i]}, ${numeric}`).toBeLessThanOrEqual(
        atol + rtol * Math.abs(numeric),
      );
    }
  }
}

async function checkNodes(change: Change, overrides: readonly string[] = []): Promise<void> {
  const model = await openWholeSpec(withAttention(change, overrides));
  const { device, programs } = model;
  const random = generator(8);
  const weights = randomWeights(programs, random);
  for (const [name, data] of weights) device.write(name, Float32Array.from(data));
  for (const [name, data] of Object.entries(trainingInputs())) {
    device.write(name, name.startsWith("step.") ? Float32Array.from(data) : Int32Array.from(data));
  }
  await device.run("derive");
  const trained = await runAndCompare(model, "micro_step");
  expect(trained.outliers).toEqual([]);
  // Two sequences: 17 tokens in pages 1, 0, 4, 2, 7, and 3 more of one that has 6 already, in pages 3, 5, 6.
  const positions = [...Array(17).keys(), 6, 7, 8];
  const pages = [
    [1, 0, 4, 2, 7],
    [3, 5, 6],
  ];
  const tableWidth = 12;
  const serving: Inputs = {
    tokens: positions.map((position, i) => (position * 11 + i) % vocab),
    positions,
    slots: positions.map((position, i) => pages[i < 17 ? 0 : 1][Math.floor(position / 4)] * 4 + (position % 4)),
    page_table: [...pages, []].flatMap((list) => [...list, ...new Array(tableWidth - list.length).fill(0)]),
    row_tiles: [0, 0, 17, 17, 1, 17, 3, 9, ...new Array(30 * 4).fill(0)],
    output_rows: [...positions.keys()],
  };
  for (const [name, data] of Object.entries(serving)) {
    const tensor = device.manifest.tensors.find((candidate) => candidate.name === name);
    const length = tensor?.dims.reduce((product, { size }) => product * size, 1) ?? data.length;
    device.write(
      name,
      Int32Array.from({ length }, (_, i) => data[i] ?? 0),
    );
  }
  const served = await runAndCompare(model, "extend", { tokens: 20, outputs: 20, tiles: 2 });
  expect(served.outliers).toEqual([]);
  expect(trained.compared).toBeGreaterThan(rows * 18 * 10);
  expect(served.compared).toBeGreaterThan(20 * vocab);
  await device.close();
}

function checkForms(change: Change): void {
  const programs = buildPrograms(withAttention(change));
  const oracle = new Oracle({ rounds: false });
  for (const [name, data] of randomWeights(programs, generator(4))) oracle.set(name, data);
  // One document per sequence: a cached sequence is one.
  const inputs: Inputs = {
    ...trainingInputs(),
    documents: Array.from({ length: rows }, (_, i) => Math.floor(i / sequence)),
  };
  for (const [name, data] of Object.entries(inputs)) oracle.set(name, data);
  const losses = oracle.run(graphNamed(programs.graphs, "evaluate")).get("losses") ?? new Float64Array();
  const extend = graphNamed(programs.graphs, "extend");
  const [capacity, pages] = [20, [2, 5, 1]];
  const padded = (data: readonly number[], length = capacity, filler = 0) =>
    Array.from({ length }, (_, i) => data[i] ?? filler);
  let compared = 0;
  for (const [start, end] of [
    [0, 7],
    [7, 8],
    [8, 12],
  ]) {
    const positions = Array.from({ length: end - start }, (_, i) => start + i);
    const slots = positions.map((position) => pages[position >> 2] * 4 + (position % 4));
    oracle.set("tokens", padded(inputs.tokens.slice(start, end)));
    oracle.set("positions", padded(positions));
    oracle.set("slots", padded(slots, capacity, -1));
    oracle.set("page_table", padded(pages, 36));
    oracle.set("row_tiles", padded([0, 0, end - start, end], 4 * capacity));
    oracle.set("output_rows", padded([...positions.keys()]));
    const logits = oracle.run(extend).get("logits") ?? new Float64Array();
    for (const position of positions) {
      const target = inputs.targets[position];
      if (target < 0) continue;
      const row = logits.subarray((position - start) * vocab, (position - start + 1) * vocab);
      const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
      // Both forms are sums of at most some thousand terms of size 1 in f64, in another order.
      expect(Math.log(total) - row[target], `position ${position}`).toBeCloseTo(losses[position], 10);
      compared++;
    }
  }
  expect(compared).toBe(10);
}

async function checkChunks(change: Change, overrides: readonly string[] = []): Promise<void> {
  const { device, programs } = await openWholeSpec(withAttention(change, overrides));
  for (const [name, data] of randomWeights(programs, generator(6))) device.write(name, Float32Array.from(data));
  await device.run("derive");
  const tokens = Array.from({ length: 41 }, (_, i) => (i * 29 + 3) % vocab);
  const whole = await logitsInChunks(device, tokens, [20]);
  expect(whole).toHaveLength(tokens.length * vocab);
  expect(whole.every(Number.isFinite)).toBe(true);
  for (const sizes of [[1], [2, 3], [7], [13, 1]]) {
    expect(await logitsInChunks(device, tokens, sizes), `chunks of ${sizes}`).toEqual(whole);
  }
  await device.close();
}

describe.each(attentionKinds)("%s", (_, change) => {
  it("gradients of all parameters equal central differences", () => checkGradients(change));
  it("every node of training and serving computes on the device what it means", () => checkNodes(change));
  it("every node computes in bf16 what it means, too", () => checkNodes(change, ["precision=[bf16]"]));
  it("logits over the cache are those of whole sequences, in exact arithmetic", () => checkForms(change));
  it("logits of a sequence are the same bits for any chunks", () => checkChunks(change));
  it("logits over a bf16 cache are the same bits for any chunks", () => checkChunks(change, ["precision=[bf16]"]));
});
