// Products of every head's rows with its own part of one weight: latent attention over a cache of latent vectors, where
// the two halves of the up-projection are taken into queries and results instead of making keys and values.

import type { Node } from "../graph/graph.ts";
import { type Dim, dim, elementCount, unitRoundoff, widthOf } from "../graph/types.ts";
import { always, attributesOf, inferBy, noGradient, type Op, standsAlone, type Tensor } from "./contract.ts";
import type { HeadColumns, MatmulHeadsRequest } from "./skeletons.ts";

export interface LatentHeadsAttributes {
  readonly heads: number;
  /** Channels of a head's key that do not turn, which turn, and of its value. */
  readonly nopeDim: number;
  readonly ropeDim: number;
  readonly valueDim: number;
}

/** What of the operands one head reads and writes. */
type Parts = Pick<MatmulHeadsRequest, "form" | "aColumns" | "bRows" | "outColumns" | "copied">;

/** Σ over the contraction for every element of the output, and the copied columns; `map` is applied to each product. */
function products([a, b]: readonly Tensor[], node: Node, parts: Parts, map: (x: number) => number): Float64Array {
  const { form, aColumns, bRows, outColumns, copied } = parts;
  const { heads } = node.attributes as LatentHeadsAttributes;
  const [aWidth, bWidth, outWidth] = [widthOf(a.type), widthOf(b.type), widthOf(node.outputs[0].type)];
  const result = new Float64Array(elementCount(node.outputs[0].type));
  const at = ({ start, step }: HeadColumns, head: number, i: number) => start + head * step + i;
  const weight = (head: number, j: number, k: number) =>
    form === "NN" ? b.data[at(bRows, head, k) * bWidth + j] : b.data[at(bRows, head, j) * bWidth + k];
  for (let row = 0; row < a.data.length / aWidth; row++) {
    for (let head = 0; head < heads; head++) {
      for (let j = 0; j < outColumns.size; j++) {
        let sum = 0;
        for (let k = 0; k < aColumns.size; k++)
          sum += map(a.data[row * aWidth + at(aColumns, head, k)] * weight(head, j, k));
        result[row * outWidth + at(outColumns, head, j)] = sum;
      }
      for (let j = 0; j < (copied?.size ?? 0); j++) {
        const from = head * aColumns.step + (copied?.from ?? 0) + j;
        result[row * outWidth + head * outColumns.step + (copied?.to ?? 0) + j] = a.data[row * aWidth + from];
      }
    }
  }
  return result;
}

interface HeadsDefinition {
  readonly name: string;
  readonly summary: string;
  readonly formula: string;
  readonly shapes: string;
  readonly out: (attributes: LatentHeadsAttributes, latent: Dim) => Dim;
  readonly parts: (attributes: LatentHeadsAttributes, latent: number) => Parts;
}

function headsOp({ name, summary, formula, shapes, out, parts }: HeadsDefinition): Op<LatentHeadsAttributes> {
  const partsOf = (node: Node): Parts => parts(attributesOf(op, node), widthOf(node.inputs[1].type));
  const op: Op<LatentHeadsAttributes> = {
    name,
    summary,
    formula: () => formula,
    source: "DeepSeek-V2, arXiv:2405.04434, appendix C",
    shapes,
    infer: inferBy<LatentHeadsAttributes>(shapes, (attributes, [, weight]) => ({
      out: out(attributes, weight.dims[weight.dims.length - 1]),
    })),
    ...standsAlone,
    formats: () => ({ first: [0], second: [1], results: [0] }),
    reference: (inputs, node) => [products(inputs, node, partsOf(node), (x) => x)],
    bounds: (inputs, node) => {
      const { aColumns } = partsOf(node);
      const unit = unitRoundoff.f32;
      // Columns that are copied are exact.
      const magnitude = products(inputs, node, { ...partsOf(node), copied: undefined }, Math.abs);
      return [magnitude.map((value) => (aColumns.size + 1) * unit * value)];
    },
    gradient: noGradient("serving computes no gradients"),
    flops: (node) => {
      const { aColumns, outColumns } = partsOf(node);
      const rows = elementCount(node.inputs[0].type) / widthOf(node.inputs[0].type);
      return 2 * rows * attributesOf(op, node).heads * aColumns.size * outColumns.size;
    },
    recompute: "never",
    kernels: always("every head multiplies with rows of its own in one weight", (node) => ({
      skeleton: "matmul_heads",
      heads: attributesOf(op, node).heads,
      a: 0,
      b: 1,
      out: 0,
      ...partsOf(node),
    })),
  };
  return op;
}

/** Queries in terms of latent vectors: scores with them are scores with the keys that would be made from these. */
export const absorbQueries = headsOp({
  name: "absorb_queries",
  summary: "Takes the keys' half of the up-projection into every head's query; the channels that turn stay.",
  formula: "q_latent[h] = [Σ_n q[h, n] · weight[h, n, :], q_rope[h]]",
  shapes: "q[..., queries], weight[expanded, latent] -> q_latent[..., out]",
  out: ({ heads, ropeDim }, latent) => dim("heads*latent_dim", heads * (latent.size + ropeDim)),
  parts: ({ nopeDim, ropeDim, valueDim }, latent) => ({
    form: "NN",
    aColumns: { start: 0, step: nopeDim + ropeDim, size: nopeDim },
    bRows: { start: 0, step: nopeDim + valueDim, size: nopeDim },
    outColumns: { start: 0, step: latent + ropeDim, size: latent },
    copied: { from: nopeDim, to: latent, size: ropeDim },
  }),
});

/** Values of every head from its weighted sum of latent vectors. */
export const absorbValues = headsOp({
  name: "absorb_values",
  summary: "Turns every head's weighted sum of latent vectors into its weighted sum of values.",
  formula: "out[h, j] = Σ_c attended[h, c] · weight[h, nope + j, c]",
  shapes: "attended[..., attended], weight[expanded, latent] -> out[..., out]",
  out: ({ heads, valueDim }) => dim("heads*value_dim", heads * valueDim),
  parts: ({ nopeDim, valueDim }, latent) => ({
    form: "NT",
    aColumns: { start: 0, step: latent, size: latent },
    bRows: { start: nopeDim, step: nopeDim + valueDim, size: valueDim },
    outColumns: { start: 0, step: valueDim, size: valueDim },
    copied: undefined,
  }),
});
