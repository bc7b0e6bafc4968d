// Adds a value to persistent state, or overwrites it at the first micro-batch of a step.

import { ELEMENT, UNIFORM } from "../formula/terms.ts";
import { dim, widthOf } from "../graph/types.ts";
import { inferBy, noGradient } from "./contract.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const formula = formulaOf("accumulate", "if(first != 0, value, state + value)", [
  { name: "state", extent: ELEMENT },
  { name: "value", extent: ELEMENT },
  { name: "first", extent: UNIFORM },
]);

const shapes = "state[...], value[...], first[] -> y[...]";

export const accumulate = defineFormulaOp<null>({
  name: "accumulate",
  summary: "Adds a value to state, or overwrites it where the flag `first` is not 0.",
  source: "gradient accumulation over micro-batches",
  shapes,
  infer: inferBy(shapes),
  bind: (_, [state]) => ({
    formula: formula(),
    lanes: state.dims.at(-1) ?? dim("one", widthOf(state)),
    groups: 1,
    inputs: [plainView("state", 0), plainView("value", 1), plainView("first", 2)],
    outputs: [plainView("y", 0)],
  }),
  inPlace: [[0, 0]],
  // A gradient is a sum in f32.
  rounds: [],
  absorbable: "accumulate",
  recompute: "never",
  gradient: noGradient("it runs after the gradients"),
});
