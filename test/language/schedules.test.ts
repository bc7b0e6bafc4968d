// Schedules on the clock of the batch: pieces without gaps, spans of steps and of tokens, and the steps that follow.

import { describe, expect, test } from "vitest";
import { sequencesAt } from "../../compiler/spec/batch.ts";
import type { Schedule } from "../../compiler/spec/spec.ts";
import { Timeline } from "../../compiler/spec/timeline.ts";
import { readSpecText, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

const piecesText = ({ pieces }: Schedule) =>
  pieces.map(({ shape, unit, start, end, from, to }) => `${shape} ${from}..${to} on [${start}, ${end}) ${unit}`);

/** A run of 100 steps of 8 sequences of 64 tokens: 512 tokens per step. */
function learningRate(schedule: string): string[] {
  const { train } = specOf(smallSpecWith(["lr: 1e-3", `lr: ${schedule}`]));
  return train === undefined ? [] : piecesText(train.learningRate);
}

describe("learning rates", () => {
  test.each([
    ["1e-3", ["constant 0.001..0.001 on [0, 100) steps"]],
    [
      "warmup(20) to 1e-3 then cosine to 1e-4",
      ["warmup 0..0.001 on [0, 20) steps", "cosine 0.001..0.0001 on [20, 100) steps"],
    ],
    [
      "1e-3 for 10 then hold(20) then linear(until 50) to 0 then hold",
      [
        "constant 0.001..0.001 on [0, 10) steps",
        "constant 0.001..0.001 on [10, 30) steps",
        "linear 0.001..0 on [30, 50) steps",
        "constant 0..0 on [50, 100) steps",
      ],
    ],
    [
      "linear(512 * 10 tokens) from 1 to 2 then 2 until 10241 tokens then 1",
      [
        "linear 1..2 on [0, 5120) tokens",
        "constant 2..2 on [5120, 10241) tokens",
        // 10241 tokens are behind step 20, which begins with 10240.
        "constant 1..1 on [21, 100) steps",
      ],
    ],
    [
      "warmup(10) to 1 then hold(until 10k tokens) then cosine(10k tokens) to 0 then 0",
      [
        "warmup 0..1 on [0, 10) steps",
        "constant 1..1 on [5120, 10000) tokens",
        "cosine 1..0 on [10000, 20000) tokens",
        "constant 0..0 on [40, 100) steps",
      ],
    ],
    [
      "1 / width for layers * 2 steps then 0",
      ["constant 0.020833333333333332..0.020833333333333332 on [0, 8) steps", "constant 0..0 on [8, 100) steps"],
    ],
    ["1e-3 for 200", ["constant 0.001..0.001 on [0, 200) steps"]],
  ])("%s", (schedule, pieces) => {
    expect(learningRate(schedule)).toEqual(pieces);
  });

  test.each([
    ["hold", "13:7 schedule/nothing-to-hold"],
    ["cosine to 1", "13:7 schedule/no-starting-value"],
    ["1 then 2", "13:7 schedule/no-span"],
    ["1 for 10", "13:7 schedule/ends-early"],
    ["1 for 512 * 99 tokens", "13:7 schedule/ends-early"],
    ["1 for 10 then 2 until 10 then 3", "13:21 schedule/empty-piece"],
    ["1 for 1.5 then 2", "13:13 key/not-whole"],
    ["1 for 0 then 2", "13:13 key/out-of-range"],
    ["1 for stepss then 2", "13:13 size/unknown-name"],
    ["warmup(20) to 1e-3 then cosine to -1", "13:41 key/out-of-range"],
  ])("%s is refused", (schedule, fault) => {
    expect(specFaults(smallSpecWith(["lr: 1e-3", `lr: ${schedule}`]))).toEqual([`error ${fault}`]);
  });

  test("the last step's beginning decides whether a schedule of tokens is long enough", () => {
    expect(learningRate("1 for 512 * 99 + 1 tokens")).toEqual(["constant 1..1 on [0, 50689) tokens"]);
  });

  test("a piece behind the end of training is a warning, so that a short trial run needs no other schedule", () => {
    const text = smallSpecWith(["lr: 1e-3", "lr: warmup(20) to 1e-3 then cosine to 1e-4"]);
    const { spec, diagnostics } = readSpecText(text, ["train.steps=10"]);
    expect(diagnostics.map(({ severity, code, claim }) => `${severity} ${code}: ${claim}`)).toEqual([
      "warning schedule/never-begins: this piece begins at 20 steps, training ends at step 10",
    ]);
    expect(spec?.train && piecesText(spec.train.learningRate)).toEqual([
      "warmup 0..0.001 on [0, 20) steps",
      "cosine 0.001..0.0001 on [20, 21) steps",
    ]);
  });
});

describe("batches", () => {
  const batchOf = (batch: string, length = "steps: 100") => {
    return specOf(smallSpecWith(["batch: { sequences: 8 }", `batch: ${batch}`], ["steps: 100", length])).train;
  };

  test("micro is the whole batch if it is constant and not given", () => {
    expect(batchOf("{ sequences: 8 }")?.batch.micro).toBe(8);
    expect(batchOf("{ sequences: 8, micro: 2 }")?.batch.micro).toBe(2);
  });

  test("tokens become the least number of steps that see them", () => {
    expect(batchOf("{ sequences: 8 }", "tokens: 5120")?.steps).toBe(10);
    expect(batchOf("{ sequences: 8 }", "tokens: 5121")?.steps).toBe(11);
  });

  test("a ramp of the batch is rounded down to a multiple of micro, step by step", () => {
    const train = batchOf("{ sequences: linear(10) from 4 to 14 then 16, micro: 2 }", "tokens: 8192");
    const [ramp] = train?.batch.sequences.pieces ?? [];
    // 4, 5, 6, … 13 rounded down to even: 4 4 6 6 8 8 10 10 12 12 = 80 sequences of 64 tokens = 5120 in 10 steps;
    // the other 3072 tokens take 3 steps of 1024.
    expect([0, 1, 2, 3, 9].map((step) => sequencesAt(ramp, step, 2))).toEqual([4, 4, 6, 6, 12]);
    expect(train?.steps).toBe(13);
  });

  test("a ramp over tokens ends with the first step that has seen them", () => {
    const train = batchOf("{ sequences: linear(1000 tokens) from 4 to 8 then 8, micro: 4 }");
    // Steps of 4 sequences see 256 tokens: 0, 256, 512, 768, 1024.
    expect(train && piecesText(train.batch.sequences)).toEqual([
      "linear 4..8 on [0, 1000) tokens",
      "constant 8..8 on [4, 100) steps",
    ]);
  });

  test("pieces of tokens meet exactly, though steps do not", () => {
    const train = batchOf('{ sequences: "linear(1000 tokens) from 4 to 8 then hold(1000 tokens) then 4", micro: 4 }');
    // The second piece begins with step 4 at 1024 tokens and ends with step 6: 1024 + 2 * 512 = 2048.
    expect(train && piecesText(train.batch.sequences)).toEqual([
      "linear 4..8 on [0, 1000) tokens",
      "constant 8..8 on [1000, 2000) tokens",
      "constant 4..4 on [6, 100) steps",
    ]);
  });

  test.each([
    ["{ sequences: cosine(10) from 4 to 8 then 8, micro: 4 }", "11:23 schedule/not-for-batch"],
    ["{ sequences: warmup(10) to 8 then 8, micro: 4 }", "11:23 schedule/not-for-batch"],
    ["{ sequences: 8 for 10, micro: 4 }", "11:23 schedule/ends-early"],
    ["{ sequences: 0 }", "11:23 key/out-of-range"],
    ["{ sequences: 2.5, micro: 1 }", "11:23 key/not-whole"],
    ["{ sequences: linear(until 10^8) from 4 to 8 then 8, micro: 4 }", "11:23 schedule/ramp-too-long"],
  ])("%s is refused", (batch, fault) => {
    expect(specFaults(smallSpecWith(["batch: { sequences: 8 }", `batch: ${batch}`]))).toEqual([`error ${fault}`]);
  });
});

test("the clock counts tokens by runs of equal steps", () => {
  const clock = new Timeline();
  clock.add(0, 0, 10);
  clock.add(5, 50, 20);
  expect(clock.atStep(5)).toEqual({ steps: 5, tokens: 50 });
  expect(clock.atStep(7)).toEqual({ steps: 7, tokens: 90 });
  expect(clock.atTokens(49)).toEqual({ steps: 5, tokens: 50 });
  expect(clock.atTokens(50)).toEqual({ steps: 5, tokens: 50 });
  expect(clock.atTokens(51)).toEqual({ steps: 6, tokens: 70 });
});
