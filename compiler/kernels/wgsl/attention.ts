// Plans attention over whole sequences for wgsl: a thread per head of a query, or a workgroup per block of them.

import { postorder } from "../../formula/terms.ts";
import { dim, rowsOf, tensor } from "../../graph/types.ts";
import type { AttentionBackwardRequest, AttentionRequest } from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf } from "../planner.ts";
import { throughF32 } from "./convert.ts";
import type { WgslHeads, WgslPairs } from "./kernels.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";

/** Keys that share one maximum, and queries that meet keys as one block: part of the result's bits. */
export const keyBlock = 64;
const queryBlock = 32;
/** Invocations of a workgroup where each works for itself. */
export const ownThreads = 64;

export type AttentionShape = Pick<AttentionRequest, "heads" | "kvHeads" | "keyDim" | "valueDim" | "scale" | "formulas">;

/** An operand whose rows are vectors of `channels` channels for each head. */
export interface HeadOperand {
  readonly name: string;
  readonly tensor: PlannedTensor;
  readonly channels: number;
}

/** Four channels are one vector of a row if that holds for all heads. */
const isAligned = ({ channels }: HeadOperand): boolean => channels % 4 === 0;

export const readHeads = (operand: HeadOperand): WgslOperand => ({
  name: operand.name,
  tensor: operand.tensor,
  access: "read",
  uses: [isAligned(operand) ? "load" : "at"],
});

export const writeHeads = (operand: HeadOperand): WgslOperand => ({
  name: operand.name,
  tensor: operand.tensor,
  access: "write",
  uses: [isAligned(operand) ? "store" : "put"],
});

export const readElements = (name: string, tensor: PlannedTensor): WgslOperand => ({
  name,
  tensor,
  access: "read",
  uses: ["at"],
});

/** What of heads' results in bf16 is not whole vectors is put together in f32 first. */
export function storedHeads(
  planner: NodePlanner,
  operand: HeadOperand,
): { readonly operand: HeadOperand; readonly finish: () => void } {
  if (isAligned(operand)) return { operand, finish: () => {} };
  const { tensor, finish } = throughF32(planner, operand.tensor);
  return { operand: { ...operand, tensor }, finish };
}

export const headsOf = (reads: readonly HeadOperand[], writes: readonly HeadOperand[]): readonly WgslHeads[] =>
  [
    ...reads.map((o) => ({ ...o, access: "read" }) as const),
    ...writes.map((o) => ({ ...o, access: "write" }) as const),
  ].map(({ name, tensor, channels, access }) => ({ operand: name, access, channels, pitch: pitchOf(tensor) }));

export const shapeName = ({ heads, kvHeads, keyDim, valueDim }: AttentionShape): string =>
  `h${heads}kv${kvHeads}d${keyDim}${valueDim === keyDim ? "" : `v${valueDim}`}`;

/** What of its operands' formats a kernel is called after. */
export function formatsName(tensors: readonly PlannedTensor[]): string {
  const formats = tensors.map(({ type }) => type.dtype);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
}

/** Numbers that all templates share. */
export const shapeNumbers = ({ heads, kvHeads, keyDim, valueDim }: AttentionShape) => ({
  groupHeads: heads / kvHeads,
  keyVectors: Math.ceil(keyDim / 4),
  valueVectors: Math.ceil(valueDim / 4),
});

export const readsDocuments = ({ formulas: { mask } }: AttentionShape): boolean =>
  postorder(mask.outputs.map((o) => o.term)).some((t) => t.op === "input" && t.name === "same_document");

export const pairsOf = (
  { heads, scale, formulas: { score, mask } }: AttentionShape,
  rest: Omit<WgslPairs, "score" | "mask" | "scale" | "heads">,
): WgslPairs => ({ score, mask, scale, heads, ...rest });

/** The sinks of a node as an operand, if it has any. */
export function sinksOf(planner: NodePlanner, index: number | undefined) {
  if (index === undefined) return { operands: [], hasSinks: false, suffix: "" };
  return { operands: [readElements("sinks", planner.input(index))], hasSinks: true, suffix: "_sinks" };
}

export function planAttention(planner: NodePlanner, request: AttentionRequest): void {
  const { sequence, heads, keyDim, valueDim } = request;
  const q = { name: "q", tensor: planner.input(request.q), channels: keyDim };
  const k = { name: "k", tensor: planner.input(request.k), channels: keyDim };
  const v = { name: "v", tensor: planner.input(request.v), channels: valueDim };
  const { operand: out, finish } = storedHeads(planner, {
    name: "out",
    tensor: planner.output(request.out),
    channels: valueDim,
  });
  const logSumExp = planner.output(request.logSumExp);
  const sinks = sinksOf(planner, request.sinks);
  const hasDocuments = readsDocuments(request);
  const rows = fixed(rowsOf(q.tensor.type));
  const formats = formatsName([q.tensor, k.tensor, v.tensor, out.tensor]);
  launchWgsl(planner, {
    template: "attention-thread",
    said: `attention_${shapeName(request)}_t${sequence}${sinks.suffix}${formats}`,
    tile: `one head of one query per thread, in blocks of ${keyBlock} keys`,
    operands: [
      ...[q, k, v].map(readHeads),
      ...(hasDocuments ? [readElements("documents", planner.input(request.documents))] : []),
      ...sinks.operands,
      writeHeads(out),
      { name: "log_sum_exp", tensor: logSumExp, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads: ownThreads,
    numbers: {
      ...shapeNumbers(request),
      sequence,
      keyBlock,
      hasSinks: sinks.hasSinks,
      logSumExpPitch: pitchOf(logSumExp),
    },
    formulas: {
      kind: "pairs",
      pairs: pairsOf(request, {
        positions: sequence,
        readsDocuments: hasDocuments,
        hasGradient: false,
        operands: headsOf([q, k, v], [out]),
        elementary: ["exp4", "exp1", "log1"],
      }),
    },
    tiles: [{ count: rows, times: heads, per: ownThreads }],
    flops: planner.op.flops(planner.node),
  });
  finish();
}

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
  const input = (name: string, index: number, channels: number): HeadOperand => ({
    name,
    tensor: planner.input(index),
    channels,
  });
  const [q, k] = [input("q", request.q, keyDim), input("k", request.k, keyDim)];
  const [v, dOut] = [input("v", request.v, valueDim), input("d_out", request.dOut, valueDim)];
  const rows = rowsOf(q.tensor.type);
  const statistics = planner.workspace(tensor("f32", dim("rows", rows), dim("statistics", 2 * heads)));
  const documents = readsDocuments(request) ? [readElements("documents", planner.input(request.documents))] : [];
  const suffix = `${shapeName(request)}_t${request.sequence}`;
  const backward: Backward = { request, q, k, v, dOut, statistics, documents, suffix };
  launchStatistics(planner, backward);
  launchQueries(planner, backward);
  launchKeys(planner, backward);
}

/** Brings together what every query's pairs need of it: its log-sum-exp, and delta = out · d_out. */
function launchStatistics(planner: NodePlanner, { request, dOut, statistics, suffix }: Backward): void {
  const { heads, valueDim } = request;
  const out = { name: "out", tensor: planner.input(request.out), channels: valueDim };
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
    formulas: {
      kind: "pairs",
      pairs: pairsOf(request, {
        positions: request.sequence,
        readsDocuments: false,
        hasGradient: false,
        operands: headsOf([out, dOut], []),
        elementary: [],
      }),
    },
    tiles: [{ count: fixed(rows), times: heads, per: ownThreads }],
    flops: 2 * rows * heads * valueDim,
  });
}

/** The numbers and formulas of both gradient kernels. */
const gradientParts = (
  { request, q, k, v, dOut, statistics, documents }: Backward,
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
  threads: ownThreads,
  numbers: { ...shapeNumbers(request), sequence: request.sequence, statisticsPitch: pitchOf(statistics) },
  formulas: {
    kind: "pairs",
    pairs: pairsOf(request, {
      positions: request.sequence,
      readsDocuments: documents.length > 0,
      hasGradient: true,
      operands: headsOf([q, k, v, dOut], writes),
      elementary: ["exp4"],
    }),
  } as const,
});

function launchQueries(planner: NodePlanner, backward: Backward): void {
  const { request, q, k, v, dOut, suffix } = backward;
  const { operand: dQ, finish } = storedHeads(planner, {
    name: "d_q",
    tensor: planner.output(request.dQ),
    channels: request.keyDim,
  });
  const parts = gradientParts(backward, [dQ]);
  launchWgsl(planner, {
    ...parts,
    template: "attention-queries-thread",
    said: `attention_backward_queries_${suffix}${formatsName([q, k, v, dOut, dQ].map((o) => o.tensor))}`,
    tile: `one head of one query per thread, in blocks of ${keyBlock} keys`,
    numbers: { ...parts.numbers, keyBlock },
    tiles: [{ count: fixed(rowsOf(q.tensor.type)), times: request.heads, per: ownThreads }],
    flops: planner.op.flops(planner.node) / 2,
  });
  finish();
}

function launchKeys(planner: NodePlanner, backward: Backward): void {
  const { request, q, k, v, dOut, suffix } = backward;
  const { sequence, kvHeads, keyDim, valueDim } = request;
  const stored = [
    { name: "d_k", tensor: planner.output(request.dK), channels: keyDim },
    { name: "d_v", tensor: planner.output(request.dV), channels: valueDim },
  ].map((operand) => storedHeads(planner, operand));
  const writes = stored.map(({ operand }) => operand);
  const parts = gradientParts(backward, writes);
  const sequences = rowsOf(q.tensor.type) / sequence;
  launchWgsl(planner, {
    ...parts,
    template: "attention-keys-thread",
    said: `attention_backward_keys_${suffix}${formatsName([q, k, v, dOut, ...writes].map((o) => o.tensor))}`,
    tile: `four keys of one head per thread, in blocks of ${queryBlock} queries`,
    numbers: { ...parts.numbers, queryBlock },
    tiles: [{ count: fixed(sequences * Math.ceil(sequence / 4)), times: kvHeads, per: ownThreads }],
    flops: planner.op.flops(planner.node) / 2,
  });
  for (const { finish } of stored) finish();
}
