// Plans formulas: rows in tiles; sums over rows as partial sums per tile and a second launch that adds them in order.

import { phasesOf } from "../../formula/phases.ts";
import { COLUMN, type Extent, LANE, ROW } from "../../formula/terms.ts";
import { dim, tensor } from "../../graph/types.ts";
import {
  extentOfInput,
  extentOfOutput,
  type FormulaBinding,
  type PortView,
  spaceOf,
} from "../../ops/formula-binding.ts";
import type { FormulaRequest } from "../../ops/skeletons.ts";
import type { ColumnSumKernel, Count, FormulaKernel, FormulaPort, Operand, PlannedTensor } from "../plan.ts";
import { capacityOf } from "../plan.ts";
import {
  countOperand,
  fixed,
  kernelFacts,
  type NodePlanner,
  pitchOf,
  read,
  rowCount,
  rowsPerTile,
  update,
  write,
} from "../planner.ts";

/** Rows per partial sum: part of the result's bits, so it depends on nothing but this. */
const columnChunk = 128;

/** Operands in table order: a tensor that is read and written stands once. */
class OperandTable {
  readonly entries: { name: string; tensor: PlannedTensor; operand: Operand }[] = [];

  add(name: string, tensor: PlannedTensor, access: "read" | "write"): number {
    const known = this.entries.findIndex((entry) => entry.tensor === tensor);
    if (known >= 0) {
      const entry = this.entries[known];
      if (access === "write" && entry.operand.kind === "tensor" && entry.operand.access === "read")
        entry.operand = update(tensor);
      return known;
    }
    const isTaken = this.entries.some((entry) => entry.name === name);
    const operand = access === "read" ? read(tensor) : write(tensor);
    return this.entries.push({ name: isTaken ? `${name}_out` : name, tensor, operand }) - 1;
  }
}

export function planFormula(planner: NodePlanner, { binding }: FormulaRequest): void {
  const { node } = planner;
  const table = new OperandTable();
  const portOf = (view: PortView, extent: Extent, operand: number, from: PlannedTensor): FormulaPort => ({
    ...view,
    extent,
    operand,
    pitch: (extent & LANE) === 0 && binding.groups === 1 ? 1 : pitchOf(from),
  });
  const inputs = binding.inputs.map((view) => {
    const from = planner.input(view.operand);
    return portOf(
      view,
      extentOfInput(binding, view.port),
      table.add(operandName(binding.inputs, view), from, "read"),
      from,
    );
  });
  const finishes: (() => void)[] = [];
  const rows = rowsOfSpace(planner, binding);
  const hasColumnSums = binding.outputs.some((view) => extentOfOutput(binding, view.port) === COLUMN);
  const perTile = hasColumnSums ? columnChunk : rowsPerTile(binding.lanes.size * binding.groups);
  const outputs = binding.outputs.map((view) => {
    const extent = extentOfOutput(binding, view.port);
    const to = planner.output(view.operand);
    if (extent !== COLUMN) return portOf(view, extent, table.add(operandName(binding.outputs, view), to, "write"), to);
    const chunks = Math.ceil(capacityOf(rows) / perTile);
    const partials = planner.workspace(tensor("f32", dim("chunks", chunks), binding.lanes));
    finishes.push(() => finishColumnSum(planner, partials, to, chunks));
    return portOf(view, extent, table.add(`${view.port}_parts`, partials, "write"), partials);
  });
  const plan = phasesOf(binding.formula);
  const kernel = planner.kernels.get<FormulaKernel>(
    [
      "formula",
      planner.label,
      plan,
      perTile,
      binding.groups,
      binding.lanes.size,
      ...[...inputs, ...outputs].flatMap(portParts),
    ],
    () => ({
      template: "formula",
      facts: planner.facts(kernelName(planner, binding), table.entries, `${perTile} rows`),
      plan,
      lanes: binding.lanes.size,
      groups: binding.groups,
      rowsPerTile: perTile,
      inputs,
      outputs,
    }),
  );
  planner.launch({
    kernel,
    operands: [...table.entries.map((entry) => entry.operand), countOperand(rows)],
    tiles: [{ count: rows, per: perTile }],
    flops: planner.op.flops(node),
  });
  for (const finish of finishes) finish();
}

/** What of a port a kernel depends on. */
export const portParts = ({ operand, pitch, laneStart, laneStep, groupStep }: FormulaPort): number[] => [
  operand,
  pitch,
  laneStart,
  laneStep,
  groupStep,
];

/** Two ports on one operand, the halves of a rotary pair, share its name without the number. */
function operandName(side: readonly PortView[], view: PortView): string {
  const isShared = side.filter((v) => v.operand === view.operand).length > 1;
  return isShared ? view.port.replace(/\d+$/, "") : view.port;
}

function kernelName(planner: NodePlanner, binding: FormulaBinding): string {
  return `${planner.label}_w${binding.lanes.size}${binding.groups > 1 ? `_g${binding.groups}` : ""}`;
}

/** Operand rows: those of the first operand that has rows. */
function rowsOfSpace(planner: NodePlanner, binding: FormulaBinding): Count {
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

function finishColumnSum(planner: NodePlanner, partials: PlannedTensor, to: PlannedTensor, chunks: number): void {
  const width = to.type.dims[0]?.size ?? 1;
  const columnsPerTile = 256;
  const operands = [
    { name: "parts", tensor: partials },
    { name: "out", tensor: to },
  ];
  planner.launch({
    kernel: planner.kernels.get<ColumnSumKernel>(["column-sum", width, pitchOf(partials)], () => ({
      template: "column-sum",
      facts: kernelFacts(
        {
          name: `column_sum_w${width}`,
          summary: "Adds partial sums of columns, in order.",
          formula: "out[c] = Σ_r parts[r, c], in ascending r",
          source: "sum over rows in fixed chunks",
        },
        operands,
        `${columnsPerTile} columns`,
      ),
      width,
      pitch: pitchOf(partials),
      columnsPerTile,
    })),
    operands: [read(partials), write(to), countOperand(fixed(chunks))],
    tiles: [{ count: fixed(width), per: columnsPerTile }],
    flops: chunks * width,
  });
}
