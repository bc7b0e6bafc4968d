// Plans attention over the pages of a cache for wgsl: a thread per head of a new token; or, where threads share, a workgroup
// per block of new tokens, and for tokens that come one at a time several workgroups that part the keys among themselves.

import { dim, rowsOf, tensor, widthOf } from "../../graph/types.ts";
import type { PagedAttentionRequest } from "../../ops/skeletons.ts";
import type { Count, PlannedTensor } from "../plan.ts";
import { type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import { queryChunk } from "../wasm/attention.ts";
import {
  formatsName,
  type HeadOperand,
  headsOf,
  pairsOf,
  readElements,
  readHeads,
  shapeName,
  shapeNumbers,
  sinksOf,
  storedHeads,
  writeHeads,
} from "./attention-operands.ts";
import { keyBlock, mostOwn, otherBlock, ownThreads, sharedText, threadsOf } from "./attention-shares.ts";
import type { WgslPairs } from "./kernels.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";

/** The most workgroups that part a sequence's keys, and keys that they read at a time. */
const mostSplits = 16;
const splitBlock = 64;
const splitThreads = 128;

/** What the launches share. */
interface Paged {
  readonly request: PagedAttentionRequest;
  readonly q: HeadOperand;
  readonly k: HeadOperand;
  readonly v: HeadOperand;
  readonly out: HeadOperand;
  readonly positions: WgslOperand;
  readonly pageTable: WgslOperand;
  readonly rowTiles: WgslOperand;
  readonly tiles: Count;
  readonly sinks: ReturnType<typeof sinksOf>;
  readonly suffix: string;
}

export function planAttentionPaged(planner: NodePlanner, request: PagedAttentionRequest): void {
  const { keyDim, valueDim, page } = request;
  const q = { name: "q", of: "queries", tensor: planner.input(request.q), channels: keyDim } as const;
  const k = { name: "k", of: "keys", tensor: planner.input(request.kCache), channels: keyDim } as const;
  const v = { name: "v", of: "keys", tensor: planner.input(request.vCache), channels: valueDim } as const;
  const given = { name: "out", of: "queries", tensor: planner.output(request.out), channels: valueDim } as const;
  const { operand: out, finish } = storedHeads(planner, given);
  const rowTiles = readElements("row_tiles", planner.input(request.rowTiles));
  const paged: Paged = {
    request,
    q,
    k,
    v,
    out,
    positions: readElements("positions", planner.input(request.positions)),
    pageTable: readElements("page_table", planner.input(request.pageTable)),
    rowTiles,
    tiles: rowCount(rowTiles.tensor.type),
    sinks: sinksOf(planner, request.sinks),
    suffix: `${shapeName(request)}_p${page}`,
  };
  if (planner.target.profile === "gpu") {
    launchTiles(planner, paged);
    launchSplits(planner, paged);
  } else {
    launchThreads(planner, paged);
  }
  finish();
}

/** Counts, numbers and formulas of the kernels that read the cache. */
const partsOf = (
  { request, q, k, v, pageTable, rowTiles, tiles }: Paged,
  { writes, ...rest }: Pick<WgslPairs, "owns" | "elementary"> & { readonly writes: readonly HeadOperand[] },
) => ({
  counts: [{ name: "tiles", count: tiles, what: "row tiles" }],
  numbers: {
    ...shapeNumbers(request),
    page: request.page,
    tileRows: queryChunk,
    tablePitch: pitchOf(pageTable.tensor),
    tilePitch: pitchOf(rowTiles.tensor),
  },
  formulas: {
    kind: "pairs",
    pairs: pairsOf(request, {
      positions: positionsOf(request, pageTable.tensor),
      readsDocuments: false,
      hasGradient: false,
      operands: headsOf([q, k, v], writes),
      ...rest,
    }),
  } as const,
});

const positionsOf = ({ page }: PagedAttentionRequest, pageTable: PlannedTensor): number =>
  widthOf(pageTable.type) * page;

const formatsOf = ({ q, k, v, out }: Paged): string => formatsName([q, k, v, out].map((o) => o.tensor));

function launchThreads(planner: NodePlanner, paged: Paged): void {
  const { request, q, k, v, out, positions, pageTable, rowTiles, tiles, sinks, suffix } = paged;
  const { numbers, ...parts } = partsOf(paged, { owns: undefined, writes: [out], elementary: ["exp4", "exp1"] });
  launchWgsl(planner, {
    ...parts,
    template: "attention-paged-thread",
    said: `attention_paged_${suffix}${sinks.suffix}${formatsOf(paged)}`,
    tile: `one head of one query per thread, in blocks of ${keyBlock} keys`,
    operands: [...[q, k, v].map(readHeads), positions, pageTable, rowTiles, ...sinks.operands, writeHeads(out)],
    threads: ownThreads,
    numbers: { ...numbers, keyBlock, hasSinks: sinks.hasSinks },
    tiles: [{ count: tiles, times: queryChunk * request.heads, per: ownThreads }],
    flops: planner.op.flops(planner.node),
  });
}

function launchTiles(planner: NodePlanner, paged: Paged): void {
  const { request, q, k, v, out, positions, pageTable, rowTiles, tiles, sinks, suffix } = paged;
  const { heads, kvHeads } = request;
  const { numbers, ...parts } = partsOf(paged, { owns: "queries", writes: [out], elementary: ["exp4"] });
  launchWgsl(planner, {
    ...parts,
    template: "attention-paged-tile",
    said: `attention_paged_${suffix}${sinks.suffix}${formatsOf(paged)}`,
    tile: sharedText(`${mostOwn} queries of the heads that share a key-value head`, "keys"),
    operands: [...[q, k, v].map(readHeads), positions, pageTable, rowTiles, ...sinks.operands, writeHeads(out)],
    threads: threadsOf(mostOwn),
    numbers: { ...numbers, ownBlock: mostOwn, otherBlock, hasSinks: sinks.hasSinks, isPaged: true },
    tiles: [{ count: tiles, times: kvHeads * Math.ceil((queryChunk * heads) / kvHeads / mostOwn), per: 1 }],
    flops: planner.op.flops(planner.node),
  });
}

/** Single new tokens: partial results over parts of the keys, and their sum. */
function launchSplits(planner: NodePlanner, paged: Paged): void {
  const { request, q, k, v, positions, pageTable, rowTiles, tiles, suffix } = paged;
  const { heads, kvHeads, valueDim } = request;
  const valueVectors = Math.ceil(valueDim / 4);
  const positionCount = positionsOf(request, pageTable.tensor);
  const splitKeys = Math.ceil(positionCount / mostSplits / splitBlock) * splitBlock;
  const splits = Math.ceil(positionCount / splitKeys);
  // At most one row tile of a sequence has a single row.
  const sequences = pageTable.tensor.type.dims[0]?.size ?? 1;
  const rows = dim("sequences*heads", sequences * heads);
  const partials = planner.workspace(tensor("f32", rows, dim("splits", splits * (valueVectors + 1) * 4)));
  const { numbers, ...parts } = partsOf(paged, { owns: undefined, writes: [], elementary: ["exp4"] });
  launchWgsl(planner, {
    ...parts,
    template: "attention-paged-split",
    said: {
      name: `attention_paged_split_${suffix}_k${splitKeys}${formatsOf(paged)}`,
      summary: "Attention of single new tokens over a part of their sequence's keys.",
      formula: `of ${splitKeys} keys: the largest score m, Σ exp(score - m), Σ exp(score - m) v`,
      source: "Dao et al., Flash-Decoding, 2023",
    },
    tile: `four heads of one query per workgroup, and ${splitKeys} keys`,
    operands: [
      ...[q, k, v].map(readHeads),
      positions,
      pageTable,
      rowTiles,
      { name: "partials", tensor: partials, access: "write", uses: ["store"] },
    ],
    threads: splitThreads,
    addsOverLanes: true,
    numbers: { ...numbers, splitKeys, splits, columns: Math.min(valueVectors, splitThreads) },
    tiles: [{ count: tiles, times: kvHeads * Math.ceil(heads / kvHeads / 4) * splits, per: 1 }],
    flops: (planner.op.flops(planner.node) / rowsOf(q.tensor.type)) * sequences,
  });
  launchCombine(planner, paged, { partials, splitKeys, splits, valueVectors });
}

function launchCombine(
  planner: NodePlanner,
  { request, out, rowTiles, tiles, sinks, suffix }: Paged,
  split: {
    readonly partials: PlannedTensor;
    readonly splitKeys: number;
    readonly splits: number;
    readonly valueVectors: number;
  },
): void {
  const { partials, splitKeys, splits, valueVectors } = split;
  const { heads } = request;
  launchWgsl(planner, {
    template: "attention-paged-combine",
    said: {
      name: `attention_paged_combine_${suffix}_k${splitKeys}${sinks.suffix}${formatsName([out.tensor])}`,
      summary: "Puts together what workgroups have found of single new tokens, in the order of the keys.",
      formula: "out = Σ exp(m - M) Σ exp(score - m) v / Σ exp(m - M) Σ exp(score - m), M the largest m",
      source: "Dao et al., Flash-Decoding, 2023",
    },
    tile: "four channels of one head per thread",
    operands: [
      { name: "partials", tensor: partials, access: "read", uses: ["load"] },
      rowTiles,
      ...sinks.operands,
      writeHeads(out),
    ],
    counts: [{ name: "tiles", count: tiles, what: "row tiles" }],
    threads: ownThreads,
    numbers: {
      ...shapeNumbers(request),
      splitKeys,
      splits,
      tilePitch: pitchOf(rowTiles.tensor),
      hasSinks: sinks.hasSinks,
    },
    formulas: { kind: "heads", vectors: { heads, operands: headsOf([], [out]), elementary: ["exp1"] } },
    tiles: [{ count: tiles, times: heads * valueVectors, per: ownThreads }],
    flops: splits * 2 * heads * valueVectors * 4,
  });
}
