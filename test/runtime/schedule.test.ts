import { expect, it } from "vitest";
import type { ManifestSchedule, ManifestTraining } from "../../runtime/contract.ts";
import { scheduleValue, sequencesAt } from "../../runtime/schedule.ts";
import { openTiny, tinySpec } from "./tiny-model.ts";

const inSteps = (schedule: ManifestSchedule, step: number): number =>
  scheduleValue(schedule, { steps: step, tokens: 100 * step }, { steps: step + 1, tokens: 100 * (step + 1) });

const warmupThenCosine: ManifestSchedule = {
  pieces: [
    { unit: "steps", start: 0, end: 4, shape: "warmup", from: 0, to: 8 },
    { unit: "steps", start: 4, end: 10, shape: "cosine", from: 8, to: 2 },
    { unit: "steps", start: 10, end: 12, shape: "constant", from: 2, to: 2 },
  ],
};

it("a warm-up reaches its value in its last step and its first step learns", () => {
  expect([0, 1, 2, 3].map((step) => inSteps(warmupThenCosine, step))).toEqual([2, 4, 6, 8]);
});

it("a cosine begins at its first value, passes the middle and ends at its last", () => {
  // 2 + 6 (1 + cos(pi t)) / 2 at t = 0, 1/3, 1/2, 2/3: cos is 1, 1/2, 0, -1/2.
  expect(inSteps(warmupThenCosine, 4)).toBe(8);
  expect(inSteps(warmupThenCosine, 6)).toBeCloseTo(6.5, 12);
  expect(inSteps(warmupThenCosine, 7)).toBeCloseTo(5, 12);
  expect(inSteps(warmupThenCosine, 8)).toBeCloseTo(3.5, 12);
  expect(inSteps(warmupThenCosine, 10)).toBe(2);
});

it("a value behind the last piece is the last one's", () => {
  expect(inSteps(warmupThenCosine, 40)).toBe(2);
});

it("pieces in tokens and in steps follow one another", () => {
  const schedule: ManifestSchedule = {
    pieces: [
      { unit: "tokens", start: 0, end: 250, shape: "warmup", from: 0, to: 1 },
      { unit: "tokens", start: 250, end: 650, shape: "linear", from: 1, to: 0.2 },
      { unit: "steps", start: 7, end: 20, shape: "constant", from: 5, to: 5 },
    ],
  };
  // Steps see 100 tokens: warm at their ends (100, 200, and 300 is past 250), then linear at their beginnings.
  const values = [0, 1, 2, 3, 4, 6, 7].map((step) => inSteps(schedule, step));
  const expected = [0.4, 0.8, 1, 1 - 0.8 * (50 / 400), 1 - 0.8 * (150 / 400), 1 - 0.8 * (350 / 400), 5];
  values.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i], 12);
  });
});

it("sequences are rounded down to whole micro-batches and never to none", () => {
  const sequences: ManifestSchedule = {
    pieces: [{ unit: "steps", start: 0, end: 10, shape: "linear", from: 3, to: 33 }],
  };
  const training = { sequences, micro: 4 } as ManifestTraining;
  const at = (steps: number) => sequencesAt(training, { steps, tokens: 0 });
  // 3, 6, 9, 12, … before rounding.
  expect([0, 1, 2, 3, 4].map(at)).toEqual([4, 4, 8, 12, 12]);
});

it("a compiled spec's schedules give what its text says", async () => {
  const model = await openTiny(tinySpec);
  await model.close();
  const { training } = model.manifest;
  if (training === undefined) throw new Error("the tiny spec trains");
  expect([0, 1, 2, 3, 4, 7].map((steps) => sequencesAt(training, { steps, tokens: 0 }))).toEqual([4, 4, 6, 6, 8, 8]);
  expect(inSteps(training.learningRate, 0)).toBeCloseTo(1e-2 / 3, 15);
  expect(inSteps(training.learningRate, 3)).toBe(1e-2);
});
