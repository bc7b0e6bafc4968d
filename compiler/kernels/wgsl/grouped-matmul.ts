// Plans products of each expert's rows with its own weight. Which rows those are is known on the device only: launches
// cover the most tiles that there can be, and surplus tiles end at once. Where weights are cut, every launch is asked for all
// rows, as all may be of its experts; each row, also one of nobody, is of one piece's experts.

import { type LiveCount, widthOf } from "../../graph/types.ts";
import type { GroupedMatmulRequest, GroupedWgradRequest } from "../../ops/skeletons.ts";
import type { Count, PlannedTensor } from "../plan.ts";
import { elementBytes, fixed, type NodePlanner, rowCount } from "../planner.ts";
import { columnStepOf, countsOf, type ExpertPieces, expertPieces, piecesText } from "./expert-pieces.ts";
import { launchWgslEach, type WgslOperand, type WgslSaid } from "./launch.ts";
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

function notedPieces(planner: NodePlanner, weight: PlannedTensor, rowStep: number | undefined): ExpertPieces[] {
  const all = expertPieces(weight, planner.target.bindingBytes, rowStep);
  const text = piecesText(weight, all);
  if (text !== undefined) planner.note("kernel", text);
  return all;
}

/** A product with pieces, whose rows are columns of the output or the contraction. */
interface RowsProduct {
  readonly pieces: ExpertPieces;
  readonly columns: number;
  readonly depth: number;
  readonly way: ProductWay;
  /** Whether it is added to what products with rows before these left. */
  readonly isTerm: boolean;
  /** Whether other launches write other parts of the output. */
  readonly isPart: boolean;
}

export function planGroupedMatmul(planner: NodePlanner, request: GroupedMatmulRequest): void {
  const { form } = request;
  const [a, b, out] = [planner.input(request.a), planner.input(request.b), planner.output(request.out)];
  const [experts] = b.type.dims.map(({ size }) => size);
  // A sum that is stored between its terms as bf16 would be rounded more than once.
  const rowStep = form === "NT" ? columnStepOf(out) : out.type.dtype === "bf16" ? undefined : columnStepOf(a);
  const tile = planner.matmulTile;
  for (const pieces of notedPieces(planner, b, rowStep)) {
    const [columns, depth] = form === "NT" ? [pieces.rows, widthOf(a.type)] : [widthOf(out.type), pieces.rows];
    const few = Math.max(fewRows, fewPerExpert * experts);
    const shape = { form, rows: rowCount(a.type), columns, depth, tile, few, fewRows: pair, products: 1 };
    const ways = productWays(planner, shape);
    const isTerm = form === "NN" && pieces.firstRow > 0;
    const isPart = !pieces.isWhole || ways.length > 1;
    for (const way of ways) launchGrouped(planner, request, { pieces, columns, depth, way, isTerm, isPart });
  }
}

function launchGrouped(planner: NodePlanner, request: GroupedMatmulRequest, product: RowsProduct): void {
  const { form } = request;
  const { pieces, columns, depth, way, isTerm } = product;
  const [a, b, out] = [planner.input(request.a), planner.input(request.b), planner.output(request.out)];
  const [experts, expertRows] = b.type.dims.map(({ size }) => size);
  const routed = rowCount(a.type);
  const rows = { name: "rows", count: routed, what: "rows of a and out" };
  const launch = {
    template: "grouped-matmul",
    said: saidOf([a, b, out], experts, form, product),
    tile: way.text(" of one expert"),
    threads: way.threads,
    addsOverLanes: way.addsOverLanes,
    numbers: {
      ...blockNumbers(form, a, b, depth),
      ...way.numbers,
      isWorkgroup: planner.target.profile === "gpu",
      isPiece: !pieces.isWhole,
      isTerm,
      experts,
      expertRows,
      columns,
      depth,
      outPitch: pitchVectors(out),
    },
    tiles: [
      { count: countWhere(way, routed, tilesOf(routed, way, pieces.experts)), per: 1 },
      { count: fixed(columns), per: way.columns },
    ],
    flops: mostRows(way, routed) === 0 ? 0 : pieces.share * planner.op.flops(planner.node),
  };
  const given = pieces.places.map((place) => ({
    operands: rowsOperands(planner, request, product, place.bound),
    counts: [rows, ...countsOf(pieces, place)],
  }));
  launchWgslEach(planner, launch, given);
}

function saidOf(
  tensors: readonly PlannedTensor[],
  experts: number,
  form: GroupedMatmulRequest["form"],
  { pieces, columns, depth, way, isTerm }: RowsProduct,
): WgslSaid {
  const suffix = pieces.isWhole ? "" : isTerm ? "_term" : "_piece";
  const name = `grouped_matmul_${form.toLowerCase()}_e${experts}n${columns}k${depth}${suffix}_${way.name}`;
  const rows = `the rows r of expert e${pieces.isWhole ? "" : " of the piece"}`;
  return {
    name: `${name}${narrowName(tensors)}`,
    summary: isTerm
      ? "Adds the product of each expert's rows with some rows of its own matrix; rows of nobody stay 0."
      : "The product of each expert's rows with its own matrix; rows of nobody become 0.",
    formula: `out[r, n] ${isTerm ? "+" : ""}= Σ_k a[r, k] · b[e, ${form === "NT" ? "n, k" : "k, n"}] for ${rows}, ${way.order}`,
    source,
  };
}

function rowsOperands(
  planner: NodePlanner,
  { form, ...request }: GroupedMatmulRequest,
  { pieces, isTerm, isPart }: RowsProduct,
  bound: Pick<WgslOperand, "offset" | "bytes">,
): WgslOperand[] {
  const [a, b, out] = [planner.input(request.a), planner.input(request.b), planner.output(request.out)];
  const [start, count] = [planner.input(request.start), planner.input(request.count)];
  const offsetOf = (tensor: PlannedTensor) => pieces.firstRow * elementBytes(tensor);
  return [
    { name: "a", tensor: a, access: "read", uses: ["load"], offset: form === "NN" ? offsetOf(a) : 0 },
    { name: "b", tensor: b, access: "read", uses: ["load"], ...bound },
    { name: "start", tensor: start, access: "read", uses: ["at"] },
    { name: "count", tensor: count, access: "read", uses: ["at"] },
    {
      name: "out",
      tensor: out,
      access: isTerm ? "update" : isPart ? "part" : "write",
      uses: isTerm ? ["load", "store"] : ["store"],
      offset: form === "NT" ? offsetOf(out) : 0,
    },
  ];
}

export function planGroupedWgrad(planner: NodePlanner, request: GroupedWgradRequest): void {
  const [dY, out] = [planner.input(request.dY), planner.output(request.out)];
  const tile = planner.matmulTile;
  for (const pieces of notedPieces(planner, out, columnStepOf(dY))) {
    const extents = { rows: fixed(pieces.rows), columns: widthOf(out.type), depth: undefined };
    const shape = { form: "TN", ...extents, tile, few: 0, fewRows: 0, products: pieces.experts } as const;
    const [way] = productWays(planner, shape);
    launchWgrad(planner, request, pieces, way);
  }
}

function launchWgrad(planner: NodePlanner, request: GroupedWgradRequest, pieces: ExpertPieces, way: ProductWay): void {
  const [dY, x, out] = [planner.input(request.dY), planner.input(request.x), planner.output(request.out)];
  const [experts] = out.type.dims.map(({ size }) => size);
  const { rows, isWhole } = pieces;
  const columns = widthOf(out.type);
  const isAdded = request.accumulate !== undefined;
  const suffix = `${isAdded ? "_state" : ""}${isWhole ? "" : "_piece"}`;
  const name = `grouped_wgrad_e${experts}m${rows}n${columns}${suffix}_${way.name}`;
  const of = `expert e${isWhole ? "" : " of the piece"}${isAdded ? " + out unless first" : ""}`;
  const launch = {
    template: "grouped-wgrad",
    said: {
      name: `${name}${narrowName([dY, x, out])}`,
      summary: "For each expert the product over its own rows; an expert without rows adds nothing.",
      formula: `out[e, m, n] = Σ_r a[r, m] · b[r, n] over the rows r of ${of}, in ascending r`,
      source,
    },
    tile: way.text(" of one expert's matrix"),
    threads: way.threads,
    numbers: {
      ...blockNumbers("TN", dY, x, undefined),
      ...way.numbers,
      isWorkgroup: planner.target.profile === "gpu",
      accumulates: isAdded,
      isPiece: !isWhole,
      experts,
      rows,
      rowTiles: Math.ceil(rows / way.rows),
      columns,
      outPitch: pitchVectors(out),
    },
    tiles: [
      { count: fixed(pieces.experts), per: 1 },
      { count: fixed(rows), per: way.rows },
      { count: fixed(columns), per: way.columns },
    ],
    flops: pieces.share * planner.op.flops(planner.node),
  };
  const given = pieces.places.map((place) => ({
    operands: wgradOperands(planner, request, pieces, place.bound),
    counts: countsOf(pieces, place),
  }));
  launchWgslEach(planner, launch, given);
}

function wgradOperands(
  planner: NodePlanner,
  request: GroupedWgradRequest,
  { isWhole, firstRow }: ExpertPieces,
  bound: Pick<WgslOperand, "offset" | "bytes">,
): WgslOperand[] {
  const [dY, x, out] = [planner.input(request.dY), planner.input(request.x), planner.output(request.out)];
  const [start, count] = [planner.input(request.start), planner.input(request.count)];
  const { accumulate } = request;
  const operands: WgslOperand[] = [
    { name: "a", tensor: dY, access: "read", uses: ["load"], offset: firstRow * elementBytes(dY) },
    { name: "b", tensor: x, access: "read", uses: ["load"] },
    { name: "start", tensor: start, access: "read", uses: ["at"] },
    { name: "count", tensor: count, access: "read", uses: ["at"] },
    accumulate === undefined
      ? { name: "out", tensor: out, access: isWhole ? "write" : "part", uses: ["store"], ...bound }
      : { name: "out", tensor: out, access: "update", uses: ["load", "store"], ...bound },
  ];
  if (accumulate !== undefined)
    operands.push({ name: "first", tensor: planner.input(accumulate.first), access: "read", uses: [] });
  return operands;
}
