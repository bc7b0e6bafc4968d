// Numbers of attention, experts and several predictions that must fit each other: both places, the arithmetic, the way out.

import { describe, expect, test } from "vitest";
import type { Diagnostic } from "../../compiler/source/diagnostic.ts";
import type { Place } from "../../compiler/source/text.ts";
import { readSpecText, smallSpec, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

const gqa = (more: string) => smallSpecWith(["heads: 4", `heads: 4, ${more}`]);
const mla = (more: string) =>
  smallSpecWith(["kind: gqa, heads: 4", `kind: mla, heads: 4, kv_rank: 8, nope_dim: 6, value_dim: 5, ${more}`]);
const moe = (more: string) => smallSpecWith(["kind: dense,", `kind: moe, ${more},`]);
const routed = (groups: string) => moe(`experts: 12, top_k: 4, router: { groups: { ${groups} } }`);
const mtp = (value: string) => smallSpecWith(["  ffn:", `  mtp: { ${value} }\n  ffn:`]);

/** The one fault of a text. */
function faultOf(text: string): Diagnostic {
  const [first, ...others] = readSpecText(text).diagnostics;
  expect(others).toEqual([]);
  return first;
}

/** What a caret stands under, with its key: `heads: 4`. */
function under(place: Place | undefined): string {
  if (place === undefined) return "nowhere";
  const { text } = place.source;
  const { start, end } = place.span;
  return (text.slice(0, start).match(/\w+: $/)?.[0] ?? "") + text.slice(start, end);
}

describe("each fault has both places, its arithmetic and a way out", () => {
  test.each([
    [
      gqa("rope: { dim: 5 }"),
      "model/odd-rope-dim",
      ["dim: 5"],
      "rope.dim = 5 is odd",
      [],
      "rope turns pairs of channels: choose an even rope.dim",
    ],
    [
      gqa("rope: { dim: 14 }"),
      "model/rope-beyond-head",
      ["dim: 14", "heads: 4"],
      "rope.dim = 14 is more than head_dim = 12",
      [],
      "rope turns the first channels of a head: at most all of them",
    ],
    [
      gqa("head_dim: 5"),
      "model/odd-head-dim",
      ["head_dim: 5"],
      "head_dim = 5 is odd",
      [],
      "rope turns pairs of channels: choose an even head_dim, or give an even `rope.dim`",
    ],
    [
      mla("rope_dim: 3"),
      "model/odd-rope-dim",
      ["rope_dim: 3"],
      "rope_dim = 3 is odd",
      [],
      "rope turns pairs of channels: choose an even rope_dim",
    ],
    [
      gqa(
        "rope: { yarn: { factor: 4, original: 8 }, llama3: { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original: 8 } }",
      ),
      "model/two-rope-scalings",
      ["yarn", "llama3"],
      "rope has yarn and llama3, it takes one of them",
      [],
      "leave one out",
    ],
    [
      gqa("rope: { yarn: { factor: 4, original: 8, beta_fast: 0.5 } }"),
      "model/yarn-bounds",
      ["yarn", "beta_fast: 0.5"],
      "beta_slow = 1 is above beta_fast = 0.5",
      [],
      "what turns more often than beta_fast is left alone, what turns less often than beta_slow is stretched",
    ],
    [
      gqa("rope: { theta: 1, yarn: { factor: 4, original: 8 } }"),
      "model/yarn-theta",
      ["theta: 1", "yarn"],
      "theta = 1 is not above 1, as yarn needs it",
      ["the bounds of its ramp are divided by log(theta)"],
      "choose a larger theta, as in `theta: 10000`",
    ],
    [
      moe("experts: 4, top_k: 5"),
      "model/top-k-beyond-experts",
      ["top_k: 5", "experts: 4"],
      "top_k = 5 is more than experts = 4",
      [],
      "a token goes through different experts: choose a smaller top_k or more experts",
    ],
    [
      routed("count: 5, keep: 2, score: max"),
      "model/groups-do-not-divide",
      ["count: 5", "experts: 12"],
      "groups.count = 5 does not divide experts = 12",
      ["12 = 2 * 5 + 2"],
      "groups have equally many experts: choose a divisor of experts",
    ],
    [
      routed("count: 3, keep: 4, score: max"),
      "model/keep-beyond-count",
      ["keep: 4", "count: 3"],
      "groups.keep = 4 is more than groups.count = 3",
      [],
      "keep at most as many groups as there are",
    ],
    [
      routed("count: 6, keep: 1, score: max"),
      "model/top-k-beyond-groups",
      ["top_k: 4", "keep: 1"],
      "top_k = 4 is more than the 2 experts of the groups kept",
      ["keep * experts / count = 1 * 12 / 6 = 2"],
      "keep more groups, or choose a smaller top_k",
    ],
    [
      routed("count: 12, keep: 6, score: top2_sum"),
      "model/groups-of-one",
      ["score: top2_sum", "count: 12"],
      "top2_sum needs at least 2 experts in a group",
      ["experts / groups.count = 12 / 12 = 1"],
      "write `score: max`, or choose fewer groups",
    ],
    [
      moe("experts: 4, top_k: 2, shared_intermediate: 8"),
      "model/shared-without",
      ["shared_intermediate: 8", "ffn"],
      "shared_intermediate = 8, but shared = 0",
      [],
      "write `shared: 1` beside it, or leave shared_intermediate out",
    ],
    [
      moe("experts: 4, top_k: 2, shared: 2, shared_intermediate: 0"),
      "model/shared-of-nothing",
      ["shared_intermediate: 0", "shared: 2"],
      "shared = 2, but shared_intermediate = 0",
      [],
      "leave shared_intermediate out: it is then shared * intermediate",
    ],
    [
      mtp("concat: [hidden, hidden]"),
      "model/concat-twice",
      ["concat: [hidden, hidden]"],
      "model.mtp.concat has `hidden` twice and no `embedding`",
      [],
      "write `[embedding, hidden]` or `[hidden, embedding]`",
    ],
    [
      mtp("depth: 64"),
      "model/mtp-beyond-sequence",
      ["depth: 64", "train"],
      "model.mtp.depth = 64 is not below train.sequence = 64",
      ["a sequence has train.sequence - depth = 0 tokens with one that far behind"],
      "predict fewer tokens, or train on longer sequences",
    ],
  ])("%#", (text, code, places, claim, details, help) => {
    const fault = faultOf(text);
    const { related = [] } = fault;
    expect([fault.code, [fault.place, ...related.map(({ place }) => place)].map(under)]).toEqual([code, places]);
    expect([fault.severity, fault.claim, fault.details ?? [], fault.help]).toEqual(["error", claim, details, help]);
  });
});

describe("one step from each fault there is none", () => {
  test.each([
    gqa("head_dim: 5, rope: { dim: 4 }"),
    gqa("rope: { dim: 12 }"),
    gqa("window: 1"),
    gqa("rope: { theta: 1.01, yarn: { factor: 1, original: 8, beta_fast: 1, beta_slow: 0.5 } }"),
    mla("rope_dim: 2, q_rank: 1"),
    moe("experts: 1, top_k: 1"),
    moe("experts: 4, top_k: 4, shared: 1, shared_intermediate: 1"),
    routed("count: 3, keep: 1, score: top2_sum"),
    routed("count: 6, keep: 2, score: top2_sum"),
    routed("count: 12, keep: 4, score: max"),
    mtp("depth: 63"),
  ])("%#", (text) => {
    expect(specFaults(text)).toEqual([]);
  });
});

test.each([
  [gqa("window: 0"), "key/out-of-range", "model.attention.window is at least 1 and at most 16777216, not 0"],
  [
    gqa("window: 2^25"),
    "key/out-of-range",
    "model.attention.window is at least 1 and at most 16777216, not 2^25 = 33554432",
  ],
  [
    gqa("rope: { yarn: { factor: 0.5, original: 8 } }"),
    "key/out-of-range",
    "model.attention.rope.yarn.factor is at least 1, not 0.5",
  ],
  [
    moe("experts: 2^17, top_k: 1"),
    "key/out-of-range",
    "model.ffn.experts is at least 1 and at most 65536, not 2^17 = 131072",
  ],
  [mtp("concat: [hidden]"), "key/entry-count", "model.mtp.concat has 2 entries, not 1"],
])("%#: bounds of single numbers", (text, code, claim) => {
  const fault = faultOf(text);
  expect([fault.code, fault.claim]).toEqual([code, claim]);
});

test("norm_eps of latent attention is the model's unless it is given", () => {
  const epsOf = (text: string) => {
    const { attention } = specOf(text, ["model.norm.eps=1e-4"]).model.layers[0];
    return attention.kind === "mla" ? attention.normEps : undefined;
  };
  expect([epsOf(mla("rope_dim: 2")), epsOf(mla("rope_dim: 2, norm_eps: 1e-7"))]).toEqual([1e-4, 1e-7]);
});

describe("schedules of the model", () => {
  const experts = (key: string, schedule: string) => moe(`experts: 4, top_k: 2, router: { ${key}: ${schedule} }`);
  const without = (text: string) => text.slice(0, text.indexOf("train:"));

  test.each([
    [experts("bias_update", "-1"), "key/out-of-range"],
    [experts("bias_update", "1e-3 for 5"), "schedule/ends-early"],
    [experts("losses", "{ z: linear(3) to 1 }"), "schedule/no-starting-value"],
    [mtp("weight: 0.3 then 0.1"), "schedule/no-span"],
  ])("%#: its text is checked", (text, code) => {
    expect(faultOf(text)).toMatchObject({ code, severity: "error" });
  });

  test("without training as well, except for what only a clock can tell", () => {
    expect(under(faultOf(without(experts("bias_update", "-1"))).place)).toBe("bias_update: -1");
    expect(under(faultOf(without(mtp("weight: 0.3 then 0.1"))).place)).toBe("weight: 0.3");
    expect(specFaults(without(experts("bias_update", "1e-3 for 5")))).toEqual([]);
  });

  test("they are on the clock of the batch", () => {
    // A step sees 8 sequences of 64 tokens, so 5120 tokens are 10 steps.
    const { model } = specOf(mtp("weight: 0.3 until 5120 tokens then 0.1"));
    expect(model.mtp?.weight).toEqual({
      pieces: [
        { unit: "tokens", start: 0, end: 5120, shape: "constant", from: 0.3, to: 0.3 },
        { unit: "steps", start: 10, end: 100, shape: "constant", from: 0.1, to: 0.1 },
      ],
    });
    expect(specOf(smallSpec).model.mtp).toBeUndefined();
  });

  test("a piece that never begins is told of once for all layers", () => {
    const list =
      "[{ kind: moe, intermediate: 8, experts: 4, top_k: 2, router: { bias_update: 1 for 100 then 0 } }, { layers: 1, top_k: 1 }]";
    const fault = faultOf(smallSpecWith(["{ kind: dense, intermediate: 96 }", list]));
    expect([fault.code, fault.severity]).toEqual(["schedule/never-begins", "warning"]);
  });
});
