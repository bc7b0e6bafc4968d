// Grouped-query attention over packed sequences, with score and mask as formulas, and its gradient.

import { printFormula } from "../formula/print.ts";
import type { Node } from "../graph/graph.ts";
import { dim, elementCount, widthOf } from "../graph/types.ts";
import { attendHead, attendHeadBackward, type HeadCase, type HeadRows } from "./attention-reference.ts";
import { always, attributesOf, inferBy, noGradient, type Op, placeOf, standsAlone, type Tensor } from "./contract.ts";
import type { AttentionFormulas } from "./skeletons.ts";

export interface AttentionAttributes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly formulas: AttentionFormulas;
  /** Rows per sequence; rows of different sequences do not see each other. */
  readonly sequence: number;
}

const shapes =
  "q[rows, queries], k[rows, keys], v[rows, keys], documents:i32[rows] -> out[rows, queries], log_sum_exp[rows, heads]";

/** What attention computes, with the spec's formulas in it. */
export function attentionFormula({
  headDim,
  formulas: { score, mask },
}: Omit<AttentionAttributes, "sequence">): string {
  return `s = q·k / sqrt(${headDim}); ${printFormula(score)}; ${printFormula(mask)}; out = softmax_k(score where visible) · v`;
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
  visit: (head: HeadCase, first: number, index: { head: number; kvHead: number }) => void,
): void {
  const { heads, kvHeads, headDim, scale, formulas, sequence } = attributes;
  const rows = q.type.dims[0].size;
  for (let first = 0; first < rows; first += sequence) {
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      visit(
        {
          q: headRows(q, first, sequence, head * headDim),
          k: headRows(k, first, sequence, kvHead * headDim),
          v: headRows(v, first, sequence, kvHead * headDim),
          headDim,
          head,
          scale,
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
  const { heads, headDim, sequence } = attributes;
  const width = heads * headDim;
  const make = () => node.outputs.map(({ type }) => new Float64Array(elementCount(type)));
  const [values, bounds] = [make(), make()];
  eachHead(attributes, inputs, (headCase, first, { head }) => {
    const result = attendHead(headCase);
    for (let i = 0; i < sequence; i++) {
      const at = (first + i) * width + head * headDim;
      values[0].set(result.out.subarray(i * headDim, (i + 1) * headDim), at);
      bounds[0].set(result.outBound.subarray(i * headDim, (i + 1) * headDim), at);
      values[1][(first + i) * heads + head] = result.logSumExp[i];
      bounds[1][(first + i) * heads + head] = result.logSumExpBound[i];
    }
  });
  return { values, bounds };
}

/** q·k and p·v of the visible half of all pairs, as the field counts causal attention. */
const pairFlops = (node: Node, products: number): number => {
  const { heads, headDim, sequence } = attributesOf(attention, node);
  const rows = node.inputs[0].type.dims[0].size;
  return products * 2 * rows * heads * headDim * ((sequence + 1) / 2);
};

export const attention: Op<AttentionAttributes> = {
  name: "attention",
  summary: "Softmax attention with grouped keys and values; a row with nothing visible yields zeros.",
  formula: (node) => `${attentionFormula(attributesOf(attention, node))}; log_sum_exp kept for the backward pass`,
  source:
    "Vaswani et al., arXiv:1706.03762; groups: Ainslie et al., arXiv:2305.13245; blocks: Dao et al., arXiv:2205.14135",
  shapes,
  infer: inferBy<AttentionAttributes>(shapes, ({ heads }) => ({ heads: dim("heads", heads) })),
  ...standsAlone,
  reference: (inputs, node) => attend(inputs, node).values,
  bounds: (inputs, node) => attend(inputs, node).bounds,
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dOut], emitter }) => {
      if (dOut === undefined) return node.inputs.map(() => undefined);
      const attributes = attributesOf(attention, node);
      const inputs = [...node.inputs, ...node.outputs, dOut];
      return [...emitter.emit(attentionBackward, inputs, attributes, placeOf(node, "dgrad")), undefined];
    },
  },
  flops: (node) => pairFlops(node, 2),
  recompute: "costly",
  kernels: always("online softmax over blocks of keys: no score leaves the block", (node) => ({
    ...attributesOf(attention, node),
    skeleton: "attention",
    q: 0,
    k: 1,
    v: 2,
    documents: 3,
    out: 0,
    logSumExp: 1,
  })),
};

const backwardShapes =
  "q[rows, queries], k[rows, keys], v[rows, keys], documents:i32[rows], out[rows, queries], log_sum_exp[rows, heads], d_out[rows, queries] -> d_q[rows, queries], d_k[rows, keys], d_v[rows, keys]";

function attendBackward(inputs: readonly Tensor[], node: Node): { values: Float64Array[]; bounds: Float64Array[] } {
  const attributes = attributesOf(attentionBackward, node);
  const { heads, kvHeads, headDim, sequence } = attributes;
  const [out, logSumExp, dOut] = inputs.slice(4);
  const make = () => node.outputs.map(({ type }) => new Float64Array(elementCount(type)));
  const [values, bounds] = [make(), make()];
  eachHead(attributes, inputs, (headCase, first, { head, kvHead }) => {
    const result = attendHeadBackward({
      ...headCase,
      out: headRows(out, first, sequence, head * headDim),
      dOut: headRows(dOut, first, sequence, head * headDim),
      logSumExp: (i) => logSumExp.data[(first + i) * heads + head],
    });
    const place = (target: Float64Array, from: Float64Array, width: number, column: number) => {
      for (let i = 0; i < sequence; i++) {
        for (let c = 0; c < headDim; c++) target[(first + i) * width + column + c] += from[i * headDim + c];
      }
    };
    // Keys and values sum over the heads of their group: one more addition per head.
    const grow = 1 + (heads / kvHeads) * 2 ** -24;
    place(values[0], result.dQ, heads * headDim, head * headDim);
    place(bounds[0], result.dQBound, heads * headDim, head * headDim);
    const sums = [
      [1, result.dK, result.dKBound],
      [2, result.dV, result.dVBound],
    ] as const;
    for (const [output, value, bound] of sums) {
      place(values[output], value, kvHeads * headDim, kvHead * headDim);
      place(
        bounds[output],
        bound.map((b) => b * grow * (heads / kvHeads)),
        kvHeads * headDim,
        kvHead * headDim,
      );
    }
  });
  return { values, bounds };
}

export const attentionBackward: Op<AttentionAttributes> = {
  name: "attention_backward",
  summary: "Gradients of queries, keys and values from the saved log-sum-exp.",
  formula: (node) =>
    `${attentionFormula(attributesOf(attentionBackward, node))}; p = exp(score - log_sum_exp); d_v = pᵀ d_out; d_score = p (d_out·v - out·d_out); d_s = d_score score'(s); d_q = d_s k / sqrt(head_dim); d_k = d_sᵀ q / sqrt(head_dim)`,
  source: "Dao, arXiv:2307.08691",
  shapes: backwardShapes,
  infer: inferBy(backwardShapes),
  ...standsAlone,
  reference: (inputs, node) => attendBackward(inputs, node).values,
  bounds: (inputs, node) => attendBackward(inputs, node).bounds,
  gradient: noGradient("gradients of gradients are not needed for training"),
  flops: (node) => pairFlops(node, 5),
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
