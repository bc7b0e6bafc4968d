// The gradient of attention's sinks: a logit per head that takes part in the softmax and has no value.

import { differentiateFormula } from "../formula/derivative.ts";
import type { Formula } from "../formula/formula.ts";
import { ELEMENT, LANE } from "../formula/terms.ts";
import { dim } from "../graph/types.ts";
import { inferBy, noGradient } from "./contract.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const productFormula = formulaOf("head_products", "y: -sum(out * d_out)", [
  { name: "out", extent: ELEMENT },
  { name: "d_out", extent: ELEMENT },
]);

const productShapes = "out[..., results], d_out[..., results] -> y[..., heads]";

/** -out·d_out of every head: what the softmax gives the logit of a key without a value, per unit of its weight. */
export const headProducts = defineFormulaOp<{ readonly heads: number; readonly valueDim: number }>({
  name: "head_products",
  summary: "The adjoint of a sink's weight: minus the product of every head's result and its adjoint.",
  source: "Xiao et al., arXiv:2309.17453; the learned form of gpt-oss",
  shapes: productShapes,
  infer: inferBy(productShapes, ({ heads }) => ({ heads: dim("heads", heads) })),
  bind: ({ heads, valueDim }) => ({
    formula: productFormula(),
    lanes: dim("value_dim", valueDim),
    groups: heads,
    inputs: ["out", "d_out"].map((port, operand) => ({ ...plainView(port, operand), groupStep: valueDim })),
    outputs: [plainView("y", 0)],
  }),
  recompute: "never",
  gradient: noGradient("gradients of gradients are not needed for training"),
});

const weightFormula = formulaOf("sink_weight", "weight: exp(sinks - log_sum_exp)", [
  { name: "sinks", extent: LANE },
  { name: "log_sum_exp", extent: ELEMENT },
]);

let derived: Formula | undefined;
/** d_sinks = Σ over rows of d_weight · weight. */
function gradientFormula(): Formula {
  derived ??= differentiateFormula(weightFormula(), { by: ["sinks"] });
  return derived;
}

const gradientShapes = "sinks[heads], log_sum_exp[..., heads], d_weight[..., heads] -> d_sinks[heads]";

export const sinkGradient = defineFormulaOp<null>({
  name: "sink_gradient",
  summary: "Sums over rows the sink's weight in the softmax times its adjoint.",
  source: "Xiao et al., arXiv:2309.17453; the learned form of gpt-oss",
  shapes: gradientShapes,
  infer: inferBy(gradientShapes),
  bind: (_, [sinks]) => ({
    formula: gradientFormula(),
    lanes: sinks.dims[0],
    groups: 1,
    inputs: ["sinks", "log_sum_exp", "d_weight"].map(plainView),
    outputs: [plainView("d_sinks", 0)],
  }),
  recompute: "never",
  gradient: noGradient("gradients of gradients are not needed for training"),
});
