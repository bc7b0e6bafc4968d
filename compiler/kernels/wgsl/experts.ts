// Plans the way of rows to their experts and back on wgsl: the order of the choices, shares of them, copies and weighted sums.

import { dim, tensor, widthOf } from "../../graph/types.ts";
import { normalizeFloor } from "../../ops/expert-choice.ts";
import type {
  CombineDotsRequest,
  CombineRequest,
  DispatchRequest,
  ExpertFractionsRequest,
  ExpertOrderRequest,
  RouterBackwardRequest,
} from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import { mapThreads } from "./formula.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";
import { formatsName, lanesOf, rowTile, vectorPitch, vectorsOf } from "./memory.ts";

/** An operand that a kernel may do without. */
const maybe = (name: string, tensor: PlannedTensor | undefined, use: "load" | "at"): WgslOperand[] =>
  tensor === undefined ? [] : [{ name, tensor, access: "read", uses: [use] }];

export function planDispatch(planner: NodePlanner, request: DispatchRequest): void {
  const [x, source] = [planner.input(request.x), planner.input(request.source)];
  const weights = request.weights === undefined ? undefined : planner.input(request.weights);
  const rows = planner.output(request.rows);
  const [count, vectors, { topK }] = [rowCount(rows.type), vectorsOf(rows), request];
  const [isWeighted, lanes] = [weights !== undefined, lanesOf(planner, vectors)];
  launchWgsl(planner, {
    template: "dispatch",
    said: `dispatch_k${topK}w${widthOf(rows.type)}${isWeighted ? "_weighted" : ""}${formatsName(x, rows)}`,
    tile: rowTile(planner),
    operands: [
      { name: "x", tensor: x, access: "read", uses: ["load"] },
      { name: "source", tensor: source, access: "read", uses: ["at"] },
      ...maybe("weights", weights, "at"),
      { name: "rows", tensor: rows, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count, what: "routed rows" }],
    threads: mapThreads,
    numbers: {
      ...{ vectors, lanes, topK, isWeighted, xPitch: vectorPitch(x), rowsPitch: vectorPitch(rows) },
      weightsPitch: weights === undefined ? 0 : pitchOf(weights),
    },
    tiles: [{ count, times: lanes, per: mapThreads }],
    flops: planner.op.flops(planner.node),
  });
}

export function planCombine(planner: NodePlanner, request: CombineRequest): void {
  const given = (input: number | undefined) => (input === undefined ? undefined : planner.input(input));
  const [rows, place] = [planner.input(request.rows), planner.input(request.place)];
  const [weights, addend, y] = [given(request.weights), given(request.addend), planner.output(request.y)];
  const [count, vectors, topK] = [rowCount(y.type), vectorsOf(y), widthOf(place.type)];
  const [isWeighted, addsRows] = [weights !== undefined, addend !== undefined];
  const lanes = lanesOf(planner, vectors);
  const suffix = `${isWeighted ? "_weighted" : ""}${addsRows ? "_addend" : ""}`;
  launchWgsl(planner, {
    template: "combine",
    said: `combine_k${topK}w${widthOf(y.type)}${suffix}${formatsName(rows, y)}`,
    tile: rowTile(planner),
    operands: [
      { name: "rows", tensor: rows, access: "read", uses: ["load"] },
      ...maybe("weights", weights, "at"),
      { name: "place", tensor: place, access: "read", uses: ["at"] },
      ...maybe("addend", addend, "load"),
      { name: "y", tensor: y, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "tokens", count, what: "tokens" }],
    threads: mapThreads,
    numbers: {
      ...{ vectors, lanes, topK, isWeighted, addsRows, rowsPitch: vectorPitch(rows), yPitch: vectorPitch(y) },
      placePitch: pitchOf(place),
      weightsPitch: weights === undefined ? 0 : pitchOf(weights),
      addendPitch: addend === undefined ? 0 : vectorPitch(addend),
    },
    tiles: [{ count, times: lanes, per: mapThreads }],
    flops: planner.op.flops(planner.node),
  });
}

/** The fewest vectors of a row that a workgroup shares, and the most threads that do. */
const shared = { vectors: 16, threads: 64 } as const;

export function planCombineDots(planner: NodePlanner, request: CombineDotsRequest): void {
  const [rows, dY, place] = [request.rows, request.dY, request.place].map((i) => planner.input(i));
  const dWeights = planner.output(request.dWeights);
  const [count, topK, width, vectors] = [
    rowCount(place.type),
    widthOf(place.type),
    widthOf(rows.type),
    vectorsOf(rows),
  ];
  const isShared = planner.target.profile === "gpu" && vectors >= shared.vectors;
  const threads = isShared ? Math.min(shared.threads, 2 ** Math.floor(Math.log2(vectors))) : mapThreads;
  launchWgsl(planner, {
    template: "combine-dots",
    said: `combine_dots_k${topK}w${width}${formatsName(rows, dY)}`,
    tile: `one choice per ${isShared ? `workgroup of ${threads}, which read its rows side by side` : "thread"}`,
    operands: [
      { name: "rows", tensor: rows, access: "read", uses: ["load"] },
      { name: "d_y", tensor: dY, access: "read", uses: ["load"] },
      { name: "place", tensor: place, access: "read", uses: ["at"] },
      { name: "d_weights", tensor: dWeights, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "tokens", count, what: "tokens" }],
    threads,
    addsOverThreads: isShared,
    numbers: {
      ...{ topK, width, vectors, isShared, isRagged: width % 4 !== 0, placePitch: pitchOf(place) },
      ...{ rowsPitch: vectorPitch(rows), dYPitch: vectorPitch(dY), outPitch: pitchOf(dWeights) },
    },
    tiles: [{ count, times: topK, per: isShared ? 1 : mapThreads }],
    flops: planner.op.flops(planner.node),
  });
}

export function planRouterBackward(planner: NodePlanner, request: RouterBackwardRequest): void {
  const [dWeights, index, scores] = [request.dWeights, request.index, request.scores].map((i) => planner.input(i));
  const dScores = planner.output(request.dScores);
  const { normalize, scale } = request;
  const [rows, topK, experts] = [rowCount(scores.type), widthOf(index.type), widthOf(scores.type)];
  const vectors = vectorsOf(dScores);
  launchWgsl(planner, {
    template: "router-backward",
    said: `router_backward_e${experts}k${topK}${normalize ? "_normalized" : ""}`,
    tile: "four experts of a row per thread",
    operands: [
      { name: "d_weights", tensor: dWeights, access: "read", uses: ["at"] },
      { name: "index", tensor: index, access: "read", uses: ["at"] },
      ...(normalize ? [{ name: "scores", tensor: scores, access: "read", uses: ["at"] } as const] : []),
      { name: "d_scores", tensor: dScores, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads: mapThreads,
    numbers: {
      ...{ topK, vectors, normalize, scale, floor: normalizeFloor, dWeightsPitch: pitchOf(dWeights) },
      ...{ indexPitch: pitchOf(index), scoresPitch: pitchOf(scores), outPitch: vectorPitch(dScores) },
    },
    tiles: [{ count: rows, times: vectors, per: mapThreads }],
    flops: planner.op.flops(planner.node),
  });
}

/** Choices that one workgroup places at a time, and the experts whose counters fit into its memory. */
const order = { threads: 256, chunk: 32, experts: 1024 } as const;
/** The most experts of whom each chunk of choices has counters of its own. */
const chunkedExperts = 256;

/** The choices are placed by one workgroup, so that they need only one launch; adapters in software have one thread do it. */
export function planExpertOrder(planner: NodePlanner, request: ExpertOrderRequest): void {
  const index = planner.input(request.index);
  const names = ["source", "place", "expert", "start", "count"] as const;
  const outputs = names.map((name) => planner.output(request[name]));
  const [{ experts }, topK] = [request, widthOf(index.type)];
  const isShared = planner.target.profile === "gpu" && experts <= order.experts;
  const chunk = experts <= chunkedExperts ? order.chunk : order.threads;
  launchWgsl(planner, {
    template: isShared ? "expert-order-shared" : "expert-order",
    said: `expert_order_e${experts}k${topK}`,
    tile: isShared ? `everything by one workgroup, ${order.threads} choices at a time` : "everything by one thread",
    operands: [
      { name: "index", tensor: index, access: "read", uses: ["at"] },
      ...names.map((name, i) => ({ name, tensor: outputs[i], access: "write", uses: ["put"] }) as const),
    ],
    counts: [
      { name: "rows", count: rowCount(outputs[0].type), what: "rows of source and expert" },
      { name: "tokens", count: rowCount(index.type), what: "tokens" },
    ],
    threads: isShared ? order.threads : 1,
    numbers: {
      ...{ experts, topK, indexPitch: pitchOf(index), placePitch: pitchOf(outputs[1]) },
      ...(isShared ? { chunk, chunks: order.threads / chunk } : {}),
    },
    tiles: [{ count: fixed(1), per: 1 }],
    flops: planner.op.flops(planner.node),
  });
}

/** The choice of every row, then counts of them. */
export function planExpertFractions(planner: NodePlanner, request: ExpertFractionsRequest): void {
  const scores = planner.input(request.scores);
  const { topK } = request;
  const [tokens, experts] = [scores.type.dims[0], widthOf(scores.type)];
  const chosen = planner.workspace(tensor("i32", tokens, dim("top_k", topK)));
  const count = rowCount(scores.type);
  launchWgsl(planner, {
    template: "expert-choices",
    said: {
      name: `expert_choices_e${experts}k${topK}${formatsName(scores)}`,
      summary: "Which experts have the greatest scores of each row.",
      formula: `chosen = the ${topK} greatest scores, the smaller index of equal ones`,
      source: planner.op.source,
    },
    tile: "one row per thread",
    operands: [
      { name: "scores", tensor: scores, access: "read", uses: ["at"] },
      { name: "chosen", tensor: chosen, access: "write", uses: ["put"] },
    ],
    counts: [{ name: "rows", count, what: "rows" }],
    threads: mapThreads,
    numbers: { experts, topK, scoresPitch: pitchOf(scores), chosenPitch: pitchOf(chosen) },
    tiles: [{ count, per: mapThreads }],
    flops: 0,
  });
  countChoices(planner, request, chosen, experts);
}

function countChoices(
  planner: NodePlanner,
  { topK, rows, fractions: output }: ExpertFractionsRequest,
  chosen: PlannedTensor,
  experts: number,
): void {
  const fractions = planner.output(output);
  const [count, vectors] = [rowCount(fractions.type), vectorsOf(fractions)];
  const isShared = planner.target.profile === "gpu" && experts <= order.experts;
  launchWgsl(planner, {
    template: isShared ? "expert-fractions-shared" : "expert-fractions",
    said: `expert_fractions_e${experts}k${topK}t${rows}`,
    tile: isShared ? `${rows} rows per workgroup` : `four experts of ${rows} rows per thread`,
    operands: [
      { name: "chosen", tensor: chosen, access: "read", uses: ["at"] },
      { name: "fractions", tensor: fractions, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count, what: "rows" }],
    threads: isShared ? order.threads : mapThreads,
    numbers: {
      ...{ experts, topK, vectors, sequence: rows, share: experts / (topK * rows) },
      ...{ chosenPitch: pitchOf(chosen), outPitch: vectorPitch(fractions) },
    },
    tiles: [isShared ? { count, per: rows } : { count, times: vectors, per: rows * mapThreads }],
    flops: planner.op.flops(planner.node),
  });
}
