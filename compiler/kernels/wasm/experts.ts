// Plans the way of tokens to their experts and back: router, order of the choices, copies and weighted sums.

import { phasesOf } from "../../formula/phases.ts";
import { printFormula } from "../../formula/print.ts";
import { ELEMENT } from "../../formula/terms.ts";
import { widthOf } from "../../graph/types.ts";
import type {
  CombineDotsRequest,
  CombineRequest,
  DispatchRequest,
  ExpertFractionsRequest,
  ExpertOrderRequest,
  RouterBackwardRequest,
  RouterRequest,
} from "../../ops/skeletons.ts";
import type { PlannedTensor } from "../plan.ts";
import {
  counted,
  countOperand,
  elementBytes,
  fixed,
  kernelFacts,
  type NodePlanner,
  none,
  type OperandFact,
  pitchBytes,
  pitchOf,
  read,
  rowCount,
  rowsPerTile,
  write,
} from "../planner.ts";
import { inF32, throughF32 } from "./convert.ts";
import type {
  CombineDotsKernel,
  CombineKernel,
  DispatchKernel,
  ExpertFractionsKernel,
  ExpertOrderKernel,
  FormulaKernel,
  FormulaPort,
  RouterBackwardKernel,
  RouterKernel,
} from "./kernels.ts";
import { packedWeight } from "./pack.ts";
import { realFormat, rowsOfA, stridesOfB } from "./strides.ts";

/** Rows of a tile of the router: even, because products write rows in pairs. */
const routerRows = 32;
/** Also the block of the contraction: part of the result's bits, whatever tiles the spec chooses elsewhere. */
const routerDepth = 256;

const fact = (name: string, tensor: PlannedTensor | undefined): OperandFact =>
  tensor === undefined ? { name, description: "not used" } : { name, tensor };

export function planRouter(planner: NodePlanner, request: RouterRequest): void {
  const given = (input: number | undefined) => (input === undefined ? undefined : planner.input(input));
  const [x, weight] = [planner.input(request.x), packedWeight(planner, planner.input(request.weight))];
  const [bias, choiceBias] = [given(request.bias), given(request.choiceBias)];
  const outputs = [request.logits, request.scores, request.index, request.weights].map((o) => planner.output(o));
  const [logits, scores, index, weights] = outputs;
  const operands = [
    fact("x", x),
    fact("weight", weight),
    fact("bias", bias),
    fact("choice_bias", choiceBias),
    ...["logits", "scores", "index", "weights"].map((name, i) => fact(name, outputs[i])),
  ];
  const kernel = routerKernel(planner, request, operands, { x, weight, bias, choiceBias, logits, scores, index });
  const rows = rowCount(x.type);
  const optional = (tensor: PlannedTensor | undefined) => (tensor === undefined ? none : read(tensor));
  planner.launch({
    kernel,
    operands: [
      read(x),
      read(weight),
      optional(bias),
      optional(choiceBias),
      ...[logits, scores, index, weights].map((tensor) => write(tensor)),
      countOperand(rows),
    ],
    tiles: [{ count: rows, per: routerRows }],
    flops: planner.op.flops(planner.node),
  });
}

interface RouterTensors {
  readonly x: PlannedTensor;
  readonly weight: PlannedTensor;
  readonly bias: PlannedTensor | undefined;
  readonly choiceBias: PlannedTensor | undefined;
  readonly logits: PlannedTensor;
  readonly scores: PlannedTensor;
  readonly index: PlannedTensor;
}

function routerKernel(
  planner: NodePlanner,
  request: RouterRequest,
  operands: readonly OperandFact[],
  { x, weight, bias, choiceBias, logits, scores, index }: RouterTensors,
): RouterKernel {
  const [width, experts] = [widthOf(x.type), widthOf(scores.type)];
  const formats = [x, weight].map(realFormat);
  const { topK, groups, normalize, scale } = request;
  const flags = [bias === undefined ? 0 : 1, choiceBias === undefined ? 0 : 1, normalize ? 1 : 0];
  const groupParts = groups === undefined ? [0] : [groups.count, groups.keep, groups.score];
  return planner.kernels.get<RouterKernel>(
    ["router", width, experts, topK, scale, ...flags, ...groupParts, request.score, pitchOf(x), ...formats],
    () => {
      const group = groups === undefined ? "" : `g${groups.count}_${groups.keep}`;
      const narrow = formats.includes("bf16") ? `_${formats.join("_")}` : "";
      const name = `router_e${experts}k${topK}${group}w${width}${narrow}`;
      const facts = planner.facts(name, operands, `${routerRows} rows`, counted());
      const score = scoreKernel(name, request, operands, logits, scores);
      const keysOffset = score.plan.stash.length * Math.ceil(experts / 4) * 16;
      const groupKeysOffset = keysOffset + Math.ceil(experts / 4) * 16;
      return {
        template: "router",
        facts,
        product: {
          a: rowsOfA(x),
          b: stridesOfB(weight),
          outPitch: pitchOf(logits),
        },
        score,
        width,
        experts,
        topK,
        groups: groups && { count: groups.count, keep: groups.keep, isTop2Sum: groups.score === "top2_sum" },
        normalize,
        scale,
        hasBias: bias !== undefined,
        hasChoiceBias: choiceBias !== undefined,
        rowsPerTile: routerRows,
        depthPerBlock: routerDepth,
        scoresPitch: pitchOf(scores),
        choicePitch: pitchOf(index),
        keysOffset,
        groupKeysOffset,
        scratch: groupKeysOffset + 16 + (groups?.count ?? 0) * 4,
      };
    },
  );
}

/** The score formula over the router's own table: logits are its operand 4, scores its operand 5. */
function scoreKernel(
  router: string,
  { score }: RouterRequest,
  operands: readonly OperandFact[],
  logits: PlannedTensor,
  scores: PlannedTensor,
): FormulaKernel {
  const port = (name: string, operand: number, tensor: PlannedTensor): FormulaPort => ({
    port: name,
    extent: ELEMENT,
    operand,
    dtype: "f32",
    pitch: pitchOf(tensor),
    laneStart: 0,
    laneStep: 1,
    groupStep: 0,
  });
  const said = {
    name: `${router}.score`,
    summary: "The scores of rows of logits.",
    formula: printFormula(score),
    source: "model.ffn.router.score",
  };
  return {
    template: "formula",
    facts: kernelFacts(said, operands, `${routerRows} rows`, counted()),
    plan: phasesOf(score),
    lanes: widthOf(scores.type),
    groups: 1,
    rowsPerTile: routerRows,
    inputs: [port("logit", 4, logits)],
    outputs: [port(score.outputs[0].name, 5, scores)],
  };
}

export function planRouterBackward(planner: NodePlanner, request: RouterBackwardRequest): void {
  const [dWeights, scores] = [request.dWeights, request.scores].map((i) => inF32(planner, planner.input(i)));
  const index = planner.input(request.index);
  const dScores = planner.output(request.dScores);
  const { normalize, scale } = request;
  const [topK, experts] = [widthOf(index.type), widthOf(scores.type)];
  const perTile = rowsPerTile(experts);
  const operands = [
    fact("d_weights", dWeights),
    fact("index", index),
    fact("scores", scores),
    fact("d_scores", dScores),
  ];
  const name = `router_backward_e${experts}k${topK}`;
  const rows = rowCount(scores.type);
  planner.launch({
    kernel: planner.kernels.get<RouterBackwardKernel>(
      ["router-backward", experts, topK, normalize ? 1 : 0, scale],
      () => ({
        template: "router-backward",
        facts: planner.facts(name, operands, `${perTile} rows`, counted()),
        topK,
        normalize,
        scale,
        choicePitch: pitchOf(index),
        scoresPitch: pitchOf(scores),
        rowsPerTile: perTile,
      }),
    ),
    operands: [read(dWeights), read(index), read(scores), write(dScores), countOperand(rows)],
    tiles: [{ count: rows, per: perTile }],
    flops: planner.op.flops(planner.node),
  });
}

export function planExpertOrder(planner: NodePlanner, request: ExpertOrderRequest): void {
  const index = planner.input(request.index);
  const names = ["source", "place", "expert", "start", "count"] as const;
  const outputs = names.map((name) => planner.output(request[name]));
  const { experts } = request;
  const topK = widthOf(index.type);
  const operands = [fact("index", index), ...names.map((name, i) => fact(name, outputs[i]))];
  planner.launch({
    kernel: planner.kernels.get<ExpertOrderKernel>(["expert-order", experts, topK], () => ({
      template: "expert-order",
      facts: planner.facts(
        `expert_order_e${experts}k${topK}`,
        [...operands, { name: "rows", description: "i32, rows of source and expert" }],
        "one",
        counted("tokens"),
      ),
      experts,
      topK,
      choicePitch: pitchOf(index),
      scratch: experts * 4,
    })),
    operands: [
      read(index),
      ...outputs.map((tensor) => write(tensor)),
      countOperand(rowCount(outputs[0].type)),
      countOperand(rowCount(index.type)),
    ],
    tiles: [{ count: fixed(1), per: 1 }],
    flops: planner.op.flops(planner.node),
  });
}

export function planExpertFractions(planner: NodePlanner, request: ExpertFractionsRequest): void {
  const [scores, fractions] = [inF32(planner, planner.input(request.scores)), planner.output(request.fractions)];
  const { topK, rows } = request;
  const experts = widthOf(scores.type);
  planner.launch({
    kernel: planner.kernels.get<ExpertFractionsKernel>(["expert-fractions", experts, topK, rows], () => ({
      template: "expert-fractions",
      facts: planner.facts(
        `expert_fractions_e${experts}k${topK}t${rows}`,
        [fact("scores", scores), fact("fractions", fractions)],
        `${rows} rows`,
      ),
      experts,
      topK,
      rows,
      pitch: pitchOf(scores),
      scratch: 2 * Math.ceil(experts / 4) * 16,
    })),
    operands: [read(scores), write(fractions)],
    tiles: [{ count: rowCount(scores.type), per: rows }],
    flops: planner.op.flops(planner.node),
  });
}

export function planDispatch(planner: NodePlanner, request: DispatchRequest): void {
  const source = planner.input(request.source);
  const weights = request.weights === undefined ? undefined : inF32(planner, planner.input(request.weights));
  const [given, out] = [planner.input(request.x), planner.output(request.rows)];
  // Rows that are copied as they are need no f32 in between.
  const isCopy = weights === undefined && given.type.dtype === out.type.dtype;
  const x = isCopy ? given : inF32(planner, given);
  const { tensor: rows, finish } = isCopy ? { tensor: out, finish: () => {} } : throughF32(planner, out);
  const width = widthOf(x.type);
  const perTile = rowsPerTile(width);
  const { topK } = request;
  const isWeighted = weights !== undefined;
  const choicePitch = weights === undefined ? 0 : pitchOf(weights);
  const operands = [
    fact("x", x),
    fact("source", source),
    fact(isWeighted ? "weights" : "-", weights),
    fact("rows", rows),
  ];
  const count = rowCount(rows.type);
  planner.launch({
    kernel: planner.kernels.get<DispatchKernel>(
      ["dispatch", width, topK, choicePitch, pitchOf(x), pitchOf(rows), x.type.dtype],
      () => ({
        template: "dispatch",
        facts: planner.facts(
          `dispatch_k${topK}w${width}${isWeighted ? "_weighted" : ""}${x.type.dtype === "bf16" ? "_bf16" : ""}`,
          operands,
          `${perTile} rows`,
          counted("routed rows"),
        ),
        rowBytes: width * elementBytes(x),
        topK,
        isWeighted,
        choicePitch,
        xPitch: pitchBytes(x),
        rowsPitch: pitchBytes(rows),
        rowsPerTile: perTile,
      }),
    ),
    operands: [read(x), read(source), weights === undefined ? none : read(weights), write(rows), countOperand(count)],
    tiles: [{ count, per: perTile }],
    flops: planner.op.flops(planner.node),
  });
  finish();
}

export function planCombine(planner: NodePlanner, request: CombineRequest): void {
  const given = (input: number | undefined) => (input === undefined ? undefined : inF32(planner, planner.input(input)));
  const [rows, place] = [inF32(planner, planner.input(request.rows)), planner.input(request.place)];
  const [weights, addend] = [given(request.weights), given(request.addend)];
  const { tensor: y, finish } = throughF32(planner, planner.output(request.y));
  const [width, topK] = [widthOf(y.type), widthOf(place.type)];
  const perTile = Math.max(1, Math.floor(rowsPerTile(width) / topK));
  const suffix = `${weights === undefined ? "" : "_weighted"}${addend === undefined ? "" : "_addend"}`;
  const operands = [
    fact("rows", rows),
    fact(weights === undefined ? "-" : "weights", weights),
    fact("place", place),
    fact(addend === undefined ? "-" : "addend", addend),
    fact("y", y),
  ];
  const count = rowCount(y.type);
  planner.launch({
    kernel: planner.kernels.get<CombineKernel>(["combine", width, topK, suffix, pitchOf(rows), pitchOf(y)], () => ({
      template: "combine",
      facts: planner.facts(`combine_k${topK}w${width}${suffix}`, operands, `${perTile} tokens`, counted("tokens")),
      width,
      topK,
      isWeighted: weights !== undefined,
      addsRows: addend !== undefined,
      choicePitch: pitchOf(place),
      rowsPitch: pitchOf(rows),
      yPitch: pitchOf(y),
      rowsPerTile: perTile,
    })),
    operands: [
      read(rows),
      weights === undefined ? none : read(weights),
      read(place),
      addend === undefined ? none : read(addend),
      write(y),
      countOperand(count),
    ],
    tiles: [{ count, per: perTile }],
    flops: planner.op.flops(planner.node),
  });
  finish();
}

export function planCombineDots(planner: NodePlanner, request: CombineDotsRequest): void {
  const [rows, dY] = [request.rows, request.dY].map((i) => inF32(planner, planner.input(i)));
  const place = planner.input(request.place);
  const dWeights = planner.output(request.dWeights);
  const [width, topK] = [widthOf(rows.type), widthOf(place.type)];
  const perTile = Math.max(1, Math.floor(rowsPerTile(width) / topK));
  const operands = [fact("rows", rows), fact("d_y", dY), fact("place", place), fact("d_weights", dWeights)];
  const count = rowCount(place.type);
  planner.launch({
    kernel: planner.kernels.get<CombineDotsKernel>(["combine-dots", width, topK, pitchOf(rows), pitchOf(dY)], () => ({
      template: "combine-dots",
      facts: planner.facts(`combine_dots_k${topK}w${width}`, operands, `${perTile} tokens`, counted("tokens")),
      width,
      topK,
      choicePitch: pitchOf(place),
      rowsPitch: pitchOf(rows),
      dYPitch: pitchOf(dY),
      rowsPerTile: perTile,
    })),
    operands: [read(rows), read(dY), read(place), write(dWeights), countOperand(count)],
    tiles: [{ count, per: perTile }],
    flops: planner.op.flops(planner.node),
  });
}
