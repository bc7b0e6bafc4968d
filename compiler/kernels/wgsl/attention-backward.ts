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
  pairsOf,
  readElements,
  readHeads,
  shapeName,
  shapeNumbers,
  storedHeads,
  writeHeads,
} from "./attention-operands.ts";
import { keysShare, ownThreads, queriesShare, type Sequences, type Share } from "./attention-shares.ts";
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
  const sequences: Sequences = { shape: request, sequence: request.sequence, rows };
  const backward: Backward = { request, q, k, v, dOut, statistics, documents, suffix };
  launchStatistics(planner, backward);
  launchGradient(planner, backward, "queries", queriesShare(planner.target, "attention-queries", sequences), [
    { name: "d_q", of: "queries", tensor: planner.output(request.dQ), channels: keyDim },
  ]);
  launchGradient(planner, backward, "keys", keysShare(planner.target, "attention-keys", sequences), [
    { name: "d_k", of: "keys", tensor: planner.output(request.dK), channels: keyDim },
    { name: "d_v", of: "keys", tensor: planner.output(request.dV), channels: valueDim },
  ]);
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

/** Launches one of both gradient kernels. */
function launchGradient(
  planner: NodePlanner,
  { request, q, k, v, dOut, statistics, documents, suffix }: Backward,
  what: "queries" | "keys",
  { owns, block, ...share }: Share,
  gradients: readonly HeadOperand[],
): void {
  const stored = gradients.map((operand) => storedHeads(planner, operand));
  const writes = stored.map(({ operand }) => operand);
  const reads = [q, k, v, dOut];
  launchWgsl(planner, {
    ...share,
    said: `attention_backward_${what}_${suffix}${formatsName([...reads, ...writes].map((o) => o.tensor))}`,
    operands: [
      ...[q, k, v].map(readHeads),
      ...documents,
      readHeads(dOut),
      readElements("statistics", statistics),
      ...writes.map(writeHeads),
    ],
    counts: [{ name: "rows", count: fixed(rowsOf(q.tensor.type)), what: "rows" }],
    numbers: {
      ...shapeNumbers(request),
      ...share.numbers,
      sequence: request.sequence,
      statisticsPitch: pitchOf(statistics),
    },
    formulas: {
      kind: "pairs",
      pairs: pairsOf(request, {
        positions: request.sequence,
        readsDocuments: documents.length > 0,
        hasGradient: true,
        operands: headsOf(reads, writes),
        owns,
        elementary: ["exp4"],
      }),
    },
    flops: planner.op.flops(planner.node) / 2,
  });
  for (const { finish } of stored) finish();
}
