// Published models as their specs are written, made small: every node of training and serving computes on the device what
// it means, and a text cut into any parts has the same logits to the bit.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Graph } from "../../compiler/graph/graph.ts";
import { elementCount } from "../../compiler/graph/types.ts";
import { specOf } from "../language/spec-text.ts";
import { generator } from "../ops/case-parts.ts";
import { logitsInChunks } from "./in-chunks.ts";
import { openWholeSpec, randomWeights, runAndCompare, type WholeModel } from "./whole-model.ts";

const vocab = 37;
const shared = ["vocab=37", "context=48", "width=18"].map((size) => `model.${size}`);
const serving = ["sequences=2", "tokens=20", "pages=24", "page=4"].map((size) => `serve.${size}`);

const models = [
  {
    name: "deepseek-v3",
    graph: "micro_step",
    overrides: [
      "model.layers=3",
      ...["heads=3", "q_rank=13", "kv_rank=40", "nope_dim=24", "rope_dim=12", "value_dim=20"].map(
        (size) => `model.attention.${size}`,
      ),
      ...["experts=8", "top_k=3", "intermediate=7", "router.groups.count=4", "router.groups.keep=2"].map(
        (size) => `model.ffn[0].${size}`,
      ),
      ...['layers="0"', "intermediate=11"].map((size) => `model.ffn[1].${size}`),
      "train.sequence=12",
      // As in its report, section 3.2.3.
      "recompute=[norm, attention.kv_up, attention.q_up, activation]",
      "train.batch.sequences=4",
      "train.batch.micro=2",
    ],
  },
  {
    name: "gpt-oss-120b",
    graph: undefined,
    overrides: [
      "model.layers=3",
      ...["heads=6", "kv_heads=2", "head_dim=10"].map((size) => `model.attention[0].${size}`),
      "model.attention[1].window=7",
      ...["experts=5", "top_k=2", "intermediate=9"].map((size) => `model.ffn.${size}`),
    ],
  },
] as const;

/** Values for everything that a run of a training graph is given besides parameters. */
function trainingInputs(graph: Graph, sequence: number): Map<string, readonly number[]> {
  const given = graph.given.filter(({ storage }) => storage === "input" || storage === "step");
  return new Map(
    given.map(({ name, type }) => {
      const make = (i: number): number => {
        if (name === "documents") return Math.floor(i / 7);
        if (name === "positions") return i % sequence;
        if (name.endsWith("targets") && type.dtype === "i32") return i % 5 === 4 ? -1 : (i * 17 + 3) % vocab;
        if (type.dtype === "i32") return (i * 11 + name.length) % vocab;
        return name === "step.never" ? 0 : 0.25;
      };
      return [name, Array.from({ length: elementCount(type) }, (_, i) => make(i))];
    }),
  );
}

describe.each(models)("$name in small", ({ name, graph, overrides }) => {
  let model: WholeModel;
  beforeAll(async () => {
    const text = readFileSync(`test/language/fixtures/${name}.mspec.yaml`, "utf8");
    model = await openWholeSpec(specOf(text, [...shared, ...serving, ...overrides]));
    const weights = randomWeights(model.programs, generator(12));
    for (const [parameter, data] of weights) model.device.write(parameter, Float32Array.from(data));
    await model.device.run("derive");
  });
  afterAll(async () => {
    await model.device.close();
  });

  it("has the same logits for any parts of a text", async () => {
    const tokens = Array.from({ length: 41 }, (_, i) => (i * 29 + 3) % vocab);
    const whole = await logitsInChunks(model.device, tokens, [20]);
    expect(whole).toHaveLength(tokens.length * vocab);
    expect(whole.every(Number.isFinite)).toBe(true);
    for (const sizes of [[1], [2, 3], [13, 1]]) {
      expect(await logitsInChunks(model.device, tokens, sizes), `parts of ${sizes}`).toEqual(whole);
    }
  });

  it("computes in every node of serving what it means", async () => {
    // One text fills the call: 20 tokens in pages 3, 1, 4, 0, 2.
    const [positions, pages] = [Array.from({ length: 20 }, (_, i) => i), [3, 1, 4, 0, 2]];
    const inputs: Readonly<Record<string, readonly number[]>> = {
      tokens: positions.map((position) => (position * 11 + 2) % vocab),
      positions,
      slots: positions.map((position) => pages[position >> 2] * 4 + (position % 4)),
      page_table: pages,
      row_tiles: [0, 0, 20, 20],
      output_rows: positions,
    };
    for (const [input, data] of Object.entries(inputs)) {
      const tensor = model.device.manifest.tensors.find((candidate) => candidate.name === input);
      const length = tensor?.dims.reduce((product, { size }) => product * size, 1) ?? data.length;
      model.device.write(
        input,
        Int32Array.from({ length }, (_, i) => data[i] ?? 0),
      );
    }
    const { outliers, compared } = await runAndCompare(model, "extend", { tokens: 20, outputs: 20, tiles: 1 });
    expect(compared).toBeGreaterThan(20 * vocab);
    expect(outliers).toEqual([]);
  });

  // A spec without a train section has no such graph.
  if (graph === undefined) return;
  it("computes in every node of training what it means", async () => {
    const training = model.fused.get(graph);
    if (training === undefined) throw new Error(`no graph ${graph}`);
    for (const [input, data] of trainingInputs(training, 12)) {
      const isReal = training.given.some((value) => value.name === input && value.type.dtype === "f32");
      model.device.write(input, isReal ? Float32Array.from(data) : Int32Array.from(data));
    }
    const { outliers, compared } = await runAndCompare(model, graph);
    expect(compared).toBeGreaterThan(24 * 18 * 50);
    expect(outliers).toEqual([]);
  });
});
