// Grouped-query attention over packed sequences, with score and mask as formulas, and its gradient.

import { printFormula } from "../formula/print.ts";
import type { Node } from "../graph/graph.ts";
import { type Dim, dim, elementCount, type TensorType, widthOf } from "../graph/types.ts";
import { attendHead, attendHeadBackward, type HeadCase, type HeadRows } from "./attention-reference.ts";
import { always, attributesOf, inferBy, noGradient, type Op, placeOf, standsAlone, type Tensor } from "./contract.ts";
import { headProducts, sinkGradient } from "./sinks.ts";
import type { AttentionFormulas } from "./skeletons.ts";

export interface AttentionAttributes {
  readonly heads: number;
  readonly kvHeads: number;
  /** Channels of a head's query and key, and of its value and result. */
  readonly keyDim: number;
  readonly valueDim: number;
  /** What multiplies q·k before the score formula. */
  readonly scale: number;
  readonly formulas: AttentionFormulas;
  /** Rows per sequence; rows of different sequences do not see each other. */
  readonly sequence: number;
}

const shapes =
  "q[rows, queries], k[rows, keys], v[rows, values], documents:i32[rows], sinks?[heads] -> out[rows, results], log_sum_exp[rows, heads]";

/** What attention computes, with the spec's formulas in it. */
export function attentionFormula(
  { keyDim, scale, formulas: { score, mask } }: Omit<AttentionAttributes, "sequence">,
  hasSinks: boolean,
): string {
  const s = scale === 1 / Math.sqrt(keyDim) ? `q·k / sqrt(${keyDim})` : `${scale} q·k`;
  const over = hasSinks ? "softmax_k(score where visible, sink)" : "softmax_k(score where visible)";
  return `s = ${s}; ${printFormula(score)}; ${printFormula(mask)}; out = ${over} · v`;
}

/** The channels of all heads' results: as many as the queries have, or a dimension of their own. */
export function resultsOf(
  { heads, keyDim, valueDim }: Pick<AttentionAttributes, "heads" | "keyDim" | "valueDim">,
  q: TensorType,
): Dim {
  return keyDim === valueDim ? q.dims[q.dims.length - 1] : dim("heads*value_dim", heads * valueDim);
}

/** Columns of one head in the rows [first, first + count). */
const headRows = (tensor: Tensor, first: number, count: number, column: number): HeadRows => {
  const width = widthOf(tensor.type);
  return { count, get: (row, c) => tensor.data[(first + row) * width + column + c] };
};

/** Calls `visit` for every head of every sequence. */
function eachHead(
  attributes: AttentionAttributes,
  [q, k, v, documents]: readonly Tensor[],
  sinks: Tensor | undefined,
  visit: (head: HeadCase, first: number, index: { head: number; kvHead: number }) => void,
): void {
  const { heads, kvHeads, keyDim, valueDim, scale, formulas, sequence } = attributes;
  const rows = q.type.dims[0].size;
  for (let first = 0; first < rows; first += sequence) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      visit(
        {
          q: headRows(q, first, sequence, head * keyDim),
          k: headRows(k, first, sequence, kvHead * keyDim),
          v: headRows(v, first, sequence, kvHead * valueDim),
          keyDim,
          valueDim,
          head,
          scale,
          sink: sinks?.data[head],
          formulas,
          qPosition: (i) => i,
          kPosition: (j) => j,
          sameDocument: (i, j) => documents.data[first + i] === documents.data[first + j],
        },
        first,
        { head, kvHead },
      );
    }
  }
}

function attend(inputs: readonly Tensor[], node: Node): { values: Float64Array[]; bounds: Float64Array[] } {
  const attributes = attributesOf(attention, node);
  const { heads, valueDim, sequence } = attributes;
  const make = () => node.outputs.map(({ type }) => new Float64Array(elementCount(type)));
  const [values, bounds] = [make(), make()];
  eachHead(attributes, inputs, inputs[4], (headCase, first, { head }) => {
    const result = attendHead(headCase);
    for (let i = 0; i < sequence; i++) {
      const at = ((first + i) * heads + head) * valueDim;
      values[0].set(result.out.subarray(i * valueDim, (i + 1) * valueDim), at);
      bounds[0].set(result.outBound.subarray(i * valueDim, (i + 1) * valueDim), at);
      values[1][(first + i) * heads + head] = result.logSumExp[i];
      bounds[1][(first + i) * heads + head] = result.logSumExpBound[i];
    }
  });
  return { values, bounds };
}

/** Products over keys' and over values' channels for the visible half of all pairs, as the field counts causal attention. */
const pairFlops = (node: Node, overKeys: number, overValues: number): number => {
  const { heads, keyDim, valueDim, sequence } = attributesOf(attention, node);
  const rows = node.inputs[0].type.dims[0].size;
  return 2 * rows * heads * (overKeys * keyDim + overValues * valueDim) * ((sequence + 1) / 2);
};

export const attention: Op<AttentionAttributes> = {
  name: "attention",
  summary: "Softmax attention with grouped keys and values; a row with nothing visible yields zeros.",
  formula: (node) =>
    `${attentionFormula(attributesOf(attention, node), node.inputs.length > 4)}; log_sum_exp kept for the backward pass`,
  source:
    "Vaswani et al., arXiv:1706.03762; groups: Ainslie et al., arXiv:2305.13245; blocks: Dao et al., arXiv:2205.14135",
  shapes,
  infer: inferBy<AttentionAttributes>(shapes, (attributes, [q]) => ({
    heads: dim("heads", attributes.heads),
    results: resultsOf(attributes, q),
  })),
  ...standsAlone,
  formats: () => ({ first: [0], second: [1, 2], results: [0] }),
  reference: (inputs, node) => attend(inputs, node).values,
  bounds: (inputs, node) => attend(inputs, node).bounds,
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dOut], wanted, emitter }) => {
      if (dOut === undefined) return node.inputs.map(() => undefined);
      const attributes = attributesOf(attention, node);
      const [q, k, v, documents, sinks] = node.inputs;
      const [out, logSumExp] = node.outputs;
      const at = placeOf(node, "dgrad");
      const inputs = [q, k, v, documents, out, logSumExp, dOut];
      const gradients = emitter.emit(attentionBackward, inputs, attributes, at);
      if (sinks === undefined || !wanted[4]) return [...gradients, undefined];
      const [delta] = emitter.emit(headProducts, [out, dOut], attributes, at);
      return [...gradients, undefined, ...emitter.emit(sinkGradient, [sinks, logSumExp, delta], null, at)];
    },
  },
  flops: (node) => pairFlops(node, 1, 1),
  recompute: "costly",
  kernels: always("online softmax over blocks of keys: no score leaves the block", (node) => ({
    ...attributesOf(attention, node),
    skeleton: "attention",
    q: 0,
    k: 1,
    v: 2,
    documents: 3,
    sinks: node.inputs.length > 4 ? 4 : undefined,
    out: 0,
    logSumExp: 1,
  })),
};

const backwardShapes =
  "q[rows, queries], k[rows, keys], v[rows, values], documents:i32[rows], out[rows, results], log_sum_exp[rows, heads], d_out[rows, results] -> d_q[rows, queries], d_k[rows, keys], d_v[rows, values]";

function attendBackward(inputs: readonly Tensor[], node: Node): { values: Float64Array[]; bounds: Float64Array[] } {
  const attributes = attributesOf(attentionBackward, node);
  const { heads, kvHeads, keyDim, valueDim, sequence } = attributes;
  const [out, logSumExp, dOut] = inputs.slice(4);
  const make = () => node.outputs.map(({ type }) => new Float64Array(elementCount(type)));
  const [values, bounds] = [make(), make()];
  // The log-sum-exp holds what a sink does to the gradients of keys and values.
  eachHead(attributes, inputs, undefined, (headCase, first, { head, kvHead }) => {
    const result = attendHeadBackward({
      ...headCase,
      out: headRows(out, first, sequence, head * valueDim),
      dOut: headRows(dOut, first, sequence, head * valueDim),
      logSumExp: (i) => logSumExp.data[(first + i) * heads + head],
    });
    const place = (target: Float64Array, from: Float64Array, count: number, index: number, size: number) => {
      for (let i = 0; i < sequence; i++) {
        for (let c = 0; c < size; c++) target[((first + i) * count + index) * size + c] += from[i * size + c];
      }
    };
    // Keys and values sum over the heads of their group: one more addition per head.
    const grow = 1 + (heads / kvHeads) * 2 ** -24;
    place(values[0], result.dQ, heads, head, keyDim);
    place(bounds[0], result.dQBound, heads, head, keyDim);
    const sums = [
      [1, result.dK, result.dKBound, keyDim],
      [2, result.dV, result.dVBound, valueDim],
    ] as const;
    for (const [output, value, bound, size] of sums) {
      place(values[output], value, kvHeads, kvHead, size);
      const grown = bound.map((b) => b * grow * (heads / kvHeads));
      place(bounds[output], grown, kvHeads, kvHead, size);
    }
  });
  return { values, bounds };
}

export const attentionBackward: Op<AttentionAttributes> = {
  name: "attention_backward",
  summary: "Gradients of queries, keys and values from the saved log-sum-exp.",
  formula: (node) =>
    `${attentionFormula(attributesOf(attentionBackward, node), false)}; p = exp(score - log_sum_exp); d_v = pᵀ d_out; d_score = p (d_out·v - out·d_out); d_s = d_score score'(s); d_q = d_s k · scale; d_k = d_sᵀ q · scale`,
  source: "Dao, arXiv:2307.08691",
  shapes: backwardShapes,
  infer: inferBy(backwardShapes),
  ...standsAlone,
  formats: () => ({ first: [0, 6], second: [1, 2], results: [0, 1, 2] }),
  reference: (inputs, node) => attendBackward(inputs, node).values,
  bounds: (inputs, node) => attendBackward(inputs, node).bounds,
  gradient: noGradient("gradients of gradients are not needed for training"),
  flops: (node) => pairFlops(node, 3, 2),
  recompute: "never",
  kernels: always(
    "a tile owns all rows of one group of heads in one sequence, so nothing is summed across tiles",
    (node) => ({
      ...attributesOf(attentionBackward, node),
      skeleton: "attention_backward",
      q: 0,
      k: 1,
      v: 2,
      documents: 3,
      out: 4,
      logSumExp: 5,
      dOut: 6,
      dQ: 0,
      dK: 1,
      dV: 2,
    }),
  ),
};
