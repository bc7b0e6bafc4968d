// Output head and cross-entropy as one operation, so that logits exist for one chunk of rows only.

import { evaluateWithBounds } from "../formula/bounds.ts";
import { differentiateFormula } from "../formula/derivative.ts";
import type { Formula } from "../formula/formula.ts";
import { ELEMENT, ROW, UNIFORM } from "../formula/terms.ts";
import { elementCount, unitRoundoff, widthOf } from "../graph/types.ts";
import { always, inferBy, noGradient, type Op, placeOf, standsAlone, type Tensor } from "./contract.ts";
import { chainLength } from "./formula-binding.ts";
import { formulaOf } from "./formula-op.ts";
import type { LinearCrossEntropyRequest } from "./skeletons.ts";

/** A target of -1 contributes neither loss nor gradient. */
const crossEntropy = formulaOf(
  "cross_entropy",
  "let m = max(x); let e = exp(x - m); let s = sum(e); loss: if(label >= 0, m + log(s) - pick(x, max(label, 0)), 0)",
  [
    { name: "x", extent: ELEMENT },
    { name: "label", extent: ROW, kind: "integer" },
  ],
);

let joined: Formula | undefined;

/** Loss and gradient together: they share the exponentials. The seed is one number for all rows. */
function crossEntropyWithGradient(): Formula {
  if (joined !== undefined) return joined;
  const forward = crossEntropy();
  const backward = differentiateFormula(forward, { by: ["x"], seedExtents: new Map([["loss", UNIFORM]]) });
  joined = {
    terms: forward.terms,
    inputs: [...new Set([...forward.inputs, ...backward.inputs])],
    outputs: [...forward.outputs, ...backward.outputs],
    names: new Map([...forward.names, ...backward.names]),
  };
  return joined;
}

interface Losses {
  readonly losses: Float64Array;
  readonly dHidden: Float64Array;
  readonly dWeight: Float64Array;
}

/** Plain loops: logits, log-sum-exp, and what follows from softmax minus one-hot. */
function lossesOf(hidden: Tensor, weight: Tensor, targets: Float64Array, scale: number): Losses {
  const width = widthOf(hidden.type);
  const vocab = weight.type.dims[0].size;
  const losses = new Float64Array(targets.length);
  const dHidden = new Float64Array(hidden.data.length);
  const dWeight = new Float64Array(weight.data.length);
  targets.forEach((target, row) => {
    if (target < 0) return;
    const x = hidden.data.subarray(row * width, (row + 1) * width);
    const logits = logitsOf(x, weight.data, vocab);
    const most = logits.reduce((a, b) => Math.max(a, b));
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
    losses[row] = most + Math.log(total) - logits[target];
    for (let v = 0; v < vocab; v++) {
      const d = (Math.exp(logits[v] - most) / total - (v === target ? 1 : 0)) * scale;
      for (let c = 0; c < width; c++) {
        dHidden[row * width + c] += d * weight.data[v * width + c];
        dWeight[v * width + c] += d * x[c];
      }
    }
  });
  return { losses, dHidden, dWeight };
}

function logitsOf(
  x: Float64Array,
  weight: Float64Array,
  vocab: number,
  map: (value: number) => number = (v) => v,
): Float64Array {
  return Float64Array.from({ length: vocab }, (_, v) =>
    x.reduce((sum, value, c) => sum + map(value * weight[v * x.length + c]), 0),
  );
}

/** Errors of the logits, carried through the row formula and both products. */
function boundsOf(inputs: readonly Tensor[], formula: Formula, scale: number | undefined): Losses {
  const [hidden, weight, targets] = inputs;
  const width = widthOf(hidden.type);
  const vocab = weight.type.dims[0].size;
  const unit = unitRoundoff.f32;
  const rows = targets.data.length;
  const result: Losses = {
    losses: new Float64Array(rows),
    dHidden: new Float64Array(hidden.data.length),
    dWeight: new Float64Array(weight.data.length),
  };
  for (let row = 0; row < rows; row++) {
    const x = hidden.data.subarray(row * width, (row + 1) * width);
    const logits = logitsOf(x, weight.data, vocab);
    const errors = logitsOf(x, weight.data, vocab, Math.abs).map((magnitude) => width * unit * magnitude);
    const values = new Map<string, ArrayLike<number>>([
      ["x", logits],
      ["label", [targets.data[row]]],
      ["d_loss", [scale ?? 0]],
    ]);
    const space = { rows: 1, lanes: vocab };
    const arithmetic = { unit, chain: chainLength, inputErrors: new Map([["x", errors]]) };
    const { outputs, bounds } = evaluateWithBounds(formula, values, space, arithmetic);
    result.losses[row] = bounds.get("loss")?.[0] ?? 0;
    const [d, dError] = [outputs.get("d_x"), bounds.get("d_x")];
    if (d === undefined || dError === undefined) continue;
    for (let v = 0; v < vocab; v++) {
      for (let c = 0; c < width; c++) {
        const w = Math.abs(weight.data[v * width + c]);
        result.dHidden[row * width + c] += w * (dError[v] + vocab * unit * Math.abs(d[v]));
        result.dWeight[v * width + c] += Math.abs(x[c]) * (dError[v] + (rows + 1) * unit * Math.abs(d[v]));
      }
    }
  }
  return result;
}

const flopsOf =
  (products: number): Op["flops"] =>
  (node) => {
    const [hidden, weight] = node.inputs;
    return products * 2 * elementCount(hidden.type) * weight.type.dims[0].size;
  };

const shapes = "hidden[rows, width], weight[vocab, width], targets:i32[rows] -> losses[rows]";
const source = "cross-entropy of a softmax; chunked head: Wijmans et al., arXiv:2411.09009";

/** Losses are per row and unscaled: the step divides by its number of targets through the seed. */
export const linearCrossEntropy: Op<null> = {
  name: "linear_cross_entropy",
  summary: "Logits of every row and their cross-entropy with a target; targets of -1 count nothing.",
  formula: () => "losses[r] = log Σ_v exp(x_rv) - x_r,target with x_rv = hidden[r] · weight[v]; 0 where target < 0",
  source,
  shapes,
  infer: inferBy(shapes),
  ...standsAlone,
  formats: () => ({ first: [0], second: [1], results: [] }),
  reference: ([hidden, weight, targets]) => [lossesOf(hidden, weight, targets.data, 0).losses],
  bounds: (inputs) => [boundsOf(inputs, crossEntropy(), undefined).losses],
  gradient: {
    kind: "joint",
    build: ({ node, dOutputs: [scale], emitter }) => {
      if (scale === undefined) return { outputs: node.outputs, dInputs: [undefined, undefined, undefined] };
      const place = placeOf(node);
      const [losses, dHidden, dWeight] = emitter.emit(linearCrossEntropyTraining, [...node.inputs, scale], null, place);
      return { outputs: [losses], dInputs: [dHidden, dWeight, undefined] };
    },
  },
  flops: flopsOf(1),
  recompute: "never",
  kernels: always("logits exist for one chunk of rows only", () => ({
    ...request,
    formula: crossEntropy(),
    gradient: undefined,
  })),
};

const request: Omit<LinearCrossEntropyRequest, "formula" | "gradient"> = {
  skeleton: "linear_cross_entropy",
  hidden: 0,
  weight: 1,
  targets: 2,
  losses: 0,
};

const trainingShapes =
  "hidden[rows, width], weight[vocab, width], targets:i32[rows], scale[], state?[vocab, width], first?[] -> losses[rows], d_hidden[rows, width], d_weight[vocab, width]";

export const linearCrossEntropyTraining: Op<null> = {
  ...linearCrossEntropy,
  name: "linear_cross_entropy_training",
  summary: "Cross-entropy of the head with the gradients of hidden states and head, chunk by chunk.",
  formula: () =>
    "losses as linear_cross_entropy; d_x = scale · (softmax(x) - onehot(target)); d_hidden = d_x · weight; d_weight = d_xᵀ · hidden",
  shapes: trainingShapes,
  infer: inferBy(trainingShapes),
  formats: () => ({ first: [0], second: [1], results: [1] }),
  reference: ([hidden, weight, targets, scale, state, first]) => {
    const { losses, dHidden, dWeight } = lossesOf(hidden, weight, targets.data, scale.data[0]);
    const isAdded = state !== undefined && first.data[0] === 0;
    return [losses, dHidden, isAdded ? dWeight.map((value, i) => value + state.data[i]) : dWeight];
  },
  bounds: (inputs) => {
    const [, , , scale, state, first] = inputs;
    const { losses, dHidden, dWeight } = boundsOf(inputs, crossEntropyWithGradient(), scale.data[0]);
    const isAdded = state !== undefined && first.data[0] === 0;
    const total = isAdded
      ? dWeight.map((b, i) => b + inputs[2].data.length * unitRoundoff.f32 * Math.abs(state.data[i]))
      : dWeight;
    return [losses, dHidden, total];
  },
  gradient: noGradient("gradients of gradients are not needed for training"),
  flops: flopsOf(3),
  absorbable: undefined,
  absorb: (node) => ({
    accumulate: {
      output: 2,
      build: (inputs, state, first, emitter) =>
        emitter.emit(linearCrossEntropyAccumulate, [...inputs, state, first], null, placeOf(node)),
    },
  }),
  kernels: always("logits, loss and both gradients of one chunk of rows at a time", (node) => ({
    ...request,
    formula: crossEntropyWithGradient(),
    gradient: {
      scale: 3,
      dHidden: 1,
      dWeight: 2,
      accumulate: node.inputs.length > 4 ? { state: 4, first: 5 } : undefined,
    },
  })),
};

/** The fused form: the weight's gradient in the state's storage. */
export const linearCrossEntropyAccumulate: Op<null> = {
  ...linearCrossEntropyTraining,
  name: "linear_cross_entropy_accumulate",
  inPlace: [[2, 4]],
  absorb: () => ({}),
  absorbable: undefined,
};
