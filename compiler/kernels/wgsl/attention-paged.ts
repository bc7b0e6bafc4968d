// Plans attention over the pages of a cache for wgsl.

import { widthOf } from "../../graph/types.ts";
import type { PagedAttentionRequest } from "../../ops/skeletons.ts";
import type { NodePlanner } from "../planner.ts";
import { pitchOf, rowCount } from "../planner.ts";
import { queryChunk } from "../wasm/attention.ts";
import {
  formatsName,
  headsOf,
  keyBlock,
  ownThreads,
  pairsOf,
  readElements,
  readHeads,
  shapeName,
  shapeNumbers,
  sinksOf,
  storedHeads,
  writeHeads,
} from "./attention.ts";
import { launchWgsl } from "./launch.ts";

export function planAttentionPaged(planner: NodePlanner, request: PagedAttentionRequest): void {
  const { heads, keyDim, valueDim, page } = request;
  const q = { name: "q", tensor: planner.input(request.q), channels: keyDim };
  const k = { name: "k", tensor: planner.input(request.kCache), channels: keyDim };
  const v = { name: "v", tensor: planner.input(request.vCache), channels: valueDim };
  const pageTable = planner.input(request.pageTable);
  const rowTiles = planner.input(request.rowTiles);
  const { operand: out, finish } = storedHeads(planner, {
    name: "out",
    tensor: planner.output(request.out),
    channels: valueDim,
  });
  const sinks = sinksOf(planner, request.sinks);
  const tiles = rowCount(rowTiles.type);
  const formats = formatsName([q.tensor, k.tensor, v.tensor, out.tensor]);
  launchWgsl(planner, {
    template: "attention-paged-thread",
    said: `attention_paged_${shapeName(request)}_p${page}${sinks.suffix}${formats}`,
    tile: `one head of one query per thread, in blocks of ${keyBlock} keys`,
    operands: [
      ...[q, k, v].map(readHeads),
      readElements("positions", planner.input(request.positions)),
      readElements("page_table", pageTable),
      readElements("row_tiles", rowTiles),
      ...sinks.operands,
      writeHeads(out),
    ],
    counts: [{ name: "tiles", count: tiles, what: "row tiles" }],
    threads: ownThreads,
    numbers: {
      ...shapeNumbers(request),
      page,
      keyBlock,
      tileRows: queryChunk,
      hasSinks: sinks.hasSinks,
      tablePitch: pitchOf(pageTable),
      tilePitch: pitchOf(rowTiles),
    },
    formulas: {
      kind: "pairs",
      pairs: pairsOf(request, {
        positions: widthOf(pageTable.type) * page,
        readsDocuments: false,
        hasGradient: false,
        operands: headsOf([q, k, v], [out]),
        elementary: ["exp4", "exp1"],
      }),
    },
    tiles: [{ count: tiles, times: queryChunk * heads, per: ownThreads }],
    flops: planner.op.flops(planner.node),
  });
  finish();
}
