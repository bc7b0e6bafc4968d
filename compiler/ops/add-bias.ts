// Adds a value per column to every row.

import { ELEMENT, LANE } from "../formula/terms.ts";
import type { Dim } from "../graph/types.ts";
import { inferBy } from "./contract.ts";
import { type FormulaBinding, plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const formula = formulaOf("add_bias", "y: x + bias", [
  { name: "x", extent: ELEMENT },
  { name: "bias", extent: LANE },
]);

const shapes = "x[..., width], bias[width] -> y[..., width]";

/** Inputs 0 and 1 are `x` and `bias`, output 0 is their sum. */
export const biasBinding = (lanes: Dim): FormulaBinding => ({
  formula: formula(),
  lanes,
  groups: 1,
  inputs: [plainView("x", 0), plainView("bias", 1)],
  outputs: [plainView("y", 0)],
});

export const addBias = defineFormulaOp<null>({
  name: "add_bias",
  summary: "Adds a bias to every row of a projection.",
  source: "linear layer with bias",
  shapes,
  infer: inferBy(shapes),
  bind: (_, [x]) => biasBinding(x.dims[x.dims.length - 1]),
  passes: 0,
});
