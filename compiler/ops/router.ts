// The router: logits, scores and the choice of experts as one operation, and the gradient through the chosen weights.

import { evaluateWithBounds } from "../formula/bounds.ts";
import { evaluateFormula } from "../formula/evaluate.ts";
import type { Formula } from "../formula/formula.ts";
import { printFormula } from "../formula/print.ts";
import type { Node, Value } from "../graph/graph.ts";
import { dim, elementCount, unitRoundoff, widthOf } from "../graph/types.ts";
import { add } from "./add.ts";
import { biasBinding } from "./add-bias.ts";
import {
  always,
  attributesOf,
  type GradientRequest,
  inferBy,
  noGradient,
  type Op,
  placeOf,
  standsAlone,
  type Tensor,
} from "./contract.ts";
import { chooseExperts, normalizeFloor, weightsOf } from "./expert-choice.ts";
import { chainLength, type FormulaBinding, plainView } from "./formula-binding.ts";
import { emitFormulaGradient } from "./formula-op.ts";
import { linearDgrad, linearWgrad } from "./linear.ts";

/** How experts are chosen from a row of scores. */
export interface ChoiceRules {
  readonly topK: number;
  /** Experts in `count` groups of equal size, of which the `keep` best can be chosen. */
  readonly groups: { readonly count: number; readonly keep: number; readonly score: "top2_sum" | "max" } | undefined;
  readonly normalize: boolean;
  readonly scale: number;
}

export interface RouterAttributes extends ChoiceRules {
  /** `score` of the row `logit`. */
  readonly score: Formula;
  readonly hasBias: boolean;
  readonly hasChoiceBias: boolean;
}

const shapes =
  "x[tokens, width], weight[experts, width], bias?[experts], choice_bias?[experts] -> logits[tokens, experts], scores[tokens, experts], index:i32[tokens, top_k], weights[tokens, top_k]";

/** Outputs by their place. */
const [LOGITS, SCORES, , WEIGHTS] = [0, 1, 2, 3];

interface RouterInputs {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Float64Array | undefined;
  readonly choiceBias: Float64Array | undefined;
}

function named(inputs: readonly Tensor[], { hasBias, hasChoiceBias }: RouterAttributes): RouterInputs {
  const [x, weight] = inputs;
  const bias = hasBias ? inputs[2].data : undefined;
  return { x, weight, bias, choiceBias: hasChoiceBias ? inputs[hasBias ? 3 : 2].data : undefined };
}

/** x · weightᵀ + bias, each product mapped by `map`. */
function logitsOf({ x, weight, bias }: RouterInputs, map: (product: number) => number): Float64Array {
  const width = widthOf(x.type);
  const [tokens, experts] = [x.data.length / width, weight.type.dims[0].size];
  const logits = new Float64Array(tokens * experts);
  for (let t = 0; t < tokens; t++) {
    for (let e = 0; e < experts; e++) {
      let sum = 0;
      for (let c = 0; c < width; c++) sum += map(x.data[t * width + c] * weight.data[e * width + c]);
      logits[t * experts + e] = sum + map(bias?.[e] ?? 0);
    }
  }
  return logits;
}

function route(inputs: readonly Tensor[], node: Node): Float64Array[] {
  const attributes = attributesOf(router, node);
  const own = named(inputs, attributes);
  const logits = logitsOf(own, (product) => product);
  const [tokens, experts] = [own.x.type.dims[0].size, own.weight.type.dims[0].size];
  const space = { rows: tokens, lanes: experts };
  const evaluated = evaluateFormula(attributes.score, new Map([["logit", logits]]), space);
  const scores = evaluated.outputs.get(attributes.score.outputs[0].name) ?? new Float64Array();
  const index = new Float64Array(tokens * attributes.topK);
  const weights = new Float64Array(tokens * attributes.topK);
  for (let t = 0; t < tokens; t++) {
    const row = scores.subarray(t * experts, (t + 1) * experts);
    const { chosen } = chooseExperts(row, own.choiceBias, attributes);
    index.set(chosen, t * attributes.topK);
    weights.set(weightsOf(row, chosen, attributes), t * attributes.topK);
  }
  return [logits, scores, index, weights];
}

/** Rows whose choice hangs on less than the scores' errors may be chosen otherwise. */
function bounds(inputs: readonly Tensor[], node: Node): Float64Array[] {
  const attributes = attributesOf(router, node);
  const own = named(inputs, attributes);
  const [logits, scores] = route(inputs, node);
  const [tokens, experts] = [own.x.type.dims[0].size, own.weight.type.dims[0].size];
  const unit = unitRoundoff.f32;
  const logitErrors = logitsOf(own, Math.abs).map((magnitude) => (widthOf(own.x.type) + 2) * unit * magnitude);
  const arithmetic = { unit, chain: chainLength, inputErrors: new Map([["logit", logitErrors]]) };
  const space = { rows: tokens, lanes: experts };
  const evaluated = evaluateWithBounds(attributes.score, new Map([["logit", logits]]), space, arithmetic);
  const scoreErrors = evaluated.bounds.get(attributes.score.outputs[0].name) ?? new Float64Array();
  const indexErrors = new Float64Array(tokens * attributes.topK);
  const weightErrors = new Float64Array(tokens * attributes.topK);
  for (let t = 0; t < tokens; t++) {
    const row = scores.subarray(t * experts, (t + 1) * experts);
    const errors = scoreErrors.subarray(t * experts, (t + 1) * experts);
    const { chosen, margin } = chooseExperts(row, own.choiceBias, attributes);
    const largest = errors.reduce((a, b) => Math.max(a, b), 0);
    const isOpen = margin > 0 && margin < 8 * largest + 4 * unit;
    const sum = chosen.reduce((total, e) => total + Math.abs(row[e]), 0);
    chosen.forEach((e, j) => {
      const at = t * attributes.topK + j;
      indexErrors[at] = isOpen ? Number.POSITIVE_INFINITY : 0;
      const relative = attributes.normalize
        ? (largest * (attributes.topK + 1)) / (sum + normalizeFloor) + (attributes.topK + 4) * unit
        : 2 * unit;
      const [weight] = weightsOf(row, chosen, attributes).slice(j);
      const own = attributes.normalize ? 0 : errors[e] * Math.abs(attributes.scale);
      weightErrors[at] = isOpen
        ? Number.POSITIVE_INFINITY
        : own + relative * Math.max(Math.abs(weight), attributes.normalize ? Math.abs(attributes.scale) : 0);
    });
  }
  return [logitErrors, scoreErrors, indexErrors, weightErrors];
}

/** What the header says of a choice. */
function choiceText({ topK, groups, normalize, scale }: ChoiceRules, hasChoiceBias: boolean): string {
  const key = hasChoiceBias ? "scores + choice_bias" : "scores";
  const among =
    groups === undefined
      ? ""
      : ` within the ${groups.keep} of ${groups.count} groups with the greatest ${groups.score === "max" ? "maximum" : "sum of their two greatest"}`;
  const share = normalize ? " / Σ_chosen scores" : "";
  const times = scale === 1 ? "" : ` · ${scale}`;
  return `index = the ${topK} greatest ${key}${among}, the smaller index of equal ones; weights = scores[index]${share}${times}`;
}

export const router: Op<RouterAttributes> = {
  name: "router",
  summary: "Chooses experts for every token, and their weights; a bias may steer the choice but not the weights.",
  formula: (node) => {
    const { score, hasBias, hasChoiceBias, ...rules } = attributesOf(router, node);
    const logits = `logits = x · weightᵀ${hasBias ? " + bias" : ""}`;
    return `${logits}; ${printFormula(score)} of every row; ${choiceText(rules, hasChoiceBias)}`;
  },
  source: "DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538",
  shapes,
  infer: inferBy<RouterAttributes>(shapes, ({ topK }) => ({ top_k: dim("top_k", topK) })),
  ...standsAlone,
  // Scores and weights are what the choice was made by.
  formats: () => ({ first: [0], second: [1], results: [] }),
  reference: route,
  bounds,
  gradient: { kind: "separate", build: (request) => routerGradient(request) },
  flops: (node) => 2 * elementCount(node.inputs[0].type) * node.inputs[1].type.dims[0].size,
  // A second computation must not choose otherwise than the first.
  recompute: "never",
  kernels: always(
    "logits, scores and choice in one kernel, whose sums do not depend on how many rows there are",
    (node) => {
      const attributes = attributesOf(router, node);
      return {
        skeleton: "router",
        ...attributes,
        x: 0,
        weight: 1,
        bias: attributes.hasBias ? 2 : undefined,
        choiceBias: attributes.hasChoiceBias ? (attributes.hasBias ? 3 : 2) : undefined,
        logits: 0,
        scores: 1,
        index: 2,
        weights: 3,
      };
    },
  ),
};

/** Through the chosen weights to the scores, through the score formula to the logits, and on as a linear layer. */
function routerGradient({ node, dOutputs, wanted, emitter }: GradientRequest): readonly (Value | undefined)[] {
  const attributes = attributesOf(router, node);
  const [x, weight] = node.inputs;
  const [logits, scores, index] = node.outputs;
  const at = placeOf(node, "dgrad");
  const sum = (values: readonly (Value | undefined)[]): Value | undefined =>
    values
      .filter((value) => value !== undefined)
      .reduce<Value | undefined>((a, b) => (a === undefined ? b : emitter.emit(add, [a, b], null, at)[0]), undefined);
  const { topK, groups, normalize, scale } = attributes;
  const dWeights = dOutputs[WEIGHTS];
  const through =
    dWeights && emitter.emit(routerBackward, [dWeights, index, scores], { topK, groups, normalize, scale }, at)[0];
  const dScores = sum([through, dOutputs[SCORES]]);
  const dThroughScores =
    dScores &&
    emitFormulaGradient(
      { place: at, inputs: [logits], outputs: [scores], dOutputs: [dScores], wanted: [true], emitter },
      scoreBinding(node),
      { name: "router_score", source: router.source, ports: ["logits"] },
    )[0];
  const dLogits = sum([dThroughScores, dOutputs[LOGITS]]);
  if (dLogits === undefined) return node.inputs.map(() => undefined);
  const dX = wanted[0] ? emitter.emit(linearDgrad, [dLogits, weight], { accumulates: false }, at)[0] : undefined;
  const dWeight = wanted[1]
    ? emitter.emit(linearWgrad, [dLogits, x], { accumulates: false }, placeOf(node, "wgrad"))[0]
    : undefined;
  const dBias =
    attributes.hasBias && wanted[2]
      ? emitFormulaGradient(
          {
            place: at,
            inputs: [logits, node.inputs[2]],
            outputs: [logits],
            dOutputs: [dLogits],
            wanted: [false, true],
            emitter,
          },
          biasBinding(logits.type.dims[1]),
          { name: "router_bias", source: router.source, ports: ["logits", "bias"] },
        )[1]
      : undefined;
  return [dX, dWeight, ...(attributes.hasBias ? [dBias] : []), ...(attributes.hasChoiceBias ? [undefined] : [])];
}

function scoreBinding(node: Node): FormulaBinding {
  const { score } = attributesOf(router, node);
  const { dims } = node.outputs[SCORES].type;
  return {
    formula: score,
    lanes: dims[dims.length - 1],
    groups: 1,
    inputs: [plainView("logit", 0)],
    outputs: [plainView(score.outputs[0].name, 0)],
  };
}

const backwardShapes =
  "d_weights[tokens, top_k], index:i32[tokens, top_k], scores[tokens, experts] -> d_scores[tokens, experts]";

export const routerBackward: Op<ChoiceRules> = {
  name: "router_backward",
  summary: "The gradient of the scores through the weights of the chosen experts; 0 for all others.",
  formula: (node) =>
    attributesOf(routerBackward, node).normalize
      ? "with s = Σ_chosen scores: d_scores[e] = scale / s · (d_weights[e] - Σ_chosen d_weights · scores / s)"
      : "d_scores[e] = scale · d_weights[e]",
  source: router.source,
  shapes: backwardShapes,
  infer: inferBy(backwardShapes),
  ...standsAlone,
  reference: (inputs, node) => [scoreGradients(inputs, attributesOf(routerBackward, node)).values],
  bounds: (inputs, node) => [scoreGradients(inputs, attributesOf(routerBackward, node)).errors],
  gradient: noGradient("gradients of gradients are not needed for training"),
  flops: (node) => 6 * elementCount(node.inputs[0].type),
  recompute: "never",
  kernels: always("a row touches its own experts only", (node) => {
    const { normalize, scale } = attributesOf(routerBackward, node);
    return { skeleton: "router_backward", dWeights: 0, index: 1, scores: 2, dScores: 0, normalize, scale };
  }),
};

function scoreGradients(
  [dWeights, index, scores]: readonly Tensor[],
  { topK, normalize, scale }: ChoiceRules,
): { values: Float64Array; errors: Float64Array } {
  const experts = widthOf(scores.type);
  const [values, errors] = [new Float64Array(scores.data.length), new Float64Array(scores.data.length)];
  for (let t = 0; t < scores.data.length / experts; t++) {
    const choices = Array.from({ length: topK }, (_, j) => {
      const at = t * topK + j;
      return {
        d: dWeights.data[at],
        to: t * experts + index.data[at],
        score: scores.data[t * experts + index.data[at]],
      };
    });
    const sum = choices.reduce((total, { score }) => total + score, normalizeFloor);
    const mean = choices.reduce((total, { d, score }) => total + d * score, 0) / sum;
    const size = choices.reduce((total, { d, score }) => total + Math.abs(d * score), 0) / Math.abs(sum);
    const factor = normalize ? scale / sum : scale;
    const spread = choices.reduce((total, { score }) => total + Math.abs(score), 0) / Math.abs(sum);
    for (const { d, to } of choices) {
      values[to] = factor * (normalize ? d - mean : d);
      const relative = (2 * topK + 6) * unitRoundoff.f32 * Math.max(1, spread);
      errors[to] = Math.abs(factor) * relative * (Math.abs(d) + (normalize ? size : 0));
    }
  }
  return { values, errors };
}
