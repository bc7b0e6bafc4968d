// Plans the router on wgsl: logits, scores and choice of a row in one kernel, whose sums do not depend on how many rows there are.

import { phasesWithoutStash } from "../../formula/phases.ts";
import { ELEMENT } from "../../formula/terms.ts";
import { widthOf } from "../../graph/types.ts";
import { normalizeFloor } from "../../ops/expert-choice.ts";
import type { RouterRequest } from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import type { WgslNumbers, WgslPort, WgslRows } from "./kernels.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";
import { formatsName, vectorPitch, vectorsOf } from "./memory.ts";

/** Of a workgroup whose threads each have four rows by themselves. */
const threads = 16;
const threadRows = 4;

/** Rows of a workgroup: part of no result's bits, as each row is summed by itself. */
const tiledRows = 16;
/** Vectors of channels that lie in a workgroup's memory at a time: 128 bytes, what adapters read at once. */
const tiledDepth = 8;

/** Numbers of the kernel whose workgroups multiply together: two rows and four experts per thread. */
function tileOf(experts: number) {
  const expertVectors = Math.min(16, Math.max(4, 2 ** Math.ceil(Math.log2(experts / 4))));
  const numbers = { tileRows: tiledRows, expertVectors, depth: tiledDepth, stride: tiledDepth + 1 };
  return { threads: (tiledRows / 2) * expertVectors, numbers };
}

export function planRouter(planner: NodePlanner, request: RouterRequest): void {
  const given = (input: number | undefined) => (input === undefined ? undefined : planner.input(input));
  const [x, weight] = [planner.input(request.x), planner.input(request.weight)];
  const [bias, choiceBias] = [given(request.bias), given(request.choiceBias)];
  const outputs = [request.logits, request.scores, request.index, request.weights].map((o) => planner.output(o));
  const [logits, scores, index, weights] = outputs;
  const rows = rowCount(x.type);
  const { topK, groups } = request;
  const group = groups === undefined ? "" : `g${groups.count}_${groups.keep}`;
  const operands: WgslOperand[] = [
    { name: "x", tensor: x, access: "read", uses: ["load"] },
    { name: "weight", tensor: weight, access: "read", uses: ["load"] },
    ...(bias === undefined ? [] : [{ name: "bias", tensor: bias, access: "read", uses: ["load"] } as const]),
    ...(choiceBias === undefined
      ? []
      : [{ name: "choice_bias", tensor: choiceBias, access: "read", uses: ["at"] } as const]),
    { name: "logits", tensor: logits, access: "write", uses: ["load", "store"] },
    { name: "scores", tensor: scores, access: "write", uses: ["at", "store"] },
    { name: "index", tensor: index, access: "write", uses: ["put"] },
    { name: "weights", tensor: weights, access: "write", uses: ["put"] },
  ];
  const tiled = planner.target.profile === "gpu" ? tileOf(widthOf(scores.type)) : undefined;
  launchWgsl(planner, {
    template: tiled === undefined ? "router" : "router-tiled",
    said: `router_e${widthOf(scores.type)}k${topK}${group}w${widthOf(x.type)}${formatsName(x, weight)}`,
    tile:
      tiled === undefined
        ? `${threadRows} rows per thread`
        : `${tiledRows} rows per workgroup of ${tiled.threads}: products of 2 rows and 4 experts per thread, then a row per thread`,
    operands,
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads: tiled?.threads ?? threads,
    numbers: {
      ...tiled?.numbers,
      ...choiceNumbers(request, widthOf(scores.type)),
      ...{ hasBias: bias !== undefined, hasChoiceBias: choiceBias !== undefined },
      ...{ channelVectors: vectorsOf(x), width: widthOf(x.type), isRagged: widthOf(x.type) % 4 !== 0 },
      ...{ xPitch: vectorPitch(x), weightPitch: vectorPitch(weight), logitsPitch: vectorPitch(logits) },
      ...{ scoresPitch: pitchOf(scores), indexPitch: pitchOf(index), weightsPitch: pitchOf(weights) },
    },
    formulas: { kind: "rows", rows: scoreRows(request, logits, scores) },
    tiles: [{ count: rows, per: tiled === undefined ? threads * threadRows : tiledRows }],
    flops: planner.op.flops(planner.node),
  });
}

function choiceNumbers({ topK, groups, normalize, scale }: RouterRequest, experts: number): WgslNumbers {
  return {
    ...{ experts, topK, normalize, scale, floor: normalizeFloor, hasGroups: groups !== undefined },
    groups: groups?.count ?? 1,
    keep: groups?.keep ?? 1,
    groupExperts: experts / (groups?.count ?? 1),
    isTop2Sum: groups?.score === "top2_sum",
  };
}

/** The score formula over a row of logits, which whoever wrote them reads again. */
function scoreRows({ score }: RouterRequest, logits: PlannedTensor, scores: PlannedTensor): WgslRows {
  const port = (name: string, operand: string, tensor: PlannedTensor): WgslPort => ({
    port: name,
    extent: ELEMENT,
    operand,
    isScalar: false,
    dtype: "f32",
    pitch: pitchOf(tensor),
    laneStart: 0,
    laneStep: 1,
    groupStep: 0,
    isAligned: true,
  });
  return {
    plan: phasesWithoutStash(score),
    isMap: false,
    lanes: widthOf(scores.type),
    groups: 1,
    rowsPerTile: 1,
    threadsPerRow: 1,
    inputs: [port("logit", "logits", logits)],
    outputs: [port(score.outputs[0].name, "scores", scores)],
  };
}
