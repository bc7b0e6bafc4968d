// What plans derive from the spec alone, against the graphs of models that are small enough to look at.

import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { keptElements } from "../../compiler/cli/kept-activations.ts";
import { buildPrograms, compile } from "../../compiler/compile.ts";
import type { Value } from "../../compiler/graph/graph.ts";
import { bytesOf, elementCount } from "../../compiler/graph/types.ts";
import { buildModel } from "../../compiler/model/model.ts";
import { parameterShapes } from "../../compiler/model/parameter-shapes.ts";
import { verifyStages } from "../../compiler/ops/verify-stages.ts";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";
import type { Spec } from "../../compiler/spec/spec.ts";
import { smallSpecWith, specOf } from "../language/spec-text.ts";

const files = readdirSync("specs").flatMap((file) =>
  file.endsWith(".mspec.yaml") ? [file.slice(0, -".mspec.yaml".length)] : [],
);

function specAt(path: string): Spec {
  const { spec, diagnostics } = readSpecFile(path, []);
  if (spec === undefined) throw new Error(diagnostics.map(({ claim }) => claim).join("\n"));
  return spec;
}

const withExperts = (more: string) =>
  specOf(
    smallSpecWith(["kind: dense, intermediate: 96", `kind: moe, experts: 7, top_k: 3, intermediate: 20, ${more}`]),
  );

const withAttention = (kind: string) => specOf(smallSpecWith(["kind: gqa, heads: 4", kind]));
const withFurtherTokens = withExperts(
  "shared: 1, bias: true, router: { bias: true, bias_update: 0.1, losses: { sequence: 0.1, batch: 0.1, z: 0.1 } } }\n  mtp: { depth: 2",
);

describe("parameters", () => {
  test.each([
    ...files.map((file) => [file, specAt(`specs/${file}.mspec.yaml`)] as const),
    ["experts and two further tokens", withFurtherTokens] as const,
  ])("of %s are the ones of its graphs", (_name, spec) => {
    const ofGraphs = buildModel(spec, new Diagnostics()).parameters.map(({ place, kind, dims }) => ({
      path: place.path,
      kind,
      dims: dims.map(({ size }) => size),
    }));
    // Serving guesses with the first module; the others are there for training only.
    const isServed = ({ path }: { path: string }) => spec.train !== undefined || !/^mtp\[[1-9]/.test(path);
    const byPath = (list: readonly { path: string; kind: string }[]) =>
      new Map(list.map((parameter) => [`${parameter.path} ${parameter.kind}`, parameter]));
    expect(byPath(parameterShapes(spec.model).filter(isServed))).toEqual(byPath(ofGraphs));
    expect(ofGraphs.length).toBeGreaterThan(0);
  });
});

/** Bytes per micro-batch that forward nodes of the training graph make and backward nodes read; the gradient of the head is no activation. */
function keptBytes(spec: Spec): number {
  const graph = buildPrograms(spec).graphs.find(({ name }) => name === "micro_step");
  const kept = new Set<Value>();
  for (const node of graph?.nodes ?? []) {
    if (node.direction === "fprop") continue;
    for (const input of node.inputs) {
      if (input.producer?.node.direction === "fprop" && !input.name.endsWith("d_weight")) kept.add(input);
    }
  }
  return [...kept].reduce((sum, { type }) => sum + elementCount(type) * bytesOf[type.dtype], 0);
}

describe("activations by formula", () => {
  test.each([
    ["tiny", specAt("specs/tiny.mspec.yaml")],
    ["tiny-formulas", specAt("specs/tiny-formulas.mspec.yaml")],
    [
      "experts behind a bias that balances them, beside a shared one",
      withExperts("shared: 1, router: { bias_update: 0.1, normalize: true }"),
    ],
    ["experts with biases everywhere", withExperts("bias: true, router: { bias: true }")],
    ["two further tokens", withFurtherTokens],
    [
      "latent attention",
      withAttention("kind: mla, heads: 3, q_rank: 7, kv_rank: 6, nope_dim: 4, rope_dim: 4, value_dim: 5"),
    ],
    [
      "latent attention without compressed queries",
      withAttention("kind: mla, heads: 3, kv_rank: 6, nope_dim: 4, rope_dim: 4, value_dim: 5"),
    ],
    [
      "heads that are normalised, with biases and sinks",
      withAttention("kind: gqa, heads: 4, kv_heads: 2, qk_norm: head, bias: true, sinks: true, window: 5"),
    ],
    ["queries that are normalised as a whole", withAttention("kind: gqa, heads: 4, kv_heads: 2, qk_norm: full")],
    ["a small one", specOf(smallSpecWith())],
    [
      "its activation of one input",
      specOf(smallSpecWith(["intermediate: 96", 'intermediate: 96, activation: "max(x, 0)^2"'])),
    ],
  ])("of %s are what its training graph carries from the forward pass to the backward pass", (_name, spec) => {
    const { model, train } = spec;
    if (train === undefined) throw new Error("the spec does not train");
    expect(4 * keptElements(model, train.batch.micro * train.sequence)).toBe(keptBytes(spec));
  });
});

test.each(files)("specs/%s compiles, and its graphs hold what graphs must", (file) => {
  const { programs, kernels, manifest } = compile(specAt(`specs/${file}.mspec.yaml`));
  expect(verifyStages(programs.stages)).toEqual([]);
  expect(kernels.length).toBeGreaterThan(10);
  const { extend } = Object.fromEntries(manifest.programs.map(({ name, waves }) => [name, waves.flat().length]));
  expect(extend).toBeGreaterThan(10);
});
