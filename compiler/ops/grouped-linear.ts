// Products of every expert's rows with its own weight, and their two gradients. An expert without rows costs nothing.

import type { Node } from "../graph/graph.ts";
import { type Dim, elementCount, type TensorType, unitRoundoff } from "../graph/types.ts";
import { always, attributesOf, inferBy, noGradient, type Op, placeOf, standsAlone, type Tensor } from "./contract.ts";

/** `accumulates`: inputs 4 and 5 are the state and the flag `first`. */
interface GroupedAttributes {
  readonly accumulates: boolean;
}

const plain: GroupedAttributes = { accumulates: false };

/** Calls `visit` for every row of every expert. */
function eachRow(start: Tensor, count: Tensor, visit: (row: number, expert: number) => void): void {
  start.data.forEach((first, expert) => {
    for (let row = first; row < first + count.data[expert]; row++) visit(row, expert);
  });
}

/** y[row] = x[row] · weight[expert]ᵀ (NT) or · weight[expert] (NN); rows of nobody stay 0. */
function rowProducts(
  form: "NT" | "NN",
  [x, weight, start, count]: readonly Tensor[],
  combine: (a: number, b: number) => number,
): Float64Array {
  const [, out, inner] = weight.type.dims.map(({ size }) => size);
  const [columns, depth] = form === "NT" ? [out, inner] : [inner, out];
  const [columnStep, depthStep] = form === "NT" ? [inner, 1] : [1, inner];
  const y = new Float64Array(x.type.dims[0].size * columns);
  eachRow(start, count, (row, expert) => {
    for (let j = 0; j < columns; j++) {
      const at = expert * out * inner + j * columnStep;
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += combine(x.data[row * depth + k], weight.data[at + k * depthStep]);
      y[row * columns + j] = sum;
    }
  });
  return y;
}

/** dW[expert] = Σ over its rows of dYᵀ x. */
function weightGradient(
  [dY, x, start, count]: readonly Tensor[],
  experts: number,
  combine: (a: number, b: number) => number,
): Float64Array {
  const [out, inner] = [dY.type.dims[1].size, x.type.dims[1].size];
  const dW = new Float64Array(experts * out * inner);
  eachRow(start, count, (row, expert) => {
    for (let n = 0; n < out; n++) {
      for (let k = 0; k < inner; k++) {
        dW[(expert * out + n) * inner + k] += combine(dY.data[row * out + n], x.data[row * inner + k]);
      }
    }
  });
  return dW;
}

/** Choices among the rows of a routed dimension: the rest is padding. */
function choicesOf(routed: number, experts: number): number {
  return routed >= 2 * experts ? routed - experts : routed / 2;
}

const multiply = (a: number, b: number): number => a * b;
const magnitude = (a: number, b: number): number => Math.abs(a * b);
const source = "grouped products: Gale et al., arXiv:2211.15841; DeepSeekMoE, arXiv:2401.06066";

const flops = (routed: TensorType, weight: TensorType): number =>
  (2 * choicesOf(routed.dims[0].size, weight.dims[0].size) * elementCount(weight)) / weight.dims[0].size;

interface RowsDefinition {
  readonly name: string;
  readonly summary: string;
  readonly formula: string;
  readonly form: "NT" | "NN";
  readonly shapes: string;
  readonly gradient: Op["gradient"];
  readonly recompute: Op["recompute"];
}

function groupedOp({ form, formula, shapes, ...definition }: RowsDefinition): Op<null> {
  return {
    ...definition,
    formula: () => formula,
    source,
    shapes,
    infer: inferBy(shapes),
    ...standsAlone,
    formats: () => ({ first: [0], second: [1], results: [0] }),
    reference: (inputs) => [rowProducts(form, inputs, multiply)],
    bounds: (inputs) => {
      const [, out, inner] = inputs[1].type.dims.map(({ size }) => size);
      const unit = unitRoundoff.f32 * ((form === "NT" ? inner : out) + 1);
      return [rowProducts(form, inputs, magnitude).map((sum) => unit * sum)];
    },
    flops: (node) => flops(node.inputs[0].type, node.inputs[1].type),
    kernels: always("tiles of rows of one expert each, and none for an expert without rows", () => ({
      skeleton: "grouped_matmul",
      form,
      a: 0,
      b: 1,
      start: 2,
      count: 3,
      out: 0,
    })),
  };
}

export const groupedLinear: Op<null> = groupedOp({
  name: "grouped_linear",
  summary: "A linear layer of each expert over its own rows; rows of nobody are 0.",
  formula: "y[r, n] = Σ_k x[r, k] · weight[e, n, k] for start[e] <= r < start[e] + count[e]",
  form: "NT",
  shapes: "x[routed, in], weight[experts, out, in], start:i32[experts], count:i32[experts] -> y[routed, out]",
  recompute: "costly",
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dY], wanted, emitter }) => {
      if (dY === undefined) return node.inputs.map(() => undefined);
      const [x, weight, start, count] = node.inputs;
      const dX = wanted[0]
        ? emitter.emit(groupedDgrad, [dY, weight, start, count], null, placeOf(node, "dgrad"))[0]
        : undefined;
      const dWeight = wanted[1]
        ? emitter.emit(groupedWgrad, [dY, x, start, count], plain, placeOf(node, "wgrad"))[0]
        : undefined;
      return [dX, dWeight, undefined, undefined];
    },
  },
});

export const groupedDgrad: Op<null> = groupedOp({
  name: "grouped_linear_dgrad",
  summary: "The gradient of the input of a linear layer per expert.",
  formula: "d_x[r, k] = Σ_n d_y[r, n] · weight[e, n, k] for start[e] <= r < start[e] + count[e]",
  form: "NN",
  shapes: "d_y[routed, out], weight[experts, out, in], start:i32[experts], count:i32[experts] -> d_x[routed, in]",
  recompute: "never",
  gradient: noGradient("gradients of gradients are not needed for training"),
});

const wgradShapes =
  "d_y[routed, out], x[routed, in], start:i32[experts], count:i32[experts], state?[experts, out, in], first?[] -> d_weight[experts, out, in]";

const accumulates = (node: Node): boolean => attributesOf(groupedWgrad, node).accumulates;

/** What is added to the sum: the state unless the flag says to overwrite it. */
const added = (inputs: readonly Tensor[], node: Node): Float64Array | undefined =>
  accumulates(node) && inputs[5].data[0] === 0 ? inputs[4].data : undefined;

export const groupedWgrad: Op<GroupedAttributes> = {
  name: "grouped_linear_wgrad",
  summary: "The gradient of every expert's weight, added to the step's gradient where it accumulates.",
  formula: (node) =>
    `d_weight[e, n, k] = ${accumulates(node) ? "state unless first + " : ""}Σ_r d_y[r, n] · x[r, k] over start[e] <= r < start[e] + count[e]`,
  source,
  shapes: wgradShapes,
  infer: inferBy<GroupedAttributes>(
    wgradShapes,
    (_, inputs): Readonly<Record<string, Dim>> => ({
      experts: inputs[2].dims[0],
    }),
  ),
  ...standsAlone,
  formats: () => ({ first: [0], second: [1], results: [] }),
  reference: (inputs, node) => {
    const sums = weightGradient(inputs, inputs[2].data.length, multiply);
    const extra = added(inputs, node);
    return [extra === undefined ? sums : sums.map((sum, i) => sum + extra[i])];
  },
  bounds: (inputs, node) => {
    const unit = unitRoundoff.f32 * (Math.max(...inputs[3].data) + 1);
    const extra = added(inputs, node);
    const sums = weightGradient(inputs, inputs[2].data.length, magnitude);
    return [sums.map((sum, i) => unit * (sum + Math.abs(extra?.[i] ?? 0)))];
  },
  gradient: noGradient("gradients of gradients are not needed for training"),
  flops: (node) => flops(node.inputs[0].type, node.outputs[0].type),
  recompute: "never",
  absorb: (node) => ({
    accumulate: {
      output: 0,
      build: (inputs, state, first, emitter) =>
        emitter.emit(accumulatingGroupedWgrad, [...inputs, state, first], { accumulates: true }, placeOf(node)),
    },
  }),
  kernels: always("tiles of one expert's weight each", (node) => ({
    skeleton: "grouped_wgrad",
    dY: 0,
    x: 1,
    start: 2,
    count: 3,
    out: 0,
    accumulate: accumulates(node) ? { state: 4, first: 5 } : undefined,
  })),
};

/** The fused form: the same op over the state's storage. */
export const accumulatingGroupedWgrad: Op<GroupedAttributes> = {
  ...groupedWgrad,
  name: "grouped_linear_wgrad_accumulate",
  inPlace: [[0, 4]],
  absorb: () => ({}),
  absorbable: undefined,
};
