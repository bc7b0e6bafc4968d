// Rotary position embedding of the heads of a projection.

import { ELEMENT } from "../formula/terms.ts";
import { dim } from "../graph/types.ts";
import { inferBy } from "./contract.ts";
import type { PortView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

export interface RopeAttributes {
  readonly heads: number;
  readonly headDim: number;
  /** Pairs are (i, i + half) or (2i, 2i + 1). */
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
export const rope = defineFormulaOp<RopeAttributes>({
  name: "rope",
  summary: "Turns the pairs of every head by an angle that grows with the position.",
  source: "Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek",
  shapes,
  infer: inferBy(shapes),
  bind: ({ heads, headDim, layout }) => {
    const half = headDim / 2;
    const pair = (port: string, member: 0 | 1): PortView => ({
      port,
      operand: 0,
      laneStart: layout === "half" ? member * half : member,
      laneStep: layout === "half" ? 1 : 2,
      groupStep: headDim,
    });
    const table = (port: string, operand: number): PortView => ({
      port,
      operand,
      laneStart: 0,
      laneStep: 1,
      groupStep: 0,
    });
    return {
      formula: formula(),
      lanes: dim("half", half),
      groups: heads,
      inputs: [pair("x0", 0), pair("x1", 1), table("cos", 1), table("sin", 2)],
      outputs: [pair("y0", 0), pair("y1", 1)],
    };
  },
});
