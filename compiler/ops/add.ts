// Adds two tensors of one shape: residuals, and gradients that meet.

import { ELEMENT } from "../formula/terms.ts";
import { dim, widthOf } from "../graph/types.ts";
import { inferBy } from "./contract.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const formula = formulaOf("add", "sum: a + b", [
  { name: "a", extent: ELEMENT },
  { name: "b", extent: ELEMENT },
]);

const shapes = "a[...], b[...] -> sum[...]";

export const add = defineFormulaOp<null>({
  name: "add",
  summary: "Adds two tensors of one shape.",
  source: "residual connection, He et al., arXiv:1512.03385",
  shapes,
  infer: inferBy(shapes),
  bind: (_, [a]) => ({
    formula: formula(),
    lanes: a.dims.at(-1) ?? dim("one", widthOf(a)),
    groups: 1,
    inputs: [plainView("a", 0), plainView("b", 1)],
    outputs: [plainView("sum", 0)],
  }),
  // The sum is rounded once, where it is stored.
  rounds: [],
  absorbable: "add",
  // Both gradients are the adjoint itself: no node.
  gradient: { kind: "separate", build: ({ dOutputs: [d] }) => [d, d] },
});
