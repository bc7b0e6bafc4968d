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

  const mla = (sizes: string) => ["{ kind: gqa, heads: 4 }", `{ kind: mla, rope_dim: 2, ${sizes} }`] as const;
  const moe = (sizes: string) => ["{ kind: dense, intermediate: 96 }", `{ kind: moe, ${sizes} }`] as const;

  test.each([
    [
      mla("heads: 2^30, kv_rank: 8, nope_dim: 2^20 - 2, value_dim: 2^20"),
      "a weight of attention has more than 2^53 elements; heads * (nope_dim + rope_dim) * width = 1125899906842624 * 48 = 54043195528445952",
    ],
    [
      mla("heads: 2^30, kv_rank: 16, nope_dim: 1, value_dim: 2^20 - 1"),
      "a weight of attention has more than 2^53 elements; heads * (nope_dim + value_dim) * kv_rank = 1125899906842624 * 16 = 18014398509481984",
    ],
    [
      moe("intermediate: 2^40, experts: 2^8, top_k: 1"),
      "a weight of ffn has more than 2^53 elements; experts * intermediate * width = 256 * 1099511627776 * 48 = 13510798882111488",
    ],
    [
      moe("intermediate: 8, experts: 2^16, top_k: 2^16"),
      "a micro-batch has more than 2^24 choices of experts; micro * sequence * top_k = 8 * 64 * 65536 = 33554432; 2^24 = 16777216: counts are 32-bit floats, which are exact up to there",
    ],
  ])("%#", ([part, by], expected) => {
    expect(first(smallSpecWith([part, by]))).toContain(expected);
  });

  test("a token has as many rows of experts as it has choices", () => {
    const text = smallSpecWith(moe("intermediate: 2^38, experts: 3, top_k: 3"), ["sequences: 8", "sequences: 2^8"]);
    expect(first(text)).toContain(
      "an activation has more than 2^53 elements; micro * sequence * top_k * intermediate = 256 * 64 * 824633720832 = 13510798882111488",
    );
  });

  test("one of as many choices as floats can count is legal, and the way out of one more is said", () => {
    const text = (topK: string) => smallSpecWith(moe(`intermediate: 8, experts: 2^16, top_k: ${topK}`));
    expect(specFaults(text("2^15"))).toEqual([]);
    const [fault] = readSpecText(text("2^15 + 1")).diagnostics;
    expect([fault.code, fault.help]).toEqual([
      "model/too-many-choices",
      "give `train.batch.micro`, or a shorter `train.sequence`",
    ]);
  });

  test("the cache of latent attention is one latent vector and one key of a token, whatever the heads", () => {
    const serve = (pages: string) =>
      `${smallSpecWith(mla("heads: 1000, kv_rank: 510, nope_dim: 2, value_dim: 2"))}serve: { page: 2^20, pages: ${pages} }\n`;
    // 4 layers of 512 channels: 2^11 * 2^20 * 2^22 = 2^53.
    expect(specFaults(serve("2^22"))).toEqual([]);
    expect(first(serve("2^22 + 1"))).toContain("the cache has more than 2^53 elements");
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
