// Rotary position embedding of the heads of a projection.

import { ELEMENT } from "../formula/terms.ts";
import { type Dim, dim } from "../graph/types.ts";
import { copyColumns } from "./columns.ts";
import { inferBy } from "./contract.ts";
import { type FormulaBinding, type PortView, plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

export interface RopeAttributes {
  readonly heads: number;
  readonly headDim: number;
  /** The channels of a head that turn: as many as both tables have twice, from the first one or up to the last one. */
  readonly turned: "all" | "first" | "last";
  /** Pairs are (i, i + half) or (2i, 2i + 1) of the channels that turn. */
  readonly layout: "half" | "interleaved";
}

const formula = formulaOf("rope", "y0: x0 * cos - x1 * sin, y1: x0 * sin + x1 * cos", [
  { name: "x0", extent: ELEMENT },
  { name: "x1", extent: ELEMENT },
  { name: "cos", extent: ELEMENT },
  { name: "sin", extent: ELEMENT },
]);

const shapes = "x[..., projected], cos[..., half], sin[..., half] -> rotated[..., projected]";

/** Two outputs over two strided views of one tensor: the pairs of every head turn by the angle of their position. */
function turnedPairs({ heads, headDim, layout }: RopeAttributes, lanes: Dim, start: number): FormulaBinding {
  const half = lanes.size;
  const pair = (port: string, member: 0 | 1): PortView => ({
    port,
    operand: 0,
    laneStart: start + (layout === "half" ? member * half : member),
    laneStep: layout === "half" ? 1 : 2,
    groupStep: headDim,
  });
  return {
    formula: formula(),
    lanes,
    groups: heads,
    inputs: [pair("x0", 0), pair("x1", 1), plainView("cos", 1), plainView("sin", 2)],
    outputs: [pair("y0", 0), pair("y1", 1)],
  };
}

export const rope = defineFormulaOp<RopeAttributes>({
  name: "rope",
  summary: "Turns the pairs of every head by an angle that grows with the position.",
  source: "Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek",
  shapes,
  infer: inferBy(shapes),
  bind: (attributes, [, cos]) => {
    const { heads, headDim, turned } = attributes;
    const half = cos.dims[cos.dims.length - 1];
    if (turned === "all") return turnedPairs(attributes, half, 0);
    const passing = dim("passing", headDim - 2 * half.size);
    const [turns, passes] = turned === "first" ? [0, 2 * half.size] : [passing.size, 0];
    const columns = { operand: 0, start: passes, step: headDim };
    return [
      { part: "turned", ...turnedPairs(attributes, half, turns) },
      copyColumns("passing", passing, heads, columns, columns),
    ];
  },
});
