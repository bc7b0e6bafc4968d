// In exact arithmetic a softmax over all experts, divided by the sum of the chosen ones, is one over the chosen: whoever was
// not chosen has no part in the loss. A gradient that rounding leaves there would be a step of AdamW like any other.

import { expect, test } from "vitest";
import { generator } from "../ops/case-parts.ts";
import { openWholeModel, randomWeights } from "./whole-model.ts";

const tokens = 3;
const experts = 11;
const width = 20;
const specOf = (topK: number, router: string) => `mspec: 1
name: unchosen
model:
  vocab: 29
  context: ${tokens}
  width: ${width}
  layers: 1
  attention: { kind: gqa, heads: 2, head_dim: 10 }
  ffn: { kind: moe, experts: ${experts}, top_k: ${topK}, intermediate: 6, router: ${router} }
train: { sequence: ${tokens}, batch: { sequences: 1 }, steps: 1, lr: 1e-2 }
`;
const router = "layers.0.ffn.router";

/** Gradients of the router by expert, and what its tokens chose. */
async function gradientsOf(topK: number, rules: string) {
  const { device, programs } = await openWholeModel(specOf(topK, rules));
  try {
    for (const [name, data] of randomWeights(programs, generator(5))) device.write(name, Float32Array.from(data));
    await device.run("derive");
    device.write("tokens", Int32Array.of(3, 17, 8));
    device.write("targets", Int32Array.of(17, 8, 21));
    device.write("positions", Int32Array.of(0, 1, 2));
    device.write("documents", Int32Array.of(0, 0, 0));
    device.write("step.inverse_targets", Float32Array.of(1 / 3));
    device.write("step.first", Float32Array.of(1));
    await device.run("micro_step");
    const weight = [...(await device.read(`gradient.${router}.weight`))];
    const bias = [...(await device.read(`gradient.${router}.bias`))];
    const index = await device.read("layers[0].ffn.router.index", { program: "micro_step", count: tokens * topK });
    const rows = bias.map((own, e) => [own, ...weight.slice(e * width, (e + 1) * width)]);
    return { rows, chosen: new Set(index) };
  } finally {
    await device.close();
  }
}

const isZero = (row: readonly number[]): boolean => row.every((value) => value === 0);

test.each([2, 3])("of %i chosen experts these learn, and exactly 0 reaches all others", async (topK) => {
  const { rows, chosen } = await gradientsOf(topK, "{ bias: true, score: softmax(logit), normalize: true }");
  expect(chosen.size).toBeLessThan(experts);
  expect(rows.map(isZero)).toEqual(rows.map((_, e) => !chosen.has(e)));
});

test("one chosen expert has the weight 1, whatever its logit: nothing is learnt from it", async () => {
  const { rows } = await gradientsOf(1, "{ bias: true, score: softmax(logit), normalize: true }");
  expect(rows.every(isZero)).toBe(true);
});

test("shares of all experts teach all of them", async () => {
  const { rows } = await gradientsOf(2, "{ bias: true, score: softmax(logit) }");
  expect(rows.some(isZero)).toBe(false);
});
