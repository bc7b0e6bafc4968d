// Attention of the newest tokens of several sequences over their pages of a key-value cache.

import type { Node } from "../graph/graph.ts";
import { elementCount, widthOf } from "../graph/types.ts";
import { type AttentionAttributes, attentionFormula, resultsOf } from "./attention.ts";
import { attendHead, type HeadRows } from "./attention-reference.ts";
import { always, attributesOf, inferBy, noGradient, type Op, standsAlone, type Tensor } from "./contract.ts";

export interface PagedAttentionAttributes extends Omit<AttentionAttributes, "sequence"> {
  /** Slots per page. */
  readonly page: number;
}

/**
 * Values may be columns of the keys' own cache. A row tile is (sequence, first row, rows, keys): rows of one sequence that see its first `keys` positions; rows 0: none.
 */
const shapes =
  "q[rows, queries], k_cache[slots, keys], v_cache[slots, values], positions:i32[rows], page_table:i32[sequences, table], row_tiles:i32[tiles, tile_fields], sinks?[heads] -> out[rows, results]";

function attend(inputs: readonly Tensor[], node: Node): { values: Float64Array; bounds: Float64Array } {
  const [q, kCache, vCache, positions, pageTable, rowTiles, sinks] = inputs;
  const { heads, kvHeads, keyDim, valueDim, scale, formulas, page } = attributesOf(attentionPaged, node);
  const values = new Float64Array(elementCount(node.outputs[0].type));
  const bounds = new Float64Array(values.length);
  for (let tile = 0; tile < rowTiles.type.dims[0].size; tile++) {
    const [sequence, first, count, keys] = rowTiles.data.subarray(tile * 4, tile * 4 + 4);
    if (count === 0) continue;
    const slot = (j: number) =>
      pageTable.data[sequence * widthOf(pageTable.type) + Math.floor(j / page)] * page + (j % page);
    const cached = (cache: Tensor, column: number): HeadRows => ({
      count: keys,
      get: (j, c) => cache.data[slot(j) * widthOf(cache.type) + column + c],
    });
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      const result = attendHead({
        q: { count, get: (i, c) => q.data[((first + i) * heads + head) * keyDim + c] },
        k: cached(kCache, kvHead * keyDim),
        v: cached(vCache, kvHead * valueDim),
        keyDim,
        valueDim,
        head,
        scale,
        sink: sinks?.data[head],
        formulas,
        qPosition: (i) => positions.data[first + i],
        kPosition: (j) => j,
        sameDocument: () => true,
      });
      for (let i = 0; i < count; i++) {
        const at = ((first + i) * heads + head) * valueDim;
        values.set(result.out.subarray(i * valueDim, (i + 1) * valueDim), at);
        bounds.set(result.outBound.subarray(i * valueDim, (i + 1) * valueDim), at);
      }
    }
  }
  return { values, bounds };
}

export const attentionPaged: Op<PagedAttentionAttributes> = {
  name: "attention_paged",
  summary: "Attention of new tokens over cached keys and values, by the blocks of the sequence form.",
  formula: (node) =>
    `${attentionFormula(attributesOf(attentionPaged, node), node.inputs.length > 6)} over the pages of the row's sequence`,
  source: "Kwon et al., arXiv:2309.06180",
  shapes,
  infer: inferBy<PagedAttentionAttributes>(shapes, (attributes, [q]) => ({ results: resultsOf(attributes, q) })),
  ...standsAlone,
  formats: () => ({ first: [0], second: [1, 2], results: [0] }),
  reference: (inputs, node) => [attend(inputs, node).values],
  bounds: (inputs, node) => [attend(inputs, node).bounds],
  gradient: noGradient("serving computes no gradients"),
  flops: (node) => {
    const { heads, keyDim, valueDim } = attributesOf(attentionPaged, node);
    const [rows] = node.inputs[0].type.dims;
    return 2 * rows.size * heads * (keyDim + valueDim) * node.inputs[1].type.dims[0].size;
  },
  recompute: "never",
  kernels: always("the same blocks as the sequence form, so both give the same bits", (node) => ({
    ...attributesOf(attentionPaged, node),
    skeleton: "attention_paged",
    q: 0,
    kCache: 1,
    vCache: 2,
    positions: 3,
    pageTable: 4,
    rowTiles: 5,
    sinks: node.inputs.length > 6 ? 6 : undefined,
    out: 0,
  })),
};
