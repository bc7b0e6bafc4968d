// Moves rows of tokens to their experts and back, with and without weights: each is the other's gradient.

import { type Dim, elementCount, type TensorType, unitRoundoff, widthOf } from "../graph/types.ts";
import {
  always,
  exactBounds,
  inferBy,
  noGradient,
  type Op,
  placeOf,
  standsAlone,
  storesResult,
  type Tensor,
} from "./contract.ts";
import { chainLength } from "./formula-binding.ts";

const source = "Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066";
const innermost = "gradients of gradients are not needed for training";

/** The row of the token that each routed row stands for, times a weight; rows of nobody are 0. */
function dispatched(x: Tensor, from: Float64Array, topK: number, weights?: Float64Array): Float64Array {
  const width = widthOf(x.type);
  const rows = new Float64Array(from.length * width);
  from.forEach((choice, r) => {
    if (choice < 0) return;
    const token = Math.floor(choice / topK);
    for (let c = 0; c < width; c++) rows[r * width + c] = x.data[token * width + c] * (weights?.[choice] ?? 1);
  });
  return rows;
}

/** Σ over a token's choices of its rows, each mapped by `term`. */
function combined(rows: Tensor, place: Tensor, term: (value: number, choice: number) => number): Float64Array {
  const width = widthOf(rows.type);
  const topK = widthOf(place.type);
  const result = new Float64Array((place.data.length / topK) * width);
  place.data.forEach((row, choice) => {
    const token = Math.floor(choice / topK);
    for (let c = 0; c < width; c++) result[token * width + c] += term(rows.data[row * width + c], choice);
  });
  return result;
}

const ownRouted =
  (x: number) =>
  (_attributes: unknown, inputs: readonly TensorType[]): Readonly<Record<string, Dim>> => ({
    routed: inputs[x].dims[0],
  });

const dispatchShapes = "x[tokens, width], source:i32[routed], place:i32[tokens, top_k] -> rows[routed, width]";

/** Inputs beyond `source` are what the gradient reads. */
export const dispatch: Op<null> = {
  name: "dispatch",
  summary: "Copies every token's row to each of its experts; rows of nobody are 0.",
  formula: () => "rows[r] = x[source[r] / top_k], or 0 where source[r] < 0",
  source,
  shapes: dispatchShapes,
  infer: inferBy<null>(dispatchShapes, ownRouted(1)),
  ...standsAlone,
  formats: () => storesResult,
  reference: ([x, from, place]) => [dispatched(x, from.data, widthOf(place.type))],
  bounds: exactBounds,
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dRows], wanted, emitter }) => {
      if (dRows === undefined || !wanted[0]) return node.inputs.map(() => undefined);
      const [dX] = emitter.emit(combineSum, [dRows, node.inputs[2]], null, placeOf(node, "dgrad"));
      return [dX, undefined, undefined];
    },
  },
  flops: () => 0,
  recompute: "cheap",
  kernels: always("it copies rows by index", (node) => ({
    skeleton: "dispatch",
    x: 0,
    source: 1,
    weights: undefined,
    rows: 0,
    topK: widthOf(node.inputs[2].type),
  })),
};

const weightedShapes = "x[tokens, width], source:i32[routed], weights[tokens, top_k] -> rows[routed, width]";

export const dispatchWeighted: Op<null> = {
  name: "dispatch_weighted",
  summary: "Copies every token's row, times the choice's weight, to each of its experts; rows of nobody are 0.",
  formula: () => "rows[r] = weights[source[r]] · x[source[r] / top_k], or 0 where source[r] < 0",
  source: `gradient of a weighted sum of experts; ${source}`,
  shapes: weightedShapes,
  infer: inferBy<null>(weightedShapes, ownRouted(1)),
  ...standsAlone,
  formats: () => storesResult,
  reference: ([x, from, weights]) => [dispatched(x, from.data, widthOf(weights.type), weights.data)],
  bounds: ([x, from, weights]) => {
    const values = dispatched(x, from.data, widthOf(weights.type), weights.data);
    return [values.map((value) => unitRoundoff.f32 * Math.abs(value))];
  },
  gradient: noGradient(innermost),
  flops: (node) => elementCount(node.outputs[0].type),
  recompute: "never",
  kernels: always("it copies rows by index, each times a number", (node) => ({
    skeleton: "dispatch",
    x: 0,
    source: 1,
    weights: 2,
    rows: 0,
    topK: widthOf(node.inputs[2].type),
  })),
};

const combineShapes =
  "rows[routed, width], weights[tokens, top_k], place:i32[tokens, top_k], source:i32[routed], addend?[tokens, width] -> y[tokens, width]";

/** `source` is what the gradient reads. */
export const combine: Op<null> = {
  name: "combine",
  summary: "Adds up the rows that a token's experts computed, each times its weight.",
  formula: (node) =>
    `y[t] = ${node.inputs.length > 4 ? "addend[t] + " : ""}Σ_k weights[t, k] · rows[place[t, k]], in ascending k`,
  source,
  shapes: combineShapes,
  infer: inferBy(combineShapes),
  ...standsAlone,
  formats: () => storesResult,
  reference: ([rows, weights, place, , addend]) => {
    const sums = combined(rows, place, (value, choice) => value * weights.data[choice]);
    return [addend === undefined ? sums : sums.map((sum, i) => sum + addend.data[i])];
  },
  bounds: ([rows, weights, place, , addend]) => {
    const magnitudes = combined(rows, place, (value, choice) => Math.abs(value * weights.data[choice]));
    const unit = (widthOf(place.type) + 1) * unitRoundoff.f32;
    return [magnitudes.map((magnitude, i) => unit * (magnitude + Math.abs(addend?.data[i] ?? 0)))];
  },
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dY], wanted, emitter }) => {
      if (dY === undefined) return node.inputs.map(() => undefined);
      const [rows, weights, place, from] = node.inputs;
      const at = placeOf(node, "dgrad");
      const dRows = wanted[0] ? emitter.emit(dispatchWeighted, [dY, from, weights], null, at)[0] : undefined;
      const dWeights = wanted[1] ? emitter.emit(combineDots, [rows, dY, place], null, at)[0] : undefined;
      return [dRows, dWeights, undefined, undefined, wanted[4] ? dY : undefined];
    },
  },
  flops: (node) => 2 * elementCount(node.inputs[1].type) * widthOf(node.inputs[0].type),
  recompute: "cheap",
  absorb: (node) => {
    if (node.inputs.length > 4) return {};
    return {
      add: {
        outputs: [0],
        build: (inputs, _output, other, emitter) => emitter.emit(combine, [...inputs, other], null, placeOf(node)),
      },
    };
  },
  kernels: always("every token adds its own rows, so nothing is added by two threads", (node) => ({
    skeleton: "combine",
    rows: 0,
    weights: 1,
    place: 2,
    addend: node.inputs.length > 4 ? 4 : undefined,
    y: 0,
  })),
};

const sumShapes = "rows[routed, width], place:i32[tokens, top_k], addend?[tokens, width] -> y[tokens, width]";

export const combineSum: Op<null> = {
  name: "combine_sum",
  summary: "Adds up the rows that a token was copied to.",
  formula: (node) => `y[t] = ${node.inputs.length > 2 ? "addend[t] + " : ""}Σ_k rows[place[t, k]], in ascending k`,
  source: `gradient of copies to experts; ${source}`,
  shapes: sumShapes,
  infer: inferBy(sumShapes),
  ...standsAlone,
  formats: () => storesResult,
  reference: ([rows, place, addend]) => {
    const sums = combined(rows, place, (value) => value);
    return [addend === undefined ? sums : sums.map((sum, i) => sum + addend.data[i])];
  },
  bounds: ([rows, place, addend]) => {
    const unit = widthOf(place.type) * unitRoundoff.f32;
    const magnitudes = combined(rows, place, Math.abs);
    return [magnitudes.map((magnitude, i) => unit * (magnitude + Math.abs(addend?.data[i] ?? 0)))];
  },
  gradient: noGradient(innermost),
  flops: (node) => elementCount(node.inputs[1].type) * widthOf(node.inputs[0].type),
  recompute: "never",
  absorb: (node) => {
    if (node.inputs.length > 2) return {};
    return {
      add: {
        outputs: [0],
        build: (inputs, _output, other, emitter) => emitter.emit(combineSum, [...inputs, other], null, placeOf(node)),
      },
    };
  },
  kernels: always("every token adds its own rows, so nothing is added by two threads", (node) => ({
    skeleton: "combine",
    rows: 0,
    weights: undefined,
    place: 1,
    addend: node.inputs.length > 2 ? 2 : undefined,
    y: 0,
  })),
};

const dotsShapes = "rows[routed, width], d_y[tokens, width], place:i32[tokens, top_k] -> d_weights[tokens, top_k]";

export const combineDots: Op<null> = {
  name: "combine_dots",
  summary: "The gradient of a choice's weight: its row times the gradient of the token's sum.",
  formula: () => "d_weights[t, k] = Σ_c d_y[t, c] · rows[place[t, k], c]",
  source: `gradient of a weighted sum of experts; ${source}`,
  shapes: dotsShapes,
  infer: inferBy(dotsShapes),
  ...standsAlone,
  reference: ([rows, dY, place]) => [dots(rows, dY, place, (x) => x)],
  bounds: ([rows, dY, place]) => {
    const unit = (chainLength(widthOf(rows.type)) + 1) * unitRoundoff.f32;
    return [dots(rows, dY, place, Math.abs).map((magnitude) => unit * magnitude)];
  },
  gradient: noGradient(innermost),
  flops: (node) => 2 * elementCount(node.inputs[2].type) * widthOf(node.inputs[0].type),
  recompute: "never",
  kernels: always("every token reads its own rows", () => ({
    skeleton: "combine_dots",
    rows: 0,
    dY: 1,
    place: 2,
    dWeights: 0,
  })),
};

function dots(rows: Tensor, dY: Tensor, place: Tensor, map: (product: number) => number): Float64Array {
  const width = widthOf(rows.type);
  const topK = widthOf(place.type);
  return place.data.map((row, choice) => {
    const token = Math.floor(choice / topK);
    let sum = 0;
    for (let c = 0; c < width; c++) sum += map(dY.data[token * width + c] * rows.data[row * width + c]);
    return sum;
  });
}
