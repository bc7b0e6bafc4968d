// Which values a precision rule stores in which format, and where a value is rounded for who reads it.

import { describe, expect, test } from "vitest";
import { buildPrograms } from "../../compiler/compile.ts";
import type { Graph, Node } from "../../compiler/graph/graph.ts";
import { printType } from "../../compiler/graph/types.ts";
import { verifyStages } from "../../compiler/ops/verify-stages.ts";
import { readSpecText, specOf } from "../language/spec-text.ts";

const text = `mspec: 1
name: formats
model:
  vocab: 37
  context: 12
  width: 18
  layers: 2
  tie_embeddings: true
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6 }
  ffn:
    - { kind: moe, experts: 4, top_k: 2, intermediate: 7, shared: 1, activation: silu(gate) * up }
    - { layers: "0", kind: dense, intermediate: 23 }
train:
  sequence: 12
  batch: { sequences: 2 }
  steps: 5
  lr: 1e-3
serve: { sequences: 2, tokens: 16 }
`;

const programsOf = (...overrides: string[]) => buildPrograms(specOf(text, overrides));

function graphOf(graphs: readonly Graph[], name: string): Graph {
  const graph = graphs.find((candidate) => candidate.name === name);
  if (graph === undefined) throw new Error(`no graph ${name}`);
  return graph;
}

function nodeOf(graph: Graph, op: string, path: string): Node {
  const node = graph.nodes.find((candidate) => candidate.op === op && candidate.path === path);
  if (node === undefined) throw new Error(`no ${op} at ${path}`);
  return node;
}

const formats = ({ inputs, outputs }: Node): string =>
  [inputs, outputs].map((values) => values.map(({ type }) => type.dtype).join(" ")).join(" -> ");

const casts = ({ nodes }: Graph): string[] =>
  nodes.filter(({ op }) => op === "cast").map(({ inputs }) => inputs[0].name);

describe("the recipe bf16", () => {
  const { graphs, stages, notes } = programsOf("precision=[bf16]");
  const [step, extend] = ["micro_step", "extend"].map((name) => graphOf(graphs, name));

  test("every graph is sound after every pass", () => expect(verifyStages(stages)).toEqual([]));

  test("products read bf16 and store it; gradients of weights are f32", () => {
    const path = "layers[0].ffn.up";
    expect(formats(nodeOf(step, "linear", path))).toBe("bf16 bf16 -> bf16");
    expect(formats(nodeOf(step, "linear_dgrad", path))).toBe("bf16 bf16 -> bf16");
    expect(formats(nodeOf(step, "linear_wgrad", path))).toBe("bf16 bf16 -> f32");
    expect(formats(nodeOf(step, "grouped_linear_wgrad", "layers[1].ffn.experts.up"))).toMatch(/-> f32$/);
    const gradients = step.given.filter(({ storage }) => storage === "gradient" || storage === "parameter");
    expect(new Set(gradients.map(({ type }) => type.dtype))).toEqual(new Set(["f32"]));
    expect(gradients.length).toBeGreaterThan(20);
  });

  test("a weight is rounded once for all who read it", () => {
    const names = casts(step);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name === "layers.0.ffn.up.weight")).toHaveLength(1);
    const [forward, backward] = ["linear", "linear_dgrad"].map((op) => nodeOf(step, op, "layers[0].ffn.up"));
    expect(forward.inputs[1]).toBe(backward.inputs[1]);
  });

  test("norms keep their gains and statistics, rope its angles, attention its log-sum-exp in f32", () => {
    expect(formats(nodeOf(step, "rms_norm", "layers[0].ffn.norm"))).toBe("bf16 f32 -> bf16 f32");
    expect(formats(nodeOf(step, "rope", "layers[0].attention.q"))).toBe("bf16 f32 f32 -> bf16");
    expect(formats(nodeOf(step, "attention", "layers[0].attention.core"))).toBe("bf16 bf16 bf16 i32 -> bf16 f32");
  });

  test("the router, the head and the loss compute in f32", () => {
    const router = nodeOf(step, "router", "layers[1].ffn.router");
    expect(router.inputs[1].name).toBe("layers.1.ffn.router.weight");
    expect(formats(router)).toBe("bf16 f32 -> f32 f32 i32 f32");
    const [loss] = step.nodes.filter(({ op }) => op === "linear_cross_entropy_training");
    expect(formats(loss)).toBe("bf16 bf16 i32 f32 -> f32 f32 f32");
    expect(extend.results.get("logits")?.type.dtype).toBe("f32");
  });

  test("the cache holds what attention reads", () => {
    const caches = extend.given.filter(({ storage }) => storage === "cache");
    expect(caches.map(({ type }) => type.dtype)).toEqual(["bf16", "bf16", "bf16", "bf16"]);
    expect(formats(nodeOf(extend, "scatter_store", "layers[0].attention.core"))).toBe("bf16 i32 bf16 -> bf16");
  });

  test("notes say the rule, and what is rounded for whom", () => {
    const about = notes.filter(({ path, topic }) => path === "layers[0].ffn.up" && topic === "precision");
    const sentences = new Set(about.map(({ sentence }) => sentence));
    expect(sentences).toContain("linear (fprop): bf16 * bf16 -> f32 -> bf16, from precision[0]");
    expect(sentences).toContain("linear_wgrad (wgrad): bf16 * bf16 -> f32 -> f32, from precision[0]");
    expect(sentences).toContain(
      "layers.0.ffn.up.weight is rounded to bf16 for linear (fprop) and who else reads it so",
    );
  });
});

test("a rule without a direction gives wgrad its first operand's format on both sides", () => {
  const step = graphOf(
    programsOf('precision=[f32, "layers[0].ffn.up": bf16 * f32 -> f32 -> f32]').graphs,
    "micro_step",
  );
  const path = "layers[0].ffn.up";
  expect(formats(nodeOf(step, "linear", path))).toBe("bf16 f32 -> f32");
  expect(formats(nodeOf(step, "linear_dgrad", path))).toBe("bf16 f32 -> f32");
  expect(formats(nodeOf(step, "linear_wgrad", path))).toBe("bf16 bf16 -> f32");
  // The layer's input, and the gradient of its result.
  expect(casts(step)).toEqual(["layers[0].ffn.norm.y", "layers[0].ffn.activation.d_up"]);
});

test("a rule of one direction leaves the others alone, and `_` keeps", () => {
  const rules = '[bf16, "layers[0].ffn.up.dgrad": _ * f32 -> f32 -> f32]';
  const step = graphOf(programsOf(`precision=${rules}`).graphs, "micro_step");
  const path = "layers[0].ffn.up";
  expect(formats(nodeOf(step, "linear", path))).toBe("bf16 bf16 -> bf16");
  expect(formats(nodeOf(step, "linear_dgrad", path))).toBe("bf16 f32 -> f32");
  expect(formats(nodeOf(step, "linear_wgrad", path))).toBe("bf16 bf16 -> f32");
});

test("f32 alone makes no node", () => {
  const { stages } = programsOf("precision=[f32]");
  const after = stages.find(({ stage }) => stage === "assign-precision");
  const before = stages.find(({ stage }) => stage === "accumulate-loss");
  expect(after?.graphs.slice(0, 3)).toEqual(before?.graphs.slice(0, 3));
});

test("rules of one program follow the common ones, there alone", () => {
  const { graphs } = programsOf("serve.precision=[bf16]", "evaluate={ precision: [{ experts: bf16 }] }");
  const narrow = (name: string) =>
    graphOf(graphs, name)
      .nodes.flatMap(({ outputs }) => outputs)
      .filter(({ type }) => type.dtype === "bf16");
  expect(narrow("micro_step")).toEqual([]);
  expect(narrow("evaluate").map(({ producer }) => producer?.node.path)).toContain("layers[1].ffn.experts.up");
  const others = narrow("evaluate").filter(({ name }) => !name.includes("experts"));
  // Only what the experts read is rounded, for them.
  expect(others.map(({ producer }) => producer?.node.op)).toEqual(["cast"]);
  const cache = graphOf(graphs, "extend").given.find(({ storage }) => storage === "cache");
  expect(cache && printType(cache.type)).toMatch(/^bf16/);
});

test("sums are added in f32: another accumulator is refused with its place", () => {
  const { diagnostics } = readSpecText(text, ["precision=[linear: bf16 * bf16 -> bf16 -> bf16]"]);
  expect(diagnostics.map(({ code, claim }) => [code, claim])).toEqual([
    ["precision/accumulator", "sums are not added in bf16"],
  ]);
});

test("a rule of one program that selects nothing there is refused", () => {
  expect(() => programsOf("serve.precision=[{ loss: bf16 }]")).toThrow(/loss/);
});
