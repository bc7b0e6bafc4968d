// Plans attention: blocks, chunks and what lies in a thread's scratch.

import { rowsOf } from "../../graph/types.ts";
import type { AttentionBackwardRequest, AttentionRequest, PagedAttentionRequest } from "../../ops/skeletons.ts";
import { noteBlocks } from "../attention-blocks.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf, read, rowCount, update, write } from "../planner.ts";
import { inF32, throughF32 } from "./convert.ts";
import type { AttentionBackwardKernel, AttentionKernel, AttentionPagedKernel, ScratchLayout } from "./kernels.ts";
import { realFormat } from "./strides.ts";

/** Queries and keys per block, and queries per tile: part of the result's bits, and the same in every form. */
const queryBlock = 32;
const keyBlock = 64;
/** Also the most rows of a row tile in `extend`. */
export const queryChunk = 64;

type Shape = Pick<AttentionRequest, "heads" | "kvHeads" | "keyDim" | "valueDim" | "scale" | "formulas">;

/** Consecutive areas of scratch, each on 64 bytes. */
class ScratchPlan {
  #bytes = 0;

  area(bytes: number): number {
    const start = this.#bytes;
    this.#bytes = Math.ceil((start + bytes) / 64) * 64;
    return start;
  }

  get bytes(): number {
    return this.#bytes;
  }
}

/** A row of one head in scratch: whole panels, an odd number of lines apart. */
function accumulatorPitch(channels: number): number {
  const lines = Math.ceil(channels / 16);
  return (lines + 1 - (lines % 2)) * 64;
}

const scoresPitch = (keyBlock + 16) * 4;
const panelBytes = (channels: number): number => Math.ceil(channels / 4) * 4 * 64;
const keyPanels = keyBlock / 16;

function forwardLayout(
  { keyDim, valueDim }: Shape,
  tileHeads: number,
  copies: "nothing" | "keys and values" | "shared rows",
): { layout: ScratchLayout; scratch: number } {
  const plan = new ScratchPlan();
  const accPitch = accumulatorPitch(valueDim);
  const rows = tileHeads * queryChunk;
  const statisticsBytes = rows * 4;
  const panelsOffset = plan.area(keyPanels * panelBytes(keyDim));
  const scoresOffset = plan.area(queryBlock * scoresPitch);
  const accOffset = plan.area((rows + 1) * accPitch);
  const totalOffset = plan.area(statisticsBytes);
  const resetBytes = plan.bytes - accOffset;
  const mostOffset = plan.area(statisticsBytes);
  const offsets = { panelsOffset, scoresOffset, accOffset, totalOffset, mostOffset, resetBytes, statisticsBytes };
  const common = { ...offsets, scoresPitch, accPitch, accBytes: Math.ceil(valueDim / 4) * 16 };
  if (copies === "nothing") return { layout: common, scratch: plan.bytes };
  const rowPitch = accumulatorPitch(Math.max(keyDim, valueDim));
  const keyRowsOffset = plan.area((keyBlock + 1) * rowPitch);
  const valueRowsOffset = copies === "shared rows" ? keyRowsOffset : plan.area((keyBlock + 1) * rowPitch);
  return { layout: { ...common, rowPitch, keyRowsOffset, valueRowsOffset }, scratch: plan.bytes };
}

function backwardLayout(
  { heads, kvHeads, keyDim, valueDim }: Shape,
  sequence: number,
): { layout: ScratchLayout; scratch: number } {
  const plan = new ScratchPlan();
  const accPitch = accumulatorPitch(Math.max(keyDim, valueDim));
  const panelsOffset = plan.area(keyPanels * panelBytes(keyDim));
  const valuePanelsOffset = plan.area(keyPanels * panelBytes(valueDim));
  const scoresOffset = plan.area((queryBlock + 1) * scoresPitch);
  const dScoresOffset = plan.area((queryBlock + 1) * scoresPitch);
  const dKeysOffset = plan.area((keyBlock + 1) * accPitch);
  const dValuesOffset = plan.area((keyBlock + 1) * accPitch);
  const dKeysBytes = plan.bytes - dKeysOffset;
  const dQueriesOffset = plan.area((queryBlock + 1) * accPitch);
  const deltaOffset = plan.area((heads / kvHeads) * sequence * 4);
  const keys = { dKeysOffset, dValuesOffset, dKeysBytes, dQueriesOffset, deltaOffset };
  const layout = { panelsOffset, valuePanelsOffset, scoresOffset, dScoresOffset, ...keys, scoresPitch, accPitch };
  return { layout, scratch: plan.bytes };
}

const numbersOf = (
  { heads, kvHeads, keyDim, valueDim, scale, formulas }: Shape,
  [q, k, v]: readonly PlannedTensor[],
  out: PlannedTensor,
) => ({
  heads,
  kvHeads,
  keyDim,
  valueDim,
  scale,
  score: formulas.score,
  mask: formulas.mask,
  queryBlock,
  keyBlock,
  qPitch: pitchOf(q),
  qFormat: realFormat(q),
  outFormat: realFormat(out),
  kPitch: pitchOf(k),
  vPitch: pitchOf(v),
  outPitch: pitchOf(out),
});

const shapeParts = ({ heads, kvHeads, keyDim, valueDim, scale, formulas }: Shape) => [
  heads,
  kvHeads,
  keyDim,
  valueDim,
  scale,
  formulas.score,
  formulas.mask,
];

const shapeName = ({ heads, kvHeads, keyDim, valueDim }: Shape): string =>
  `h${heads}kv${kvHeads}d${keyDim}${valueDim === keyDim ? "" : `v${valueDim}`}`;

/** What of its operands' formats a kernel is called after. */
const narrowName = (formats: readonly string[]): string => (formats.includes("bf16") ? `_${formats.join("_")}` : "");

/** The sinks of a node as its last operand, if it has any. */
function sinksOf(planner: NodePlanner, index: number | undefined) {
  if (index === undefined) return { operands: [], facts: [], hasSinks: false, suffix: "" };
  const tensor = planner.input(index);
  return { operands: [read(tensor)], facts: [{ name: "sinks", tensor }], hasSinks: true, suffix: "_sinks" };
}

/** The most heads of a tile over the cache: all of them have accumulators in scratch, and more tiles busy more threads. */
const mostTileHeads = 4;

function tileHeadsOf({ heads, kvHeads }: Shape): number {
  const shared = heads / kvHeads;
  let most = Math.min(mostTileHeads, shared);
  while (shared % most !== 0) most--;
  return most;
}

export function planAttention(planner: NodePlanner, request: AttentionRequest): void {
  const { sequence, kvHeads } = request;
  const keys = [request.k, request.v, request.documents].map((i) => inF32(planner, planner.input(i)));
  const inputs = [planner.input(request.q), ...keys];
  const out = planner.output(request.out);
  const logSumExp = planner.output(request.logSumExp);
  const names = ["q", "k", "v", "documents", "out", "log_sum_exp"];
  const tensors = [...inputs, out, logSumExp];
  const sinks = sinksOf(planner, request.sinks);
  const formats = [inputs[0], out].map(realFormat);
  const chunks = Math.ceil(sequence / queryChunk);
  const sequences = rowsOf(inputs[0].type) / sequence;
  noteBlocks(planner, request, sequence, { queries: queryBlock, keys: keyBlock });
  planner.launch({
    kernel: planner.kernels.get<AttentionKernel>(
      ["attention", ...shapeParts(request), sequence, ...tensors.map(pitchOf), sinks.suffix, ...formats],
      () => ({
        template: "attention",
        facts: planner.facts(
          `attention_${shapeName(request)}_t${sequence}${sinks.suffix}${narrowName(formats)}`,
          [...names.map((name, i) => ({ name, tensor: tensors[i] })), ...sinks.facts],
          `${queryChunk} queries of the heads that share a key-value head, in blocks of ${queryBlock} by ${keyBlock}`,
        ),
        ...numbersOf(request, inputs, out),
        ...forwardLayout(request, request.heads / kvHeads, "nothing"),
        sequence,
        queryChunk,
        hasSinks: sinks.hasSinks,
        logSumExpPitch: pitchOf(logSumExp),
      }),
    ),
    operands: [...inputs.map((t) => read(t)), write(out), write(logSumExp), ...sinks.operands],
    tiles: [{ count: fixed(sequences * kvHeads * chunks), per: 1 }],
    flops: planner.op.flops(planner.node),
  });
}

export function planAttentionBackward(planner: NodePlanner, request: AttentionBackwardRequest): void {
  const { sequence, kvHeads } = request;
  const inputs = [request.q, request.k, request.v, request.documents, request.out, request.logSumExp, request.dOut];
  const stored = [request.dQ, request.dK, request.dV].map((i) => throughF32(planner, planner.output(i)));
  const outputs = stored.map(({ tensor }) => tensor);
  const given = inputs.map((i) => inF32(planner, planner.input(i)));
  const names = ["q", "k", "v", "documents", "out", "log_sum_exp", "d_out", "d_q", "d_k", "d_v"];
  const tensors = [...given, ...outputs];
  planner.launch({
    kernel: planner.kernels.get<AttentionBackwardKernel>(
      ["attention-backward", ...shapeParts(request), sequence, ...tensors.map(pitchOf)],
      () => ({
        template: "attention-backward",
        facts: planner.facts(
          `attention_backward_${shapeName(request)}_t${sequence}`,
          names.map((name, i) => ({ name, tensor: tensors[i] })),
          `one sequence and key-value head, in blocks of ${queryBlock} queries by ${keyBlock} keys`,
        ),
        ...numbersOf(request, given, given[4]),
        ...backwardLayout(request, sequence),
        sequence,
        logSumExpPitch: pitchOf(given[5]),
      }),
    ),
    operands: [...given.map((t) => read(t)), ...outputs.map((t) => update(t))],
    tiles: [{ count: fixed((rowsOf(given[0].type) / sequence) * kvHeads), per: 1 }],
    flops: planner.op.flops(planner.node),
  });
  for (const { finish } of stored) finish();
}

export function planAttentionPaged(planner: NodePlanner, request: PagedAttentionRequest): void {
  const { page } = request;
  const inputs = [request.q, request.kCache, request.vCache, request.positions, request.pageTable, request.rowTiles];
  // The cache is widened block by block, as it is copied out of its pages.
  const given = inputs.map((i) => planner.input(i));
  const out = planner.output(request.out);
  const names = ["q", "k", "v", "positions", "page_table", "row_tiles", "out"];
  const tensors = [...given, out];
  const sinks = sinksOf(planner, request.sinks);
  const tileHeads = tileHeadsOf(request);
  const sharesRows = given[1] === given[2];
  const [kFormat, vFormat] = given.slice(1, 3).map(realFormat);
  const formats = [realFormat(given[0]), kFormat, vFormat, realFormat(out)];
  planner.launch({
    kernel: planner.kernels.get<AttentionPagedKernel>(
      [
        "attention-paged",
        ...shapeParts(request),
        page,
        ...tensors.map(pitchOf),
        Number(sharesRows),
        sinks.suffix,
        ...formats,
      ],
      () => ({
        template: "attention-paged",
        facts: planner.facts(
          `attention_paged_${shapeName(request)}_p${page}${sinks.suffix}${narrowName(formats)}`,
          [...names.map((name, i) => ({ name, tensor: tensors[i] })), ...sinks.facts],
          `one row tile of ${tileHeads} heads that share a key-value head, in blocks of ${queryBlock} by ${keyBlock}`,
        ),
        ...numbersOf(request, given, out),
        ...forwardLayout(request, tileHeads, sharesRows ? "shared rows" : "keys and values"),
        page,
        queryChunk,
        kFormat,
        vFormat,
        tileHeads,
        sharesRows,
        hasSinks: sinks.hasSinks,
        tablePitch: pitchOf(given[4]),
        tilePitch: pitchOf(given[5]),
      }),
    ),
    operands: [...given.map((t) => read(t)), write(out), ...sinks.operands],
    tiles: [
      { count: rowCount(given[5].type), per: 1 },
      { count: fixed(request.heads), per: tileHeads },
    ],
    flops: planner.op.flops(planner.node),
  });
}
