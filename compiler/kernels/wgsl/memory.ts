// Plans what moves rows by index on wgsl: a thread has four elements of a row. Rows that are added at an index are linked to
// the next one of the same index first, so that each sum is one thread's, in the order of the rows, without atomics.

import { dim, rowsOf, tensor, widthOf } from "../../graph/types.ts";
import type { GatherRequest, ScatterAddRequest, ScatterStoreRequest } from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import { mapThreads } from "./formula.ts";
import { launchWgsl, type WgslCount, type WgslOperand } from "./launch.ts";
import { boundRows, type Piece, piecesOf, rowBytes } from "./pieces.ts";

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

/** Threads that share a row: one for each vector of it, or one in all where threads are few and begin slowly. */
export const lanesOf = ({ target }: NodePlanner, vectors: number): number => (target.profile === "gpu" ? vectors : 1);

export const rowTile = ({ target }: NodePlanner): string =>
  target.profile === "gpu" ? "four elements per thread" : "one row per thread";

/** A range of a table's entries, where it has more bytes than one launch can be given; and what its kernels are told. */
interface TablePiece {
  readonly bound: Pick<WgslOperand, "offset" | "bytes">;
  readonly counts: readonly WgslCount[];
  readonly suffix: string;
  readonly piece: Piece;
  readonly isPiece: boolean;
}

function piecesOfTable(planner: NodePlanner, table: PlannedTensor): TablePiece[] {
  const pieces = piecesOf(rowsOf(table.type), [rowBytes(table)], planner.target.bindingBytes);
  return pieces.map((piece) => {
    if (pieces.length === 1) return { bound: {}, counts: [], suffix: "", piece, isPiece: false };
    const counts = [
      { name: "first", count: fixed(piece.first), what: "first entry of the piece" },
      { name: "entries", count: fixed(piece.rows), what: "entries of the piece" },
    ];
    return { bound: boundRows(table, piece), counts, suffix: "_piece", piece, isPiece: true };
  });
}

export function planGather(planner: NodePlanner, request: GatherRequest): void {
  const [table, index, out] = [planner.input(request.table), planner.input(request.index), planner.output(request.out)];
  const [rows, vectors] = [rowCount(out.type), vectorsOf(out)];
  const lanes = lanesOf(planner, vectors);
  for (const { bound, counts, suffix, isPiece } of piecesOfTable(planner, table))
    launchWgsl(planner, {
      template: "gather",
      said: `gather_w${widthOf(out.type)}${formatsName(table, out)}${suffix}`,
      tile: rowTile(planner),
      operands: [
        { name: "table", tensor: table, access: "read", uses: ["load"], ...bound },
        { name: "index", tensor: index, access: "read", uses: ["at"] },
        { name: "out", tensor: out, access: isPiece ? "part" : "write", uses: ["store"] },
      ],
      counts: [{ name: "rows", count: rows, what: "rows" }, ...counts],
      threads: mapThreads,
      numbers: { vectors, lanes, tablePitch: vectorPitch(table), outPitch: vectorPitch(out), isPiece },
      tiles: [{ count: rows, times: lanes, per: mapThreads }],
      flops: 0,
    });
}

export function planScatterStore(planner: NodePlanner, request: ScatterStoreRequest): void {
  const [rows, index, out] = [planner.input(request.rows), planner.input(request.index), planner.output(request.out)];
  const [count, vectors] = [rowCount(rows.type), vectorsOf(out)];
  const lanes = lanesOf(planner, vectors);
  for (const { bound, counts, suffix, isPiece } of piecesOfTable(planner, out))
    launchWgsl(planner, {
      template: "scatter-store",
      said: `scatter_store_w${widthOf(out.type)}${formatsName(rows, out)}${suffix}`,
      tile: rowTile(planner),
      operands: [
        { name: "rows", tensor: rows, access: "read", uses: ["load"] },
        { name: "index", tensor: index, access: "read", uses: ["at"] },
        { name: "out", tensor: out, access: "update", uses: ["store"], ...bound },
      ],
      counts: [{ name: "rows", count, what: "rows" }, ...counts],
      threads: mapThreads,
      numbers: { vectors, lanes, rowsPitch: vectorPitch(rows), outPitch: vectorPitch(out), isPiece },
      tiles: [{ count, times: lanes, per: mapThreads }],
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
  const [vectors, accumulates] = [vectorsOf(out), accumulate !== undefined];
  const lanes = lanesOf(planner, vectors);
  const flags: WgslOperand[] =
    accumulate === undefined
      ? []
      : [{ name: "first", tensor: planner.input(accumulate.first), access: "read", uses: [] }];
  for (const { bound, piece } of piecesOfTable(planner, out)) {
    const entries = fixed(piece.rows);
    launchWgsl(planner, {
      template: "scatter-clear",
      said: {
        name: `scatter_clear_w${widthOf(out.type)}${accumulates ? "_state" : ""}`,
        summary: `Clears the entries that rows are added to${accumulates ? ", unless there is something in them" : ""}.`,
        formula: accumulates ? "out = 0 where first" : "out = 0",
        source: "gradient of an embedding lookup",
      },
      tile: rowTile(planner),
      operands: [
        { name: "out", tensor: out, access: accumulates ? "update" : "write", uses: ["store"], ...bound },
        ...flags,
      ],
      counts: [{ name: "entries", count: entries, what: "entries" }],
      threads: mapThreads,
      numbers: { vectors, lanes, outPitch: vectorPitch(out), accumulates },
      tiles: [{ count: entries, times: lanes, per: mapThreads }],
      flops: 0,
    });
  }
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
  const lanes = lanesOf(planner, vectors);
  const pieces = piecesOfTable(planner, out);
  for (const { bound, counts, suffix, isPiece } of pieces)
    launchWgsl(planner, {
      template: "scatter-add",
      said: `scatter_add_w${widthOf(out.type)}${formatsName(rows, out)}${suffix}`,
      tile: `${rowTile(planner)}, and all others of the same index`,
      operands: [
        { name: "rows", tensor: rows, access: "read", uses: ["load"] },
        { name: "index", tensor: index, access: "read", uses: ["at"] },
        { name: "leads", tensor: leads, access: "read", uses: ["at"] },
        { name: "next", tensor: next, access: "read", uses: ["at"] },
        { name: "out", tensor: out, access: "update", uses: ["load", "store"], ...bound },
      ],
      counts: [{ name: "rows", count, what: "rows" }, ...counts],
      threads: mapThreads,
      numbers: { vectors, lanes, rowsPitch: vectorPitch(rows), outPitch: vectorPitch(out), isPiece },
      tiles: [{ count, times: lanes, per: mapThreads }],
      flops: planner.op.flops(planner.node) / pieces.length,
    });
}
