// Four micro-batches of two sequences against one of eight: the same products, added up in another order.

import { expect, it } from "vitest";
import { generator } from "../ops/case-parts.ts";
import { excess } from "../ops/on-device.ts";
import { openWholeModel, randomWeights, runAndCompare } from "./whole-model.ts";

const spec = `mspec: 1
name: micro
model:
  vocab: 37
  context: 12
  width: 18
  layers: 2
  tie_embeddings: true
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6 }
  ffn: { kind: dense, intermediate: 23, activation: silu(gate) * up }
train:
  sequence: 12
  batch: { sequences: 8, micro: MICRO }
  steps: 2
  lr: 1e-3
serve: { sequences: 2, tokens: 16 }
`;

const [rows, sequence, vocab] = [8, 12, 37];

interface StepSums {
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** What the ops' tolerance functions allow each element, summed over the launches that add to it. */
  readonly bounds: ReadonlyMap<string, Float64Array>;
  readonly loss: number;
}

/** The sums of a step of eight sequences, in micro-batches of so many. */
async function stepOf(micro: number): Promise<StepSums> {
  const model = await openWholeModel(spec.replace("MICRO", String(micro)));
  const random = generator(4);
  const { device, programs, manifest } = model;
  for (const [name, data] of randomWeights(programs, random)) device.write(name, Float32Array.from(data));
  await device.run("derive");
  const tokens = Int32Array.from({ length: rows * sequence }, (_, i) => (i * i + 5 * i) % vocab);
  const targets = tokens.map((token, i) => (i % 6 === 5 ? -1 : (token * 2 + 1) % vocab));
  const documents = tokens.map((_, i) => Math.floor(i / 9));
  const positions = tokens.map((_, i) => i % sequence);
  const bounds = new Map<string, Float64Array>();
  for (let row = 0; row < rows; row += micro) {
    const part = (values: Int32Array) => values.subarray(row * sequence, (row + micro) * sequence);
    for (const [name, values] of Object.entries({ tokens, targets, documents, positions })) {
      device.write(name, part(values));
    }
    device.write("step.first", Float32Array.of(row === 0 ? 1 : 0));
    device.write("step.inverse_targets", Float32Array.of(1 / 80));
    const { outliers, stateBounds } = await runAndCompare(model, "micro_step");
    expect(outliers).toEqual([]);
    for (const [name, values] of stateBounds) bounds.set(name, sum(bounds.get(name), values));
  }
  const gradients = new Map<string, Float32Array>();
  for (const { gradient } of manifest.parameters) {
    if (gradient !== undefined) gradients.set(gradient, await device.read(gradient));
  }
  const [loss] = await device.read("metrics.loss");
  await device.close();
  return { gradients, bounds, loss };
}

const sum = (a: Float64Array | undefined, b: Float64Array): Float64Array => b.map((value, i) => value + (a?.[i] ?? 0));

it("4 x 2 gives the gradients of 1 x 8 within the tolerance function", async () => {
  const [whole, parts] = [await stepOf(8), await stepOf(2)];
  let different = 0;
  let largest = 0;
  for (const [name, expected] of whole.gradients) {
    const got = parts.gradients.get(name) ?? new Float32Array();
    const [a, b] = [whole.bounds.get(name), parts.bounds.get(name)];
    if (a === undefined || b === undefined) throw new Error(`${name} has no bounds`);
    // Rows do not depend on the batch, so both add up the very same products and differ in the order alone. Each lies
    // within its own launches' bounds, chain length · 2^-24 · Σ|products|, of the exact sum: so the difference lies
    // within both together.
    got.forEach((value, i) => {
      expect(excess(value, expected[i], a[i] + b[i]), `${name}[${i}]: ${value}, ${expected[i]}`).toBeLessThanOrEqual(0);
      if (value !== expected[i]) different++;
      largest = Math.max(largest, Math.abs(expected[i]));
    });
  }
  expect(whole.gradients.size).toBe(20);
  // They do differ: the bound is not met by chance of equal code.
  expect(different).toBeGreaterThan(100);
  expect(largest).toBeGreaterThan(1e-3);
  expect(Math.abs(parts.loss - whole.loss) / whole.loss).toBeLessThan(80 * 2 ** -24);
});
