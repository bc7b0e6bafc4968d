// One AdamW update, and the numbers that all updates of a step share.

import { ELEMENT, UNIFORM } from "../formula/terms.ts";
import { dim, tensor, widthOf } from "../graph/types.ts";
import { inferBy, noGradient } from "./contract.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

export interface AdamwAttributes {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly decay: number;
}

const uniform = (name: string) => ({ name, extent: UNIFORM });
const element = (name: string) => ({ name, extent: ELEMENT });

const update = formulaOf(
  "adamw",
  `let g = gradient * scale;
   let m1 = beta1 * m + beta1_rest * g;
   let v1 = beta2 * v + beta2_rest * g * g;
   let step = m1 / correction1 / (sqrt(v1 / correction2) + eps) + decay * w;
   w: if(finite != 0, w - learning_rate * step, w), m: if(finite != 0, m1, m), v: if(finite != 0, v1, v)`,
  [
    element("w"),
    element("gradient"),
    element("m"),
    element("v"),
    uniform("learning_rate"),
    uniform("scale"),
    uniform("correction1"),
    uniform("correction2"),
    uniform("finite"),
  ],
);

const shapes =
  "w[...], gradient[...], m[...], v[...], learning_rate[], scale[], correction1[], correction2[], finite[] -> w[...], m[...], v[...]";

const names = ["w", "gradient", "m", "v", "learning_rate", "scale", "correction1", "correction2", "finite"];

export const adamw = defineFormulaOp<AdamwAttributes>({
  name: "adamw",
  summary: "AdamW with decoupled decay; keeps weight and moments where the step is not finite.",
  source: "Loshchilov and Hutter, arXiv:1711.05101, algorithm 2",
  shapes,
  infer: inferBy(shapes),
  bind: ({ beta1, beta2, eps, decay }, [w]) => ({
    formula: update({ beta1, beta1_rest: 1 - beta1, beta2, beta2_rest: 1 - beta2, eps, decay }),
    lanes: w.dims.at(-1) ?? dim("one", widthOf(w)),
    groups: 1,
    inputs: names.map(plainView),
    outputs: ["w", "m", "v"].map(plainView),
  }),
  inPlace: [
    [0, 0],
    [1, 2],
    [2, 3],
  ],
  recompute: "never",
  gradient: noGradient("it updates parameters"),
});

export interface UpdateScalarsAttributes {
  readonly beta1: number;
  readonly beta2: number;
}

/**
 * corrections follow c ← β c + (1 - β), which is 1 - β^t without its cancellation; the clip factor is PyTorch's
 * clip_grad_norm_. A norm that is NaN or infinite fails the comparison and leaves every state as it was.
 */
const scalars = formulaOf(
  "update_scalars",
  `let ok = norm <= 3.4028234663852886e38;
   finite: if(ok, 1, 0),
   scale: if(ok && clip > 0, min(clip / (norm + 1e-6), 1), 1),
   correction1: if(ok, beta1 * correction1 + beta1_rest, correction1),
   correction2: if(ok, beta2 * correction2 + beta2_rest, correction2),
   skipped: if(ok, skipped, skipped + 1)`,
  [element("norm"), element("clip"), element("correction1"), element("correction2"), element("skipped")],
);

const scalarShapes =
  "norm[], clip[], correction1[], correction2[], skipped[] -> finite[], scale[], correction1[], correction2[], skipped[]";

export const updateScalars = defineFormulaOp<UpdateScalarsAttributes>({
  name: "update_scalars",
  summary: "Decides whether a step is finite, how far gradients are clipped, and the bias corrections of Adam.",
  source: "arXiv:1711.05101; clipping: Pascanu et al., arXiv:1211.5063",
  shapes: scalarShapes,
  infer: (inputs, attributes, path) => {
    const ports = inferBy<UpdateScalarsAttributes>(scalarShapes)(inputs, attributes, path);
    return ports.map((port) => ({ ...port, type: tensor("f32") }));
  },
  bind: ({ beta1, beta2 }) => ({
    formula: scalars({ beta1, beta1_rest: 1 - beta1, beta2, beta2_rest: 1 - beta2 }),
    lanes: dim("one", 1),
    groups: 1,
    inputs: ["norm", "clip", "correction1", "correction2", "skipped"].map(plainView),
    outputs: ["finite", "scale", "correction1", "correction2", "skipped"].map(plainView),
  }),
  inPlace: [
    [2, 2],
    [3, 3],
    [4, 4],
  ],
  recompute: "never",
  gradient: noGradient("it updates optimiser state"),
});
