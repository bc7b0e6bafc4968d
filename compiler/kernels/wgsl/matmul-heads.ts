// Plans products of every head with its own rows of one weight: in tiles where heads begin at whole vectors, as they do in
// all models but tiny ones, and else element by element.

import type { MatmulHeadsRequest } from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import { throughF32 } from "./convert.ts";
import type { WgslNumbers } from "./kernels.ts";
import { launchWgsl } from "./launch.ts";
import { mostRows, rowsAndColumns } from "./matmul.ts";
import { blockNumbers, narrowName, pitchVectors } from "./product-blocks.ts";
import { fewRows, type ProductWay, productWays } from "./product-ways.ts";

const elementThreads = 64;

export function planMatmulHeads(planner: NodePlanner, request: MatmulHeadsRequest): void {
  const { aColumns, outColumns, copied } = request;
  const edges = [aColumns, outColumns].flatMap(({ start, step, size }) => [start, step, size]);
  const copies = copied === undefined ? [] : [copied.from, copied.to, copied.size];
  const isAligned = [...edges, ...copies].every((at) => at % 4 === 0);
  if (isAligned) launchTiles(planner, request);
  else launchElements(planner, request);
}

const columnNumbers = ({ aColumns, bRows, outColumns }: MatmulHeadsRequest): WgslNumbers => ({
  columns: outColumns.size,
  depth: aColumns.size,
  aStart: aColumns.start,
  aStep: aColumns.step,
  bStart: bRows.start,
  bStep: bRows.step,
  outStart: outColumns.start,
  outStep: outColumns.step,
});

function nameOf(planner: NodePlanner, request: MatmulHeadsRequest, tensors: readonly PlannedTensor[]): string {
  const { heads, aColumns, outColumns } = request;
  return `${planner.label}_h${heads}n${outColumns.size}k${aColumns.size}${narrowName(tensors)}`;
}

function launchTiles(planner: NodePlanner, request: MatmulHeadsRequest): void {
  const { form, heads, aColumns, outColumns } = request;
  const rows = rowCount(planner.input(request.a).type);
  const sizes = { rows, columns: outColumns.size, depth: aColumns.size };
  const ways = productWays(planner, {
    form,
    ...sizes,
    tile: planner.target.defaultTile,
    few: fewRows,
    fewRows: 8,
    products: heads,
  });
  for (const way of ways) launchWay(planner, request, way, ways.length > 1);
}

function launchWay(planner: NodePlanner, request: MatmulHeadsRequest, way: ProductWay, isPart: boolean): void {
  const { form, heads, aColumns, outColumns, copied } = request;
  const [a, b, out] = [planner.input(request.a), planner.input(request.b), planner.output(request.out)];
  const rows = rowCount(a.type);
  const [rowTiles, columnTiles] = rowsAndColumns(way, rows, outColumns.size);
  launchWgsl(planner, {
    template: "matmul-heads",
    said: `${nameOf(planner, request, [a, b, out])}_${way.name}`,
    tile: way.text(" of one head"),
    operands: [
      { name: "a", tensor: a, access: "read", uses: ["load"] },
      { name: "b", tensor: b, access: "read", uses: ["load"] },
      { name: "out", tensor: out, access: isPart ? "part" : "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count: rows, what: "rows of a and out" }],
    threads: way.threads,
    addsOverLanes: way.addsOverLanes,
    numbers: {
      ...blockNumbers(form, a, b, aColumns.size),
      ...way.numbers,
      ...columnNumbers(request),
      bIsByRows: form === "NT",
      heads,
      outPitch: pitchVectors(out),
      copies: copied !== undefined && copied.size > 0,
      copyFrom: copied?.from ?? 0,
      copyTo: copied?.to ?? 0,
      copyVectors: (copied?.size ?? 0) / 4,
    },
    tiles: [rowTiles, { count: fixed(heads), per: 1 }, columnTiles],
    flops: mostRows(way, rows) === 0 ? 0 : planner.op.flops(planner.node),
  });
}

function launchElements(planner: NodePlanner, request: MatmulHeadsRequest): void {
  const { form, heads, outColumns, copied } = request;
  const [a, b] = [planner.input(request.a), planner.input(request.b)];
  const { tensor: out, finish } = throughF32(planner, planner.output(request.out));
  const rows = rowCount(a.type);
  launchWgsl(planner, {
    template: "matmul-heads-ragged",
    said: nameOf(planner, request, [a, b, out]),
    tile: "one element per thread, as heads do not begin at whole vectors",
    operands: [
      { name: "a", tensor: a, access: "read", uses: ["at"] },
      { name: "b", tensor: b, access: "read", uses: ["at"] },
      { name: "out", tensor: out, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "rows", count: rows, what: "rows of a and out" }],
    threads: elementThreads,
    numbers: {
      ...columnNumbers(request),
      bIsByRows: form === "NT",
      heads,
      copied: copied?.size ?? 0,
      copyFrom: copied?.from ?? 0,
      copyTo: copied?.to ?? 0,
      aPitch: pitchOf(a),
      bPitch: pitchOf(b),
      outPitch: pitchOf(out),
    },
    tiles: [{ count: rows, times: heads * (outColumns.size + (copied?.size ?? 0)), per: elementThreads }],
    flops: planner.op.flops(planner.node),
  });
  finish();
}
