// Plans attention over whole sequences for wgsl: a thread per head of a query, or a workgroup per block of them.

import { rowsOf } from "../../graph/types.ts";
import type { AttentionRequest } from "../../ops/skeletons.ts";
import { noteBlocks, readsDocuments } from "../attention-blocks.ts";
import { fixed, type NodePlanner, pitchOf } from "../planner.ts";
import {
  formatsName,
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
import { queriesShare } from "./attention-shares.ts";
import { launchWgsl } from "./launch.ts";

export function planAttention(planner: NodePlanner, request: AttentionRequest): void {
  const { sequence, keyDim, valueDim } = request;
  const q = { name: "q", of: "queries", tensor: planner.input(request.q), channels: keyDim } as const;
  const k = { name: "k", of: "keys", tensor: planner.input(request.k), channels: keyDim } as const;
  const v = { name: "v", of: "keys", tensor: planner.input(request.v), channels: valueDim } as const;
  const { operand: out, finish } = storedHeads(planner, {
    name: "out",
    of: "queries",
    tensor: planner.output(request.out),
    channels: valueDim,
  });
  const logSumExp = planner.output(request.logSumExp);
  const sinks = sinksOf(planner, request.sinks);
  const hasDocuments = readsDocuments(request.formulas.mask);
  const rows = rowsOf(q.tensor.type);
  const formats = formatsName([q.tensor, k.tensor, v.tensor, out.tensor]);
  const { block, owns, ...share } = queriesShare(planner.target, "attention", { shape: request, sequence, rows });
  noteBlocks(planner, request, sequence, block);
  launchWgsl(planner, {
    ...share,
    said: `attention_${shapeName(request)}_t${sequence}${sinks.suffix}${formats}`,
    operands: [
      ...[q, k, v].map(readHeads),
      ...(hasDocuments ? [readElements("documents", planner.input(request.documents))] : []),
      ...sinks.operands,
      writeHeads(out),
      { name: "log_sum_exp", tensor: logSumExp, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "rows", count: fixed(rows), what: "rows" }],
    numbers: {
      ...shapeNumbers(request),
      ...share.numbers,
      sequence,
      hasSinks: sinks.hasSinks,
      isPaged: false,
      logSumExpPitch: pitchOf(logSumExp),
    },
    formulas: {
      kind: "pairs",
      pairs: pairsOf(request, {
        positions: sequence,
        readsDocuments: hasDocuments,
        hasGradient: false,
        operands: headsOf([q, k, v], [out]),
        owns,
        elementary: owns === undefined ? ["exp4", "exp1", "log1"] : ["exp4", "log1"],
      }),
    },
    flops: planner.op.flops(planner.node),
  });
  finish();
}
