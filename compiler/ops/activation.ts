// The elementwise formula between a feed-forward layer's projections, as the spec writes it.

import type { Formula } from "../formula/formula.ts";
import { sameType } from "../graph/types.ts";
import { invariant } from "../source/diagnostic.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp } from "./formula-op.ts";

export interface ActivationAttributes {
  /** One output `y`; its inputs are the node's inputs, in order. */
  readonly formula: Formula;
}

export const activation = defineFormulaOp<ActivationAttributes>({
  name: "activation",
  summary: "Applies the spec's activation formula to its projections, element by element.",
  source: "model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202",
  shapes: "x[..., intermediate], up?[..., intermediate] -> y[..., intermediate]",
  infer: (inputs, _attributes, path) => {
    for (const type of inputs)
      invariant(sameType(type, inputs[0]), "projections of an activation differ in shape", path);
    return [{ port: "y", type: inputs[0] }];
  },
  bind: ({ formula }, inputs) => ({
    formula,
    lanes: inputs[0].dims[inputs[0].dims.length - 1],
    groups: 1,
    inputs: formula.inputs.map(({ name }, i) => plainView(name, i)),
    outputs: [plainView("y", 0)],
  }),
});
