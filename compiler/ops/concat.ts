// Two tensors of one shape side by side.

import { ELEMENT } from "../formula/terms.ts";
import { dim, type TensorType } from "../graph/types.ts";
import { inferBy } from "./contract.ts";
import { type PortView, plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const formula = formulaOf("concat", "y0: a, y1: b", [
  { name: "a", extent: ELEMENT },
  { name: "b", extent: ELEMENT },
]);

const shapes = "a[rows, width], b[rows, width] -> y[rows, both]";

export const concat = defineFormulaOp<null>({
  name: "concat",
  summary: "Puts the rows of two tensors side by side.",
  source: "concatenation of channels",
  shapes,
  infer: inferBy<null>(shapes, (_, [a]: readonly TensorType[]) => ({ both: dim("both", 2 * a.dims[1].size) })),
  bind: (_, [a]) => {
    const half = (port: string, laneStart: number): PortView => ({ ...plainView(port, 0), laneStart });
    return {
      formula: formula(),
      lanes: a.dims[1],
      groups: 1,
      inputs: [plainView("a", 0), plainView("b", 1)],
      outputs: [half("y0", 0), half("y1", a.dims[1].size)],
    };
  },
});
