// Rounds a value to a narrower format, or widens it: the only op that changes nothing but how numbers are stored.

import { ELEMENT } from "../formula/terms.ts";
import { type DType, dim, widthOf } from "../graph/types.ts";
import { exactBounds, type KernelChoice, noFormats, noGradient, type Op } from "./contract.ts";
import { type FormulaBinding, plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

interface CastAttributes {
  readonly dtype: DType;
}

const copy = formulaOf("cast", "y: x", [{ name: "x", extent: ELEMENT }]);

/** Rows as they are: what is stored is rounded to the output's format. */
export const castBinding = (dims: readonly { readonly name: string; readonly size: number }[]): FormulaBinding => ({
  formula: copy(),
  lanes: dims.at(-1) ?? dim("one", 1),
  groups: 1,
  inputs: [plainView("x", 0)],
  outputs: [plainView("y", 0)],
});

const formula = defineFormulaOp<CastAttributes>({
  name: "cast",
  summary: "Stores values in another format, to nearest with ties to even.",
  source: "IEEE 754, section 4.3.1; bf16: arXiv:1905.12322",
  shapes: "x[...] -> y[...]",
  infer: ([x], { dtype }) => [{ port: "y", type: { ...x, dtype } }],
  bind: (_, [x]) => castBinding(x.dims.length === 0 ? [dim("one", widthOf(x))] : x.dims),
  gradient: noGradient("formats are assigned after differentiation"),
});

const workingCopy: KernelChoice = {
  because: "a copy of a parameter is made once per update",
  fits: (node) => node.inputs[0].storage === "parameter",
  request: () => ({ skeleton: "working_copy", from: 0, out: 0 }),
};

export const cast: Op<CastAttributes> = {
  ...formula,
  bounds: exactBounds,
  formats: () => noFormats,
  // What is added to a rounded value is not added to the value.
  absorb: () => ({}),
  kernels: { wasm: [workingCopy, ...formula.kernels.wasm], wgsl: [workingCopy, ...formula.kernels.wgsl] },
};
