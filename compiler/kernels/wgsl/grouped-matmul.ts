// Plans products of each expert's rows with its own weight. Which rows those are is known on the device only: launches
// cover the most tiles that there can be, and surplus tiles end at once.

import { type LiveCount, widthOf } from "../../graph/types.ts";
import type { GroupedMatmulRequest, GroupedWgradRequest } from "../../ops/skeletons.ts";
import type { Count } from "../plan.ts";
import { fixed, type NodePlanner, rowCount } from "../planner.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";
import { mostRows } from "./matmul.ts";
import { blockNumbers, narrowName, pitchVectors } from "./product-blocks.ts";
import { countWhere, fewRows, type ProductWay, productWays } from "./product-ways.ts";

const source = "grouped products: Gale et al., arXiv:2211.15841";

/** Rows of an expert begin at even ones: pairs of rows are of one expert. */
const pair = 2;

/** Where experts have as few rows as this on average, their matrices are read once for every pair of rows. */
const fewPerExpert = 4;

/** Every expert has as many tiles as its rows fill, and one more: so the tiles of an expert follow from its first row. */
function tilesOf(routed: Count, { rows, numbers }: ProductWay, experts: number): Count {
  const more = numbers.isFew === true ? 0 : experts;
  if (routed.kind === "fixed") return fixed(Math.ceil(routed.value / rows) + more);
  const whole: LiveCount = ["ceil_div", routed.live, rows];
  return {
    kind: "live",
    live: more === 0 ? whole : ["+", whole, more],
    capacity: Math.ceil(routed.capacity / rows) + more,
  };
}

export function planGroupedMatmul(planner: NodePlanner, request: GroupedMatmulRequest): void {
  const { form } = request;
  const [a, b, out] = [planner.input(request.a), planner.input(request.b), planner.output(request.out)];
  const [experts] = b.type.dims.map(({ size }) => size);
  const shape = {
    form,
    rows: rowCount(a.type),
    columns: widthOf(out.type),
    depth: widthOf(a.type),
    tile: planner.matmulTile,
    few: Math.max(fewRows, fewPerExpert * experts),
    fewRows: pair,
    products: 1,
  };
  const ways = productWays(planner, shape);
  for (const way of ways) launchGrouped(planner, request, way, ways.length > 1);
}

function launchGrouped(planner: NodePlanner, request: GroupedMatmulRequest, way: ProductWay, isPart: boolean): void {
  const { form } = request;
  const [a, b] = [planner.input(request.a), planner.input(request.b)];
  const [start, count, out] = [planner.input(request.start), planner.input(request.count), planner.output(request.out)];
  const [experts, expertRows] = b.type.dims.map(({ size }) => size);
  const [columns, depth] = [widthOf(out.type), widthOf(a.type)];
  const routed = rowCount(a.type);
  const name = `grouped_matmul_${form.toLowerCase()}_e${experts}n${columns}k${depth}_${way.name}`;
  launchWgsl(planner, {
    template: "grouped-matmul",
    said: {
      name: `${name}${narrowName([a, b, out])}`,
      summary: "The product of each expert's rows with its own matrix; rows of nobody become 0.",
      formula: `out[r, n] = Σ_k a[r, k] · b[e, ${form === "NT" ? "n, k" : "k, n"}] for the rows r of expert e, ${way.order}`,
      source,
    },
    tile: way.text(" of one expert"),
    operands: [
      { name: "a", tensor: a, access: "read", uses: ["load"] },
      { name: "b", tensor: b, access: "read", uses: ["load"] },
      { name: "start", tensor: start, access: "read", uses: ["at"] },
      { name: "count", tensor: count, access: "read", uses: ["at"] },
      { name: "out", tensor: out, access: isPart ? "part" : "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count: routed, what: "rows of a and out" }],
    threads: way.threads,
    addsOverLanes: way.addsOverLanes,
    numbers: {
      ...blockNumbers(form, a, b, depth),
      ...way.numbers,
      isWorkgroup: planner.target.profile === "gpu",
      experts,
      expertRows,
      columns,
      depth,
      outPitch: pitchVectors(out),
    },
    tiles: [
      { count: countWhere(way, routed, tilesOf(routed, way, experts)), per: 1 },
      { count: fixed(columns), per: way.columns },
    ],
    flops: mostRows(way, routed) === 0 ? 0 : planner.op.flops(planner.node),
  });
}

export function planGroupedWgrad(planner: NodePlanner, request: GroupedWgradRequest): void {
  const [dY, x] = [planner.input(request.dY), planner.input(request.x)];
  const [start, count, out] = [planner.input(request.start), planner.input(request.count), planner.output(request.out)];
  const [experts, rows] = out.type.dims.map(({ size }) => size);
  const columns = widthOf(out.type);
  const extents = { rows: fixed(rows), columns, depth: undefined, products: experts };
  const shape = { form: "TN", ...extents, tile: planner.matmulTile, few: 0, fewRows: 0 } as const;
  const [way] = productWays(planner, shape);
  const { accumulate } = request;
  const isAdded = accumulate !== undefined;
  const name = `grouped_wgrad_e${experts}m${rows}n${columns}${isAdded ? "_state" : ""}_${way.name}`;
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
    tile: way.text(" of one expert's matrix"),
    operands,
    counts: [],
    threads: way.threads,
    numbers: {
      ...blockNumbers("TN", dY, x, undefined),
      ...way.numbers,
      isWorkgroup: planner.target.profile === "gpu",
      accumulates: isAdded,
      experts,
      rows,
      rowTiles: Math.ceil(rows / way.rows),
      columns,
      outPitch: pitchVectors(out),
    },
    tiles: [
      { count: fixed(experts), per: 1 },
      { count: fixed(rows), per: way.rows },
      { count: fixed(columns), per: way.columns },
    ],
    flops: planner.op.flops(planner.node),
  });
}
