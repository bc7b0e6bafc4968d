// Plans products of each expert's rows with its own weight. Which rows those are is known on the device only: launches
// cover the most tiles that there can be, and surplus tiles end at once.

import { type LiveCount, widthOf } from "../../graph/types.ts";
import type { GroupedMatmulRequest, GroupedWgradRequest } from "../../ops/skeletons.ts";
import { tileStep } from "../../targets/wasm/limits.ts";
import type { Count, PlannedTensor } from "../plan.ts";
import {
  capacityOf,
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type MatmulTile,
  type NodePlanner,
  none,
  pitchBytes,
  pitchOf,
  read,
  rowCount,
  update,
  write,
} from "../planner.ts";
import { throughF32 } from "./convert.ts";
import type { GroupedMatmulKernel, GroupedWgradKernel } from "./kernels.ts";
import { fitTile } from "./matmul.ts";
import { packedMatrixBytes, packedWeight } from "./pack.ts";
import { columnsOfA, realFormat, rowsOfA, stridesOfB, wideningOf } from "./strides.ts";

const source = "grouped products: Gale et al., arXiv:2211.15841";

/** Tiles of `rows` rows of one expert each, at most, and one for the rows of nobody behind the last. */
function tilesOf(routed: Count, rows: number, experts: number): Count {
  if (routed.kind === "fixed") return fixed(Math.ceil(routed.value / rows) + Math.min(experts, routed.value) + 1);
  const { live, capacity } = routed;
  const tiles: LiveCount = ["+", ["+", ["ceil_div", live, rows], ["min", experts, live]], 1];
  return { kind: "live", live: tiles, capacity: Math.ceil(capacity / rows) + Math.min(experts, capacity) + 1 };
}

const kernelTile = ({ rows, columns, depth }: MatmulTile, what: string): string =>
  `${rows} rows of ${what} by ${columns} columns, contraction in blocks of ${depth}; registers hold ${tileStep.rows} by ${tileStep.columns}`;

export function planGroupedMatmul(planner: NodePlanner, request: GroupedMatmulRequest): void {
  const { form } = request;
  const [a, weight] = [planner.input(request.a), planner.input(request.b)];
  const [start, count] = [planner.input(request.start), planner.input(request.count)];
  const { tensor: out, finish } = throughF32(planner, planner.output(request.out));
  const b = form === "NT" ? packedWeight(planner, weight) : weight;
  const experts = weight.type.dims[0].size;
  const [columns, depth] = [widthOf(out.type), widthOf(a.type)];
  const tile = fitTile(planner.matmulTile, columns);
  const routed = rowCount(a.type);
  const operands = { a, b, start, count, out };
  const block = { rows: Math.min(tile.rows, capacityOf(routed)), depth: Math.min(tile.depth, depth) };
  const parts = [form, block.rows, experts, columns, depth, tile.rows, tile.columns, tile.depth];
  const kernel = planner.kernels.get<GroupedMatmulKernel>(
    ["grouped-matmul", ...parts, ...[a, b, out].map(pitchOf), ...[a, b].map(realFormat)],
    () => ({
      template: "grouped-matmul",
      facts: groupedFacts(form, operands, tile, { experts, columns, depth }),
      a: rowsOfA(a),
      b: stridesOfB(b),
      outPitch: pitchOf(out),
      experts,
      expertBytes: form === "NT" ? packedMatrixBytes(b) : weight.type.dims[1].size * pitchBytes(weight),
      columns,
      depth,
      tile,
      ...wideningOf([a, b], "depth", block, 0),
    }),
  );
  planner.launch({
    kernel,
    operands: [read(a), read(b), read(start), read(count), write(out), countOperand(routed)],
    tiles: [
      { count: tilesOf(routed, tile.rows, experts), per: 1 },
      { count: fixed(columns), per: tile.columns },
    ],
    flops: planner.op.flops(planner.node),
  });
  finish();
}

/** What of the operands' formats a kernel is called after. */
const narrowName = (tensors: readonly PlannedTensor[]): string => {
  const formats = tensors.map(realFormat);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
};

function groupedFacts(
  form: "NT" | "NN",
  operands: Readonly<Record<string, PlannedTensor>>,
  tile: MatmulTile,
  { experts, columns, depth }: { experts: number; columns: number; depth: number },
) {
  const said = {
    name: `grouped_matmul_${form.toLowerCase()}_e${experts}n${columns}k${depth}_t${tile.rows}x${tile.columns}x${tile.depth}${narrowName([operands.a, operands.b])}`,
    summary: "The product of each expert's rows with its own matrix; rows of nobody become 0.",
    formula: `out[r, n] = Σ_k a[r, k] · b[e, ${form === "NT" ? "n, k" : "k, n"}] for the rows r of expert e, in ascending k, in blocks of ${tile.depth}`,
    source,
  };
  const list = Object.entries(operands).map(([name, tensor]) => ({ name, tensor }));
  return kernelFacts(said, list, kernelTile(tile, "one expert"), counted("rows of a and out"));
}

export function planGroupedWgrad(planner: NodePlanner, request: GroupedWgradRequest): void {
  const [dY, x] = [planner.input(request.dY), planner.input(request.x)];
  const [start, count, out] = [planner.input(request.start), planner.input(request.count), planner.output(request.out)];
  const [experts, rows] = out.type.dims.map(({ size }) => size);
  const columns = widthOf(out.type);
  const tile = fitTile(planner.matmulTile, columns);
  const { accumulate } = request;
  const first = accumulate && planner.input(accumulate.first);
  const block = { rows: Math.min(tile.rows, rows), depth: Math.min(tile.depth, capacityOf(rowCount(x.type))) };
  const parts = [experts, rows, columns, tile.rows, tile.columns, tile.depth, block.depth, first === undefined ? 0 : 1];
  const kernel = planner.kernels.get<GroupedWgradKernel>(
    ["grouped-wgrad", ...parts, ...[dY, x, out].map(pitchOf), ...[dY, x].map(realFormat)],
    () => ({
      template: "grouped-wgrad",
      facts: wgradFacts({ dY, x, start, count, out, first }, tile, { experts, rows, columns }),
      a: columnsOfA(dY),
      b: stridesOfB(x),
      outPitch: pitchOf(out),
      accumulates: first !== undefined,
      rows,
      columns,
      tile,
      ...wideningOf([dY, x], "rows", block, 2 * pitchOf(out) * 4),
    }),
  );
  planner.launch({
    kernel,
    operands: [
      read(dY),
      read(x),
      read(start),
      read(count),
      first === undefined ? write(out) : update(out),
      first === undefined ? none : read(first),
    ],
    tiles: [
      { count: fixed(experts), per: 1 },
      { count: fixed(rows), per: tile.rows },
      { count: fixed(columns), per: tile.columns },
    ],
    flops: planner.op.flops(planner.node),
  });
}

function wgradFacts(
  {
    dY,
    x,
    start,
    count,
    out,
    first,
  }: Record<"dY" | "x" | "start" | "count" | "out", PlannedTensor> & {
    first: PlannedTensor | undefined;
  },
  tile: MatmulTile,
  { experts, rows, columns }: { experts: number; rows: number; columns: number },
) {
  const said = {
    name: `grouped_wgrad_e${experts}m${rows}n${columns}${first === undefined ? "" : "_state"}_t${tile.rows}x${tile.columns}x${tile.depth}${narrowName([dY, x])}`,
    summary: "For each expert the product over its own rows; an expert without rows adds nothing.",
    formula: `out[e, m, n] = Σ_r d_y[r, m] · x[r, n] over the rows r of expert e${first === undefined ? "" : " + out unless first"}, in ascending r, in blocks of ${tile.depth}`,
    source,
  };
  const operands = [
    { name: "d_y", tensor: dY },
    { name: "x", tensor: x },
    { name: "start", tensor: start },
    { name: "count", tensor: count },
    { name: "out", tensor: out },
    first === undefined ? { name: "-", description: "not used" } : { name: "first", tensor: first },
  ];
  return kernelFacts(said, operands, kernelTile(tile, "one expert's matrix"));
}
