// How evenly experts are used, as observers and metrics.jsonl are told: MaxVio against numbers worked out by hand, loads
// against counts, and nothing of it for a dense model.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadShares, maxViolation } from "../../runtime/train/expert-loads.ts";
import { metricsRecord } from "../../runtime/train/metrics-record.ts";
import type { StepReport } from "../../runtime/train/options.ts";
import { openTiny } from "../runtime/tiny-model.ts";
import { makeCorpus, metricsOf, trainTiny } from "./run-setup.ts";

/** Two routers of 6 and 4 experts, two of modules that predict further ahead, every balance loss; 3 rows at a time. */
const spec = `mspec: 1
name: sparse
model:
  vocab: 259
  context: 16
  width: 12
  layers: 3
  attention: { kind: gqa, heads: 2, kv_heads: 1, head_dim: 4 }
  ffn:
    - kind: moe
      experts: 6
      top_k: 2
      intermediate: 5
      router: { score: sigmoid(logit), normalize: true, bias_update: 0.01, losses: { sequence: 0.01, batch: 0.01, z: 0.001 } }
    - { layers: "0", kind: dense, intermediate: 9 }
    - { layers: "1", experts: 4, top_k: 1 }
  mtp: { depth: 2, weight: 0.3 }
data: { tokenizer: bytes, train: ["*.txt"] }
train:
  sequence: 16
  batch: { sequences: 6, micro: 3 }
  steps: 5
  evaluate_every: 2
  sample_every: 0
  lr: 1e-2
serve: { sequences: 2, tokens: 8 }
`;

/** To four decimals, with the last bits of f64 for ties. */
const isRounded =
  (exact = Number.NaN) =>
  (value: number): boolean =>
    Math.abs(value - exact) <= 0.5e-4 + 1e-12;

let base: string;
let remove: () => Promise<void>;
beforeAll(async () => {
  const corpus = await makeCorpus(4);
  base = corpus.folder;
  remove = corpus.remove;
});
afterAll(() => remove());

describe("MaxVio", () => {
  it.each([
    // Mean 3; the greatest is 6: (6 - 3) / 3.
    [[6, 3, 2, 1], 1],
    // Mean 4; the greatest is 5.
    [[5, 4, 3], 0.25],
    [[7, 7, 7, 7, 7], 0],
    // All to one of eight: 8 means, one of which is its due.
    [[0, 0, 0, 0, 0, 0, 0, 40], 7],
    [[12], 0],
    [[0, 0, 0], 0],
    [[], 0],
  ])("of loads %j is %d", (loads, expected) => {
    expect(maxViolation(loads)).toBeCloseTo(expected, 14);
    expect(maxViolation(Float32Array.from(loads))).toBeCloseTo(expected, 14);
  });

  it("is the greatest share above 1", () => {
    expect(loadShares([6, 3, 2, 1])).toEqual([2, 1, 2 / 3, 1 / 3]);
    expect(loadShares([0, 0])).toEqual([0, 0]);
    expect(loadShares([9])).toEqual([1]);
  });
});

describe("a run with experts", () => {
  it("reports choices of every router of a step, and the means of its other losses", async () => {
    const reports = await reportsOf();
    for (const { experts, losses, sequences } of reports) {
      const routers = experts?.routers ?? [];
      expect(routers.map(({ path }) => path)).toEqual([
        "layers[1].ffn.router",
        "layers[2].ffn.router",
        "mtp[0].ffn.router",
        "mtp[1].ffn.router",
      ]);
      const chosen = routers.map(({ choices }) => Array.from(choices));
      expect(chosen.map((choices) => choices.length)).toEqual([4, 6, 6, 6]);
      const tokens = sequences * 16;
      expect(chosen.map((choices) => choices.reduce((sum, load) => sum + load, 0))).toEqual([
        tokens,
        2 * tokens,
        2 * tokens,
        2 * tokens,
      ]);
      // The mean load is 96 / 4 = 24, and 192 / 6 = 32 where two are chosen.
      const violations = chosen.map((choices, i) => Math.max(...choices) / [24, 32, 32, 32][i] - 1);
      expect(experts?.maxViolation).toBeCloseTo(violations.reduce((sum, one) => sum + one) / 4, 12);
      expect(Object.keys(losses).sort()).toEqual(["balance.batch", "balance.sequence", "balance.z", "mtp.0", "mtp.1"]);
    }
    // ln 259 = 5.557: a fresh module guesses, and its loss is a mean of its own, however many modules there are.
    expect(reports[0].losses["mtp.0"]).toBeGreaterThan(5.3);
    expect(reports[0].losses["mtp.0"]).toBeLessThan(5.8);
    expect(reports.map(({ validationExperts }) => validationExperts !== undefined)).toEqual([
      false,
      true,
      false,
      true,
      true,
    ]);
  });

  it("writes them to metrics.jsonl, loads by router only where it evaluates", async () => {
    const reports: StepReport[] = [];
    const folder = join(base, "runs", "lines");
    const model = await openTiny(spec);
    await model.train({ base, folder, observer: { onStep: (report) => void reports.push(report) } });
    await model.close();
    const lines = (await metricsOf(folder)).map((line) => JSON.parse(line));
    expect(lines.length).toBe(5);
    lines.forEach((line, i) => {
      const { losses, experts, validationExperts } = reports[i];
      expect(line.losses).toEqual(losses);
      expect(line.max_violation).toSatisfy(isRounded(experts?.maxViolation));
      expect(line.max_violation_by_layer.length).toBe(4);
      expect(line.max_violation_by_layer[1]).toSatisfy(isRounded(experts?.routers[1].maxViolation));
      expect("loads" in line).toBe([1, 3, 4].includes(i));
      expect("validation_max_violation" in line).toBe([1, 3, 4].includes(i));
      if (validationExperts === undefined) return;
      expect(line.validation_max_violation).toSatisfy(isRounded(validationExperts.maxViolation));
      expect(line.validation_max_violation_by_layer.length).toBe(4);
      const choices = Array.from(experts?.routers[0].choices ?? []);
      expect(Object.keys(line.loads)).toEqual(experts?.routers.map(({ path }) => path));
      // 96 choices of 4 experts.
      expect(line.loads["layers[1].ffn.router"]).toEqual(choices.map((load) => Math.round((load / 24) * 100) / 100));
    });
  });

  it("that stops and resumes has the lines of one that did not", async () => {
    const [straight, stopped] = ["straight", "stopped"].map((name) => join(base, "runs", name));
    const controller = new AbortController();
    const onStep = ({ step }: StepReport) => void (step === 3 && controller.abort());
    for (const options of [
      { folder: straight },
      { folder: stopped, signal: controller.signal, observer: { onStep } },
      { folder: stopped, resume: true },
    ]) {
      const model = await openTiny(spec);
      await model.train({ base, ...options });
      await model.close();
    }
    expect(await metricsOf(stopped)).toEqual(await metricsOf(straight));
  });

  async function reportsOf(): Promise<StepReport[]> {
    const reports: StepReport[] = [];
    const model = await openTiny(spec);
    await model.train({ base, observer: { onStep: (report) => void reports.push(report) } });
    await model.close();
    return reports;
  }
});

describe("an evaluation", () => {
  it("counts the choices of whole sequences and none of padding, however many rows are evaluated at a time", async () => {
    const text = Array.from({ length: 90 }, (_, i) => (7 * i + (i % 5) ** 2) % 259);
    const tokens = Int32Array.from(text);
    let compared = 0;
    // Without a whole sequence, with one, with a part of one behind it, and with more than a micro-batch.
    for (const length of [10, 17, 30, 33, 49, 60, 66, 90]) {
      const stream = { tokens: tokens.slice(0, length), documentStarts: Int32Array.of(0) };
      const seen = [];
      for (const micro of [1, 2, 3, 5]) {
        const model = await openTiny(spec, [`train.batch.sequences=${micro}`, `train.batch.micro=${micro}`]);
        await model.initialize(3);
        const outcome = await model.evaluate(stream);
        await model.close();
        seen.push(outcome.experts?.routers.map(({ choices }) => Array.from(choices)));
      }
      const whole = Math.floor((length - 1) / 16);
      for (const routers of seen) expect(routers, `${length} tokens`).toEqual(seen[0]);
      const sums = seen[0]?.map((choices) => choices.reduce((sum, load) => sum + load, 0));
      expect(sums).toEqual(whole === 0 ? undefined : [1, 2, 2, 2].map((topK) => topK * 16 * whole));
      compared += seen.length;
    }
    expect(compared).toBe(32);
  });
});

describe("a dense run", () => {
  it("has the lines that it always had", async () => {
    const folder = join(base, "runs", "dense");
    const { reports } = await trainTiny({ base, folder });
    expect(reports.some((report) => "experts" in report || "validationExperts" in report)).toBe(false);
    const lines = await metricsOf(folder);
    const always = ["step", "tokens", "loss", "gradient_norm", "learning_rate", "sequences", "skipped"];
    expect(lines.map((line) => Object.keys(JSON.parse(line)))).toEqual([
      ...Array(7).fill(always),
      [...always, "validation_loss"],
    ]);
  });
});

it("loads that would make a line too long to be read again are left out of it", () => {
  const report = (experts: number): StepReport => ({
    ...{ step: 1, steps: 1, tokens: 1, loss: 1, losses: {}, gradientNorm: 1, learningRate: 1, sequences: 1 },
    ...{ isSkipped: false, tokensPerSecond: 1 },
    experts: {
      maxViolation: 0,
      routers: ["a", "b"].map((path) => ({ path, choices: new Float32Array(experts).fill(1), maxViolation: 0 })),
    },
  });
  expect(metricsRecord(report(32_768))).toMatchObject({ loads: { a: { length: 32_768 }, b: { length: 32_768 } } });
  expect("loads" in metricsRecord(report(32_769))).toBe(false);
});
