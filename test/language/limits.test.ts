// Numbers that kernels cannot hold, and sizes that no compiler should plan for: refused at the key, with both numbers.

import { describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { readSpecText, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

const first = (text: string) => {
  const [diagnostic] = readSpecText(text).diagnostics;
  return [diagnostic?.code, diagnostic?.claim, ...(diagnostic?.details ?? [])].join("; ");
};

describe("numbers that kernels compute with are f32", () => {
  const largest = "kernels compute with 32-bit floats, and the largest is 3.4028235e38";
  const beyond = (path: string, words: string) =>
    `key/beyond-float; ${path} is ${words}, larger than the largest 32-bit float; ${largest}`;

  test.each([
    ["layers: 4", "layers: 4\n  norm: { eps: 1e39 }", beyond("model.norm.eps", "1e39")],
    ["lr: 1e-3", "lr: 1e39", beyond("train.lr", "1e+39")],
    ["lr: 1e-3", "lr: warmup(5) to 10^39", beyond("train.lr", "1e+39")],
    ["lr: 1e-3", "lr: 1e-3\n  init: normal(1e39)", beyond("train.init", "1e+39")],
    ["lr: 1e-3", "lr: 1e-3\n  init: { all: 'uniform(-1e38, 1e39)' }", beyond("train.init.all", "1e+39")],
    [
      "lr: 1e-3",
      "lr: 1e-3\n  optimizer: { weight_decay: { linear: 1e39 } }",
      beyond("train.optimizer.weight_decay.linear", "1e39"),
    ],
  ])("%s replaced by %s", (part, by, expected) => {
    expect(first(smallSpecWith([part, by]))).toBe(expected);
  });

  test.each([
    ["layers: 4", "layers: 4\n  norm: { eps: 1e-46 }", "model.norm.eps is 1e-46, which is 0 as a 32-bit float"],
    ["lr: 1e-3", "lr: 1e-3\n  optimizer: { eps: 1e-60 }", "train.optimizer.eps is 1e-60, which is 0 as a 32-bit float"],
    ["lr: 1e-3", "lr: 1e-3\n  clip: 10^-60", "train.clip is 1e-60, which is 0 as a 32-bit float"],
    [
      "lr: 1e-3",
      "lr: 1e-3\n  optimizer: { betas: [0.9, 0.9999999999] }",
      "train.optimizer.betas[1] is 0.9999999999, which is 1 as a 32-bit float",
    ],
  ])("%s replaced by %s", (part, by, claim) => {
    expect(first(smallSpecWith([part, by]))).toContain(`key/rounds-to-bound; ${claim}`);
  });

  test("the ends of their range are legal", () => {
    const ends = "lr: 1e-50\n  clip: 3.4028234e38\n  init: uniform(-3.4e38, 3.4e38)\n  optimizer: { eps: 1.5e-45 }";
    expect(specFaults(smallSpecWith(["lr: 1e-3", ends]))).toEqual([]);
  });
});

describe("sizes that cannot be planned for", () => {
  test.each([
    [
      "sequences: 8",
      "sequences: 2^20",
      "a micro-batch has more than 2^20 tokens; micro * sequence = 1048576 * 64 = 67108864",
    ],
    [
      "sequences: 8",
      "sequences: 2^40",
      "a micro-batch has more than 2^20 tokens; micro * sequence = 1099511627776 * 64 = 70368744177664",
    ],
    [
      "context: 64",
      "context: 2^20",
      "a micro-batch has more than 2^20 tokens; micro * sequence = 8 * 1048576 = 8388608",
    ],
    ["lr: 1e-3", "lr: 1e-3\nserve: { tokens: 2^20 + 1 }", "a call has more than 2^20 tokens; tokens = 1048577"],
    ["context: 64", "context: 2^24 + 1", "model.context is at least 1 and at most 16777216, not 2^24 + 1 = 16777217"],
  ])("%s replaced by %s", (part, by, expected) => {
    expect(first(smallSpecWith([part, by]))).toContain(expected);
  });

  test("the largest legal sizes compile", () => {
    const batch = specOf(smallSpecWith(["sequences: 8", "sequences: 2^20, micro: 2^14"]));
    expect(compile(batch).kernels.length).toBeGreaterThan(10);
    const context = specOf(
      smallSpecWith(["context: 64", "context: 2^24"], ["steps: 100", "steps: 100\n  sequence: 2^17"]),
    );
    expect(compile(context).kernels.length).toBeGreaterThan(10);
  });
});
