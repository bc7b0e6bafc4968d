// One number from all elements of one or more tensors: the loss of a micro-batch, the global gradient norm.

import { elementCount, tensor, unitRoundoff } from "../graph/types.ts";
import { always, inferBy, noGradient, type Op, standsAlone, type Tensor } from "./contract.ts";
import { chainLength } from "./formula-binding.ts";

const sumOver = (inputs: readonly Tensor[], element: (x: number) => number): number =>
  inputs.reduce((total, { data }) => data.reduce((sum, x) => sum + element(x), total), 0);

const countOf = (inputs: readonly Tensor[]): number =>
  inputs.reduce((count, { type }) => count + elementCount(type), 0);

export const sumAll: Op<null> = {
  name: "sum_all",
  summary: "The sum of all elements.",
  formula: () => "y = Σ x",
  source: "sum",
  shapes: "x[...] -> y[]",
  infer: inferBy("x[...] -> y[]"),
  ...standsAlone,
  reference: (inputs) => [Float64Array.of(sumOver(inputs, (x) => x))],
  bounds: (inputs) => [Float64Array.of(chainLength(countOf(inputs)) * unitRoundoff.f32 * sumOver(inputs, Math.abs))],
  gradient: noGradient("losses are seeded where they arise"),
  flops: (node) => elementCount(node.inputs[0].type),
  recompute: "never",
  kernels: always("one number from many: partial sums of fixed chunks, combined in order", () => ({
    skeleton: "reduce",
    inputs: [0],
    element: "x",
    finish: "sum",
    out: 0,
  })),
};

export const globalNorm: Op<null> = {
  name: "global_norm",
  summary: "The Euclidean norm of all gradients together.",
  formula: () => "y = sqrt(Σ x²) over all elements of all inputs",
  source: "Pascanu et al., arXiv:1211.5063",
  shapes: "x*[...] -> y[]",
  infer: () => [{ port: "y", type: tensor("f32") }],
  ...standsAlone,
  reference: (inputs) => [Float64Array.of(Math.sqrt(sumOver(inputs, (x) => x * x)))],
  bounds: (inputs) => {
    const norm = Math.sqrt(sumOver(inputs, (x) => x * x));
    // A relative error e of the sum of squares is e / 2 of its root; squares and root round once each.
    return [Float64Array.of((chainLength(countOf(inputs)) / 2 + 2) * unitRoundoff.f32 * norm)];
  },
  gradient: noGradient("it runs after the gradients"),
  flops: (node) => 2 * node.inputs.reduce((count, { type }) => count + elementCount(type), 0),
  recompute: "never",
  kernels: always("one number from many: partial sums of fixed chunks, combined in order", (node) => ({
    skeleton: "reduce",
    inputs: node.inputs.map((_, i) => i),
    element: "x * x",
    finish: "sqrt(sum)",
    out: 0,
  })),
};
