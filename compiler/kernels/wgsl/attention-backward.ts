// Plans the gradients of attention for wgsl: one kernel for queries, one for keys and values, so that nothing is summed across
// workgroups; before them one that brings together what both need of a query.

import { dim, rowsOf, tensor } from "../../graph/types.ts";
import type { AttentionBackwardRequest } from "../../ops/skeletons.ts";
import { readsDocuments } from "../attention-blocks.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf } from "../planner.ts";
import {
  formatsName,
  type HeadOperand,
  headsOf,
  keyBlock,
  otherBlock,
  ownBlock,
  ownThreads,
  pairsOf,
  queryBlock,
  readElements,
  readHeads,
  shapeName,
  shapeNumbers,
  sharedThreads,
  storedHeads,
  writeHeads,
} from "./attention-operands.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";

/** What the launches of the backward pass share. */
interface Backward {
  readonly request: AttentionBackwardRequest;
  readonly q: HeadOperand;
  readonly k: HeadOperand;
  readonly v: HeadOperand;
  readonly dOut: HeadOperand;
  /** [rows, (log-sum-exp, delta) of every head] */
  readonly statistics: PlannedTensor;
  readonly documents: readonly WgslOperand[];
  readonly suffix: string;
  readonly isShared: boolean;
}

export function planAttentionBackward(planner: NodePlanner, request: AttentionBackwardRequest): void {
  const { heads, keyDim, valueDim } = request;
  const input = (name: string, of: HeadOperand["of"], index: number, channels: number): HeadOperand => ({
    name,
    of,
    tensor: planner.input(index),
    channels,
  });
  const [q, k] = [input("q", "queries", request.q, keyDim), input("k", "keys", request.k, keyDim)];
  const [v, dOut] = [input("v", "keys", request.v, valueDim), input("d_out", "queries", request.dOut, valueDim)];
  const rows = rowsOf(q.tensor.type);
  const statistics = planner.workspace(tensor("f32", dim("rows", rows), dim("statistics", 2 * heads)));
  const documents = readsDocuments(request.formulas.mask)
    ? [readElements("documents", planner.input(request.documents))]
    : [];
  const suffix = `${shapeName(request)}_t${request.sequence}`;
  const backward: Backward = {
    request,
    q,
    k,
    v,
    dOut,
    statistics,
    documents,
    suffix,
    isShared: planner.target.profile === "gpu",
  };
  launchStatistics(planner, backward);
  launchQueries(planner, backward);
  launchKeys(planner, backward);
}

/** Brings together what every query's pairs need of it: its log-sum-exp, and delta = out · d_out. */
function launchStatistics(planner: NodePlanner, { request, dOut, statistics, suffix }: Backward): void {
  const { heads, valueDim } = request;
  const out = { name: "out", of: "queries", tensor: planner.input(request.out), channels: valueDim } as const;
  const logSumExp = planner.input(request.logSumExp);
  const rows = rowsOf(out.tensor.type);
  launchWgsl(planner, {
    template: "attention-statistics",
    said: {
      name: `attention_statistics_${suffix}${formatsName([out.tensor, dOut.tensor])}`,
      summary: "What every head of a query brings to the gradients of its scores.",
      formula: "statistics = log_sum_exp, out·d_out",
      source: "Dao, arXiv:2307.08691",
    },
    tile: "one head of one query per thread",
    operands: [
      ...[out, dOut].map(readHeads),
      readElements("log_sum_exp", logSumExp),
      { name: "statistics", tensor: statistics, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "rows", count: fixed(rows), what: "rows" }],
    threads: ownThreads,
    numbers: {
      ...shapeNumbers(request),
      statisticsPitch: pitchOf(statistics),
      logSumExpPitch: pitchOf(logSumExp),
    },
    formulas: { kind: "heads", vectors: { heads, operands: headsOf([out, dOut], []), elementary: [] } },
    tiles: [{ count: fixed(rows), times: heads, per: ownThreads }],
    flops: 2 * rows * heads * valueDim,
  });
}

/** The numbers and formulas of both gradient kernels. */
const gradientParts = (
  { request, q, k, v, dOut, statistics, documents, isShared }: Backward,
  writes: readonly HeadOperand[],
) => ({
  operands: [
    ...[q, k, v].map(readHeads),
    ...documents,
    readHeads(dOut),
    readElements("statistics", statistics),
    ...writes.map(writeHeads),
  ],
  counts: [{ name: "rows", count: fixed(rowsOf(q.tensor.type)), what: "rows" }],
  threads: isShared ? sharedThreads : ownThreads,
  numbers: {
    ...shapeNumbers(request),
    ...(isShared ? { ownBlock, otherBlock } : {}),
    sequence: request.sequence,
    statisticsPitch: pitchOf(statistics),
  },
  formulas: {
    kind: "pairs",
    pairs: pairsOf(request, {
      positions: request.sequence,
      readsDocuments: documents.length > 0,
      hasGradient: true,
      operands: headsOf([q, k, v, dOut], writes),
      owns: isShared ? writes[0].of : undefined,
      elementary: ["exp4"],
    }),
  } as const,
});

function launchQueries(planner: NodePlanner, backward: Backward): void {
  const { request, q, k, v, dOut, suffix, isShared } = backward;
  const { sequence, heads, kvHeads } = request;
  const rows = rowsOf(q.tensor.type);
  const { operand: dQ, finish } = storedHeads(planner, {
    name: "d_q",
    of: "queries",
    tensor: planner.output(request.dQ),
    channels: request.keyDim,
  });
  const parts = gradientParts(backward, [dQ]);
  launchWgsl(planner, {
    ...parts,
    template: isShared ? "attention-queries-tile" : "attention-queries-thread",
    said: `attention_backward_queries_${suffix}${formatsName([q, k, v, dOut, dQ].map((o) => o.tensor))}`,
    tile: isShared
      ? `${ownBlock} queries of the heads that share a key-value head per workgroup, in blocks of ${otherBlock} keys`
      : `one head of one query per thread, in blocks of ${keyBlock} keys`,
    numbers: { ...parts.numbers, ...(isShared ? {} : { keyBlock }) },
    tiles: isShared
      ? [{ count: fixed((rows / sequence) * kvHeads * Math.ceil((sequence * heads) / kvHeads / ownBlock)), per: 1 }]
      : [{ count: fixed(rows), times: heads, per: ownThreads }],
    flops: planner.op.flops(planner.node) / 2,
  });
  finish();
}

function launchKeys(planner: NodePlanner, backward: Backward): void {
  const { request, q, k, v, dOut, suffix, isShared } = backward;
  const { sequence, kvHeads, keyDim, valueDim } = request;
  const stored = [
    { name: "d_k", of: "keys" as const, tensor: planner.output(request.dK), channels: keyDim },
    { name: "d_v", of: "keys" as const, tensor: planner.output(request.dV), channels: valueDim },
  ].map((operand) => storedHeads(planner, operand));
  const writes = stored.map(({ operand }) => operand);
  const parts = gradientParts(backward, writes);
  const sequences = rowsOf(q.tensor.type) / sequence;
  launchWgsl(planner, {
    ...parts,
    template: isShared ? "attention-keys-tile" : "attention-keys-thread",
    said: `attention_backward_keys_${suffix}${formatsName([q, k, v, dOut, ...writes].map((o) => o.tensor))}`,
    tile: isShared
      ? `${ownBlock} keys of one head per workgroup, in blocks of ${otherBlock} queries`
      : `four keys of one head per thread, in blocks of ${queryBlock} queries`,
    numbers: { ...parts.numbers, ...(isShared ? {} : { queryBlock }) },
    tiles: isShared
      ? [{ count: fixed(sequences * kvHeads * Math.ceil(sequence / ownBlock)), per: 1 }]
      : [{ count: fixed(sequences * Math.ceil(sequence / 4)), times: kvHeads, per: ownThreads }],
    flops: planner.op.flops(planner.node) / 2,
  });
  for (const { finish } of stored) finish();
}
