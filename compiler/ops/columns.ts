// Columns of rows: two tensors out of one, and one out of two. Each is the other's gradient.

import { ELEMENT } from "../formula/terms.ts";
import type { Dim, TensorType } from "../graph/types.ts";
import { inferBy } from "./contract.ts";
import { type FormulaBinding, plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const copy = formulaOf("copy", "y: x", [{ name: "x", extent: ELEMENT }]);

/** Copies columns of an input to columns of an output, of every group at once. */
export function copyColumns(
  part: string,
  lanes: Dim,
  groups: number,
  from: { readonly operand: number; readonly start: number; readonly step: number },
  to: { readonly operand: number; readonly start: number; readonly step: number },
): FormulaBinding {
  const view = (port: string, { operand, start, step }: typeof from) => ({
    ...plainView(port, operand),
    laneStart: start,
    groupStep: step,
  });
  return { part, formula: copy(), lanes, groups, inputs: [view("x", from)], outputs: [view("y", to)] };
}

const widthOf = (type: TensorType): Dim => type.dims[type.dims.length - 1];

const splitShapes = "x[..., width] -> first[..., first], second[..., second]";

export const splitColumns = defineFormulaOp<{ readonly first: Dim; readonly second: Dim }>({
  name: "split_columns",
  summary: "The first columns of every row and the others, as two tensors.",
  source: "concatenation, backwards",
  shapes: splitShapes,
  infer: inferBy(splitShapes, ({ first, second }) => ({ first, second })),
  bind: ({ first, second }) => {
    const at = (operand: number, start: number) => ({ operand, start, step: 0 });
    return [
      copyColumns("first", first, 1, at(0, 0), at(0, 0)),
      copyColumns("second", second, 1, at(0, first.size), at(1, 0)),
    ];
  },
});

const joinShapes = "first[..., first], second[..., second] -> y[..., width]";

export const joinColumns = defineFormulaOp<{ readonly width: Dim }>({
  name: "join_columns",
  summary: "The rows of two tensors side by side.",
  source: "concatenation",
  shapes: joinShapes,
  infer: inferBy(joinShapes, ({ width }) => ({ width })),
  bind: (_, types) => {
    const [first, second] = types.map(widthOf);
    const at = (operand: number, start: number) => ({ operand, start, step: 0 });
    return [
      copyColumns("first", first, 1, at(0, 0), at(0, 0)),
      copyColumns("second", second, 1, at(1, 0), at(0, first.size)),
    ];
  },
});
