// Rows of a table by index, and the gradient that adds rows back in a fixed order.

import { elementCount, unitRoundoff, widthOf } from "../graph/types.ts";
import {
  always,
  exactBounds,
  inferBy,
  noFormats,
  noGradient,
  type Op,
  placeOf,
  standsAlone,
  storesResult,
  type Tensor,
} from "./contract.ts";

const gatherShapes = "table[entries, width], index:i32[rows] -> y[rows, width]";

export const gather: Op<null> = {
  name: "gather",
  summary: "Takes the rows of a table that an index names, such as token embeddings; a negative index yields zeros.",
  formula: () => "y[r] = table[index[r]], or 0 where index[r] < 0",
  source: "embedding lookup",
  shapes: gatherShapes,
  infer: inferBy(gatherShapes),
  ...standsAlone,
  // A table of angles is exact enough in f32 only, and rows that a node computed stay as it stored them.
  formats: ({ inputs: [table] }) => {
    if (table.storage === "constant") return noFormats;
    return table.storage === "intermediate" ? { ...noFormats, moves: { output: 0, input: 0 } } : storesResult;
  },
  reference: ([table, index]) => {
    const width = widthOf(table.type);
    const result = new Float64Array(index.data.length * width);
    index.data.forEach((entry, r) => {
      if (entry >= 0) result.set(table.data.subarray(entry * width, (entry + 1) * width), r * width);
    });
    return [result];
  },
  bounds: exactBounds,
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dY], wanted, emitter }) => {
      if (dY === undefined || !wanted[0]) return [undefined, undefined];
      const [table, index] = node.inputs;
      const place = placeOf(node, "wgrad");
      return [emitter.emit(scatterAdd, [dY, index], { entries: table.type.dims[0] }, place)[0], undefined];
    },
  },
  flops: () => 0,
  recompute: "cheap",
  kernels: always("it copies rows by index", () => ({ skeleton: "gather", table: 0, index: 1, out: 0 })),
};

interface ScatterAttributes {
  /** The dimension of the table's rows. */
  readonly entries: { readonly name: string; readonly size: number };
}

const scatterShapes = "rows[rows, width], index:i32[rows], state?[entries, width], first?[] -> y[entries, width]";

/** Rows in ascending order per entry, on top of the state unless `first`; `combine` maps what is summed. */
function scattered(inputs: readonly Tensor[], entries: number, combine: (x: number) => number): Float64Array {
  const [rows, index, state, first] = inputs;
  const width = widthOf(rows.type);
  const result = new Float64Array(entries * width);
  if (state !== undefined && first.data[0] === 0) result.set(state.data.map(combine));
  index.data.forEach((entry, r) => {
    if (entry < 0) return;
    for (let c = 0; c < width; c++) result[entry * width + c] += combine(rows.data[r * width + c]);
  });
  return result;
}

export const scatterAdd: Op<ScatterAttributes> = {
  name: "scatter_add",
  summary: "Adds rows to the entries that an index names, in the order of the rows; a negative index names none.",
  formula: () => "y[e] = Σ_{r: index[r] = e} rows[r], in ascending r",
  source: "gradient of an embedding lookup",
  shapes: scatterShapes,
  infer: inferBy<ScatterAttributes>(scatterShapes, ({ entries }) => ({ entries })),
  ...standsAlone,
  reference: (inputs, node) => [scattered(inputs, node.outputs[0].type.dims[0].size, (x) => x)],
  bounds: (inputs, node) => {
    const entries = node.outputs[0].type.dims[0].size;
    const unit = unitRoundoff.f32;
    const longest = countsOf(inputs[1].data, entries).reduce((a, b) => Math.max(a, b)) + 1;
    return [scattered(inputs, entries, Math.abs).map((magnitude) => longest * unit * magnitude)];
  },
  gradient: noGradient("gradients of gradients are not needed for training"),
  flops: (node) => elementCount(node.inputs[0].type),
  recompute: "never",
  absorb: (node) => ({
    accumulate: {
      output: 0,
      build: ([rows, index], state, first, emitter) => {
        const attributes = { entries: node.outputs[0].type.dims[0] };
        return emitter.emit(scatterAddAccumulate, [rows, index, state, first], attributes, placeOf(node));
      },
    },
  }),
  kernels: always("every tile owns some entries and reads all indices, so no two tiles write one entry", (node) => ({
    skeleton: "scatter_add",
    rows: 0,
    index: 1,
    out: 0,
    accumulate: node.inputs.length > 2 ? { state: 2, first: 3 } : undefined,
  })),
};

/** The fused form: the same op over the state's storage. */
export const scatterAddAccumulate: Op<ScatterAttributes> = {
  ...scatterAdd,
  name: "scatter_add_accumulate",
  inPlace: [[0, 2]],
  absorb: () => ({}),
  absorbable: undefined,
};

function countsOf(index: Float64Array, entries: number): number[] {
  const counts = new Array<number>(entries).fill(0);
  for (const entry of index) if (entry >= 0) counts[entry]++;
  return counts;
}

const storeShapes = "rows[rows, width], index:i32[rows], state[slots, width] -> y[slots, width]";

export const scatterStore: Op<null> = {
  name: "scatter_store",
  summary: "Writes rows into the slots of a cache that an index names; a negative index writes nothing.",
  formula: () => "y[index[r]] = rows[r] where index[r] >= 0; other slots keep state",
  source: "key-value cache; pages: Kwon et al., arXiv:2309.06180",
  shapes: storeShapes,
  infer: inferBy(storeShapes),
  ...standsAlone,
  inPlace: [[0, 2]],
  reference: ([rows, index, state]) => {
    const width = widthOf(rows.type);
    const result = Float64Array.from(state.data);
    index.data.forEach((slot, r) => {
      if (slot >= 0) result.set(rows.data.subarray(r * width, (r + 1) * width), slot * width);
    });
    return [result];
  },
  bounds: exactBounds,
  gradient: noGradient("the cache is only read by serving"),
  flops: () => 0,
  recompute: "never",
  kernels: always("it copies rows to slots that differ", () => ({
    skeleton: "scatter_store",
    rows: 0,
    index: 1,
    state: 2,
    out: 0,
  })),
};
