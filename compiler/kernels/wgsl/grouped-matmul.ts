// Plans products of each expert's rows with its own weight. Which rows those are is known on the device only: launches
// cover the most tiles that there can be, and surplus tiles end at once.

import { type LiveCount, widthOf } from "../../graph/types.ts";
import type { GroupedMatmulRequest, GroupedWgradRequest } from "../../ops/skeletons.ts";
import type { Count } from "../plan.ts";
import { capacityOf, fixed, type NodePlanner, rowCount } from "../planner.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";
import { blockNumbers, fitTile, narrowName, pitchVectors, threadsOf, tileNumbers, tileText } from "./product-tile.ts";

const source = "grouped products: Gale et al., arXiv:2211.15841";

/** Every expert has as many tiles as its rows fill, and one more: so the tiles of an expert follow from its first row. */
function tilesOf(routed: Count, rows: number, experts: number): Count {
  if (routed.kind === "fixed") return fixed(Math.ceil(routed.value / rows) + experts);
  const tiles: LiveCount = ["+", ["ceil_div", routed.live, rows], experts];
  return { kind: "live", live: tiles, capacity: Math.ceil(routed.capacity / rows) + experts };
}

export function planGroupedMatmul(planner: NodePlanner, request: GroupedMatmulRequest): void {
  const { form } = request;
  const [a, b] = [planner.input(request.a), planner.input(request.b)];
  const [start, count, out] = [planner.input(request.start), planner.input(request.count), planner.output(request.out)];
  const [experts, expertRows] = b.type.dims.map(({ size }) => size);
  const [columns, depth] = [widthOf(out.type), widthOf(a.type)];
  const routed = rowCount(a.type);
  const tile = fitTile(planner.matmulTile, capacityOf(routed), columns);
  const name = `grouped_matmul_${form.toLowerCase()}_e${experts}n${columns}k${depth}_t${tile.rows}x${tile.columns}`;
  launchWgsl(planner, {
    template: "grouped-matmul",
    said: {
      name: `${name}${narrowName([a, b, out])}`,
      summary: "The product of each expert's rows with its own matrix; rows of nobody become 0.",
      formula: `out[r, n] = Σ_k a[r, k] · b[e, ${form === "NT" ? "n, k" : "k, n"}] for the rows r of expert e, in ascending k`,
      source,
    },
    tile: tileText(tile, " of one expert"),
    operands: [
      { name: "a", tensor: a, access: "read", uses: ["load"] },
      { name: "b", tensor: b, access: "read", uses: ["load"] },
      { name: "start", tensor: start, access: "read", uses: ["at"] },
      { name: "count", tensor: count, access: "read", uses: ["at"] },
      { name: "out", tensor: out, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count: routed, what: "rows of a and out" }],
    threads: threadsOf(tile),
    numbers: {
      ...blockNumbers(form, a, b, depth),
      ...tileNumbers(tile, columns),
      bIsByRows: form === "NT",
      experts,
      expertRows,
      columns,
      depth,
      outPitch: pitchVectors(out),
    },
    tiles: [
      { count: tilesOf(routed, tile.rows, experts), per: 1 },
      { count: fixed(columns), per: tile.columns },
    ],
    flops: planner.op.flops(planner.node),
  });
}

export function planGroupedWgrad(planner: NodePlanner, request: GroupedWgradRequest): void {
  const [dY, x] = [planner.input(request.dY), planner.input(request.x)];
  const [start, count, out] = [planner.input(request.start), planner.input(request.count), planner.output(request.out)];
  const [experts, rows] = out.type.dims.map(({ size }) => size);
  const columns = widthOf(out.type);
  const tile = fitTile(planner.matmulTile, rows, columns);
  const { accumulate } = request;
  const isAdded = accumulate !== undefined;
  const name = `grouped_wgrad_e${experts}m${rows}n${columns}${isAdded ? "_state" : ""}_t${tile.rows}x${tile.columns}`;
  const operands: WgslOperand[] = [
    { name: "a", tensor: dY, access: "read", uses: ["load"] },
    { name: "b", tensor: x, access: "read", uses: ["load"] },
    { name: "start", tensor: start, access: "read", uses: ["at"] },
    { name: "count", tensor: count, access: "read", uses: ["at"] },
    isAdded
      ? { name: "out", tensor: out, access: "update", uses: ["load", "store"] }
      : { name: "out", tensor: out, access: "write", uses: ["store"] },
  ];
  if (isAdded) operands.push({ name: "first", tensor: planner.input(accumulate.first), access: "read", uses: [] });
  launchWgsl(planner, {
    template: "grouped-wgrad",
    said: {
      name: `${name}${narrowName([dY, x, out])}`,
      summary: "For each expert the product over its own rows; an expert without rows adds nothing.",
      formula: `out[e, m, n] = Σ_r a[r, m] · b[r, n] over the rows r of expert e${isAdded ? " + out unless first" : ""}, in ascending r`,
      source,
    },
    tile: tileText(tile, " of one expert's matrix"),
    operands,
    counts: [],
    threads: threadsOf(tile),
    numbers: {
      ...blockNumbers("TN", dY, x, undefined),
      ...tileNumbers(tile, columns),
      accumulates: isAdded,
      experts,
      rows,
      rowTiles: Math.ceil(rows / tile.rows),
      columns,
      outPitch: pitchVectors(out),
    },
    tiles: [
      { count: fixed(experts), per: 1 },
      { count: fixed(rows), per: tile.rows },
      { count: fixed(columns), per: tile.columns },
    ],
    flops: planner.op.flops(planner.node),
  });
}
