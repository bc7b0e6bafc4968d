// Plans what moves rows by index on wgsl: a thread has four elements of a row. Rows that are added at an index are linked to
// the next one of the same index first, so that each sum is one thread's, in the order of the rows, without atomics.

import { dim, tensor, widthOf } from "../../graph/types.ts";
import type { GatherRequest, ScatterAddRequest, ScatterStoreRequest } from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import { mapThreads } from "./formula.ts";
import { launchWgsl } from "./launch.ts";

/** Elements that a thread reads or writes at once. */
const vector = 4;

/** Vectors that cover a row, and from row to row. */
export const vectorsOf = (tensor: PlannedTensor): number => Math.ceil(widthOf(tensor.type) / vector);
export const vectorPitch = (tensor: PlannedTensor): number => pitchOf(tensor) / vector;

/** What of the formats a kernel is called after. */
export function formatsName(...tensors: readonly PlannedTensor[]): string {
  const formats = tensors.map(({ type }) => type.dtype);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
}

export const vectorTile = "four elements per thread";

export function planGather(planner: NodePlanner, request: GatherRequest): void {
  const [table, index, out] = [planner.input(request.table), planner.input(request.index), planner.output(request.out)];
  const [rows, vectors] = [rowCount(out.type), vectorsOf(out)];
  launchWgsl(planner, {
    template: "gather",
    said: `gather_w${widthOf(out.type)}${formatsName(table, out)}`,
    tile: vectorTile,
    operands: [
      { name: "entries", tensor: table, access: "read", uses: ["load"] },
      { name: "index", tensor: index, access: "read", uses: ["at"] },
      { name: "out", tensor: out, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads: mapThreads,
    numbers: { vectors, entriesPitch: vectorPitch(table), outPitch: vectorPitch(out) },
    tiles: [{ count: rows, times: vectors, per: mapThreads }],
    flops: 0,
  });
}

export function planScatterStore(planner: NodePlanner, request: ScatterStoreRequest): void {
  const [rows, index, out] = [planner.input(request.rows), planner.input(request.index), planner.output(request.out)];
  const [count, vectors] = [rowCount(rows.type), vectorsOf(out)];
  launchWgsl(planner, {
    template: "scatter-store",
    said: `scatter_store_w${widthOf(out.type)}${formatsName(rows, out)}`,
    tile: vectorTile,
    operands: [
      { name: "rows", tensor: rows, access: "read", uses: ["load"] },
      { name: "index", tensor: index, access: "read", uses: ["at"] },
      { name: "out", tensor: out, access: "update", uses: ["store"] },
    ],
    counts: [{ name: "rows", count, what: "rows" }],
    threads: mapThreads,
    numbers: { vectors, rowsPitch: vectorPitch(rows), outPitch: vectorPitch(out) },
    tiles: [{ count, times: vectors, per: mapThreads }],
    flops: 0,
  });
}

/** Clears what is not added to, links rows of one index, then lets the first row of each index add all of them. */
export function planScatterAdd(planner: NodePlanner, request: ScatterAddRequest): void {
  const index = planner.input(request.index);
  const rows = dim("rows", index.type.dims[0].size);
  const [leads, next] = [planner.workspace(tensor("i32", rows)), planner.workspace(tensor("i32", rows))];
  clearEntries(planner, request);
  linkRows(planner, index, leads, next);
  addRows(planner, request, leads, next);
}

function clearEntries(planner: NodePlanner, { out: output, accumulate }: ScatterAddRequest): void {
  const out = planner.output(output);
  const [entries, vectors] = [rowCount(out.type), vectorsOf(out)];
  const accumulates = accumulate !== undefined;
  launchWgsl(planner, {
    template: "scatter-clear",
    said: {
      name: `scatter_clear_w${widthOf(out.type)}${accumulates ? "_state" : ""}`,
      summary: `Clears the entries that rows are added to${accumulates ? ", unless there is something in them" : ""}.`,
      formula: accumulates ? "out = 0 where first" : "out = 0",
      source: "gradient of an embedding lookup",
    },
    tile: vectorTile,
    operands: [
      { name: "out", tensor: out, access: accumulates ? "update" : "write", uses: ["store"] },
      ...(accumulates
        ? [{ name: "first", tensor: planner.input(accumulate.first), access: "read" as const, uses: [] }]
        : []),
    ],
    counts: [{ name: "entries", count: entries, what: "entries" }],
    threads: mapThreads,
    numbers: { vectors, outPitch: vectorPitch(out), accumulates },
    tiles: [{ count: entries, times: vectors, per: mapThreads }],
    flops: 0,
  });
}

function linkRows(planner: NodePlanner, index: PlannedTensor, leads: PlannedTensor, next: PlannedTensor): void {
  const rows = rowCount(index.type);
  launchWgsl(planner, {
    template: "scatter-link",
    said: {
      name: "scatter_link",
      summary: "Finds for every row whether it is the first of its index, and the next one of the same index.",
      formula:
        "next[r] = the least s > r with index[s] = index[r], or rows; leads[r] = no s < r has index[s] = index[r]",
      source: "gradient of an embedding lookup",
    },
    tile: "one row per thread, which reads all indices",
    operands: [
      { name: "index", tensor: index, access: "read", uses: ["load", "at"] },
      { name: "leads", tensor: leads, access: "write", uses: ["put"] },
      { name: "next", tensor: next, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads: mapThreads,
    numbers: {},
    tiles: [{ count: rows, per: mapThreads }],
    flops: 0,
  });
}

function addRows(planner: NodePlanner, request: ScatterAddRequest, leads: PlannedTensor, next: PlannedTensor): void {
  const [rows, index, out] = [planner.input(request.rows), planner.input(request.index), planner.output(request.out)];
  const [count, vectors] = [rowCount(rows.type), vectorsOf(out)];
  launchWgsl(planner, {
    template: "scatter-add",
    said: `scatter_add_w${widthOf(out.type)}${formatsName(rows, out)}`,
    tile: "four elements of all rows of one index per thread",
    operands: [
      { name: "rows", tensor: rows, access: "read", uses: ["load"] },
      { name: "index", tensor: index, access: "read", uses: ["at"] },
      { name: "leads", tensor: leads, access: "read", uses: ["at"] },
      { name: "next", tensor: next, access: "read", uses: ["at"] },
      { name: "out", tensor: out, access: "update", uses: ["load", "store"] },
    ],
    counts: [{ name: "rows", count, what: "rows" }],
    threads: mapThreads,
    numbers: { vectors, rowsPitch: vectorPitch(rows), outPitch: vectorPitch(out) },
    tiles: [{ count, times: vectors, per: mapThreads }],
    flops: planner.op.flops(planner.node),
  });
}
