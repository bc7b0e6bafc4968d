// Equal hidden states route equally: in sequences, in a second computation and in extension, however a text is cut, and
// where scores are equal to the bit.

import { afterAll, beforeAll, expect, it } from "vitest";
import { generator } from "../ops/case-parts.ts";
import { openWholeModel, randomWeights, type WholeModel } from "./whole-model.ts";

const tokens = 24;
const spec = `mspec: 1
name: routing
model:
  vocab: 29
  context: ${tokens}
  width: 20
  layers: 2
  attention: { kind: gqa, heads: 2, head_dim: 10 }
  ffn:
    kind: moe
    experts: 10
    top_k: 3
    intermediate: 6
    router: { score: sigmoid(logit), groups: { count: 5, keep: 3, score: top2_sum }, normalize: true, bias_update: 0.01 }
recompute: [ffn, attention]
train:
  sequence: ${tokens}
  batch: { sequences: 1 }
  steps: 1
  lr: 1e-2
serve: { sequences: 1, tokens: ${tokens}, pages: 2 }
`;

const text = Array.from({ length: tokens }, (_, i) => (i * i + 3) % 29);
const routers = ["layers[0].ffn.router", "layers[1].ffn.router"];
const choices = ["index", "weights"];

let model: WholeModel;
beforeAll(async () => {
  model = await openWholeModel(spec);
  for (const [name, data] of randomWeights(model.programs, generator(11))) {
    // Experts 2, 3 and 7, 8 are twins: their scores are equal to the bit, and the bias does not tell them apart.
    const width = data.length / 10;
    if (name.endsWith("router.weight") || name.endsWith("choice_bias")) {
      for (const [from, to] of [
        [2, 3],
        [7, 8],
      ]) {
        data.copyWithin(to * width, from * width, (from + 1) * width);
      }
    }
    model.device.write(name, Float32Array.from(data));
  }
  await model.device.run("derive");
  write({ documents: text.map(() => 0), targets: text.map(() => 1), page_table: [0, 1] });
  model.device.write("step.inverse_targets", Float32Array.of(0));
  model.device.write("step.first", Float32Array.of(1));
});
afterAll(async () => {
  await model.device.close();
});

function write(inputs: Readonly<Record<string, readonly number[]>>): void {
  for (const [name, data] of Object.entries(inputs)) model.device.write(name, Int32Array.from(data));
}

/** What the routers of a program chose for its first rows. */
async function chosen(program: string, rows: number): Promise<number[][][]> {
  const read = (name: string) => model.device.read(name, { program, count: rows * 3 });
  const result: number[][][] = [];
  for (const router of routers) {
    const lists: number[][] = [];
    for (const choice of choices) lists.push([...(await read(`${router}.${choice}`))]);
    result.push(lists);
  }
  return result;
}

async function ofSequence(program: string): Promise<number[][][]> {
  write({ tokens: text, positions: text.map((_, i) => i) });
  await model.device.run(program);
  return chosen(program, tokens);
}

async function ofExtension(sizes: readonly number[]): Promise<number[][][]> {
  const all: number[][][] = routers.map(() => choices.map(() => []));
  for (let start = 0, i = 0; start < tokens; start += sizes[i++ % sizes.length]) {
    const rows = Math.min(sizes[i % sizes.length], tokens - start);
    const positions = Array.from({ length: rows }, (_, row) => start + row);
    const input = positions.map((position) => text[position]);
    write({ tokens: input, positions, slots: positions, row_tiles: [0, 0, rows, start + rows] });
    await model.device.run("extend", { tokens: rows, outputs: 0, tiles: 1 });
    const got = await chosen("extend", rows);
    got.forEach((lists, router) => {
      lists.forEach((list, choice) => {
        all[router][choice].push(...list);
      });
    });
  }
  return all;
}

it("training, evaluation and extension in any chunks choose the same experts with the same weights", async () => {
  const trained = await ofSequence("micro_step");
  expect(await ofSequence("evaluate")).toEqual(trained);
  for (const sizes of [[tokens], [1], [2, 5], [7], [23, 1]]) {
    expect(await ofExtension(sizes), `chunks of ${sizes}`).toEqual(trained);
  }
});

it("a second computation in the backward pass reads the first one's choice", () => {
  const graph = model.programs.graphs.find(({ name }) => name === "micro_step");
  const again = graph?.nodes.filter(({ isRecomputed }) => isRecomputed) ?? [];
  expect(again.map(({ path }) => path)).toContain("layers[1].ffn.experts.up");
  expect(again.filter(({ op }) => op === "router" || op === "expert_order")).toEqual([]);
});

it("of twins the smaller index is chosen first, and both weights are equal", async () => {
  const trained = await ofSequence("evaluate");
  let ties = 0;
  for (const [index, weights] of trained) {
    for (let row = 0; row < tokens; row++) {
      const own = index.slice(3 * row, 3 * row + 3);
      for (const [twin, other] of [
        [2, 3],
        [7, 8],
      ]) {
        if (!own.includes(other)) continue;
        const [first, second] = [own.indexOf(twin), own.indexOf(other)];
        expect(first, `row ${row} chose ${own}`).toBe(second - 1);
        expect(weights[3 * row + first]).toBe(weights[3 * row + second]);
        ties++;
      }
    }
  }
  expect(ties).toBeGreaterThan(3);
});
