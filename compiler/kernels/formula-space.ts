// Rows that a formula runs over, and what its operands and its kernel are called: alike on every target.

import { LANE, ROW } from "../formula/terms.ts";
import { extentOfInput, extentOfOutput, type FormulaBinding, type PortView, spaceOf } from "../ops/formula-binding.ts";
import type { Count } from "./plan.ts";
import { fixed, type NodePlanner, rowCount } from "./planner.ts";

/** Two ports on one operand, the halves of a rotary pair, share its name without the number. */
export function operandName(side: readonly PortView[], view: PortView): string {
  const isShared = side.filter((v) => v.operand === view.operand).length > 1;
  return isShared ? view.port.replace(/\d+$/, "") : view.port;
}

export function formulaKernelName({ label: op, node }: NodePlanner, { lanes, groups, part }: FormulaBinding): string {
  const label = part === undefined ? op : `${op}_${part}`;
  const isVector = lanes.size > 1 && node.outputs.every(({ type }) => type.dims.length === 1);
  const isNarrow = [...node.inputs, ...node.outputs].some(({ type }) => type.dtype === "bf16");
  return `${label}_w${lanes.size}${groups > 1 ? `_g${groups}` : ""}${isVector ? "_vector" : ""}${isNarrow ? "_bf16" : ""}`;
}

/** Operand rows: those of the first operand that has rows. */
export function rowsOfSpace(planner: NodePlanner, binding: FormulaBinding): Count {
  const ports = [
    ...binding.inputs.map((view) => ({
      extent: extentOfInput(binding, view.port),
      value: planner.node.inputs[view.operand],
    })),
    ...binding.outputs.map((view) => ({
      extent: extentOfOutput(binding, view.port),
      value: planner.node.outputs[view.operand],
    })),
  ];
  for (const { extent, value } of ports) {
    if ((extent & ROW) === 0) continue;
    const isPerRow = (extent & LANE) === 0 && binding.groups === 1;
    if (isPerRow) {
      const [leading] = value.type.dims;
      return leading?.live === undefined ? fixed(spaceOf(binding, planner.node).rows) : rowCount(value.type);
    }
    return value.type.dims.length < 2 ? fixed(1) : rowCount(value.type);
  }
  return fixed(1);
}
