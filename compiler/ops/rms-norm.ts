// Root mean square normalisation of rows.

import { ELEMENT, LANE } from "../formula/terms.ts";
import { dim } from "../graph/types.ts";
import { inferBy } from "./contract.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const formula = formulaOf("rms_norm", "let scale = rsqrt(mean(x * x) + eps); y: x * scale * gain, r: scale", [
  { name: "x", extent: ELEMENT },
  { name: "gain", extent: LANE },
]);

const shapes = "x[..., width], gain[width] -> y[..., width], r[...]";

/** The reciprocal root r is an output because the backward pass reads it. */
export const rmsNorm = defineFormulaOp<{ readonly eps: number }>({
  name: "rms_norm",
  summary: "Scales every row to root mean square 1, then by a gain per column.",
  source: "Zhang and Sennrich, arXiv:1910.07467",
  shapes,
  infer: inferBy(shapes),
  bind: ({ eps }, [x]) => ({
    formula: formula({ eps }),
    lanes: x.dims[x.dims.length - 1],
    groups: 1,
    inputs: [plainView("x", 0), plainView("gain", 1)],
    outputs: [plainView("y", 0), plainView("r", 1)],
  }),
  keep: ["r"],
});

const headShapes = "x[..., projected], gain[head_dim] -> y[..., projected], r[..., heads]";

/** Every head of a projection is normalised by itself; all of them have one gain. */
export const rmsNormHeads = defineFormulaOp<{ readonly eps: number; readonly heads: number }>({
  name: "rms_norm_heads",
  summary: "Scales every head of every row to root mean square 1, then by a gain per channel of a head.",
  source: "Zhang and Sennrich, arXiv:1910.07467; of queries and keys: Dehghani et al., arXiv:2302.05442",
  shapes: headShapes,
  infer: inferBy(headShapes, ({ heads }) => ({ heads: dim("heads", heads) })),
  bind: ({ eps, heads }, [, gain]) => {
    const [headDim] = gain.dims;
    const head = (port: string) => ({ ...plainView(port, 0), groupStep: headDim.size });
    return {
      formula: formula({ eps }),
      lanes: headDim,
      groups: heads,
      inputs: [head("x"), plainView("gain", 1)],
      outputs: [head("y"), plainView("r", 1)],
    };
  },
  keep: ["r"],
});
