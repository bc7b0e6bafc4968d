// Plans formulas: rows in tiles; sums over rows as partial sums per tile and a second launch that adds them in order.

import { phasesOf } from "../../formula/phases.ts";
import { printFormula } from "../../formula/print.ts";
import { type Extent, LANE } from "../../formula/terms.ts";
import { dim, tensor, widthOf } from "../../graph/types.ts";
import { extentOfInput, extentOfOutput, type FormulaBinding, type PortView } from "../../ops/formula-binding.ts";
import { formulaFlops } from "../../ops/formula-op.ts";
import type { FormulaRequest } from "../../ops/skeletons.ts";
import { formulaKernelName, operandName, rowsOfSpace } from "../formula-space.ts";
import type { Operand, PlannedTensor } from "../plan.ts";
import { capacityOf } from "../plan.ts";
import {
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type NodePlanner,
  part,
  pitchOf,
  read,
  rowsPerTile,
  update,
  write,
} from "../planner.ts";
import type { ColumnSumKernel, FormulaKernel, FormulaPort } from "./kernels.ts";

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

export function planFormula(planner: NodePlanner, { bindings }: FormulaRequest): void {
  for (const binding of bindings) launchFormula(planner, binding);
}

function launchFormula(planner: NodePlanner, binding: FormulaBinding): void {
  const table = new OperandTable();
  const rows = rowsOfSpace(planner, binding);
  const hasColumnSums = binding.outputs.some((view) => extentOfOutput(binding, view.port) === LANE);
  const perTile = hasColumnSums ? columnChunk : rowsPerTile(binding.lanes.size * binding.groups);
  const inputs = binding.inputs.map((view) => {
    const from = planner.input(view.operand);
    const operand = table.add(operandName(binding.inputs, view), from, "read");
    return portOf(binding, view, extentOfInput(binding, view.port), operand, from);
  });
  const finishes: (() => void)[] = [];
  const outputs = binding.outputs.map((view) => {
    const extent = extentOfOutput(binding, view.port);
    const out = planner.output(view.operand);
    const name = operandName(binding.outputs, view);
    if (extent !== LANE) return portOf(binding, view, extent, table.add(name, out, "write"), out);
    const chunks = Math.ceil(capacityOf(rows) / perTile);
    const partials = planner.workspace(tensor("f32", dim("chunks", chunks), binding.lanes));
    finishes.push(() => finishColumnSum(planner, partials, out, chunks));
    return portOf(binding, view, extent, table.add(`${view.port}_parts`, partials, "write"), partials);
  });
  planner.launch({
    kernel: formulaKernel(planner, binding, table, { inputs, outputs, rowsPerTile: perTile }),
    operands: [...table.entries.map((entry) => ownPart(binding, entry)), countOperand(rows)],
    tiles: [{ count: rows, per: perTile }],
    flops: binding.part === undefined ? planner.op.flops(planner.node) : formulaFlops(binding, planner.node),
  });
  for (const finish of finishes) finish();
}

/** What one of several formulas writes, no other one does: they need not wait for each other. */
const ownPart = ({ part: name }: FormulaBinding, { operand, tensor }: OperandTable["entries"][number]): Operand =>
  name !== undefined && operand.kind === "tensor" && operand.access === "write" ? part(tensor) : operand;

function formulaKernel(
  planner: NodePlanner,
  binding: FormulaBinding,
  table: OperandTable,
  ports: Pick<FormulaKernel, "inputs" | "outputs" | "rowsPerTile">,
): FormulaKernel {
  const plan = phasesOf(binding.formula);
  const { groups, lanes } = binding;
  const key = [...ports.inputs, ...ports.outputs].flatMap(portParts);
  return planner.kernels.get<FormulaKernel>(
    ["formula", planner.label, plan, ports.rowsPerTile, groups, lanes.size, ...key],
    () => ({
      template: "formula",
      facts: {
        ...planner.facts(formulaKernelName(planner, binding), table.entries, `${ports.rowsPerTile} rows`, counted()),
        ...(binding.part === undefined ? {} : { formula: printFormula(binding.formula) }),
      },
      plan,
      lanes: lanes.size,
      groups,
      ...ports,
    }),
  );
}

function portOf(
  { groups }: FormulaBinding,
  view: PortView,
  extent: Extent,
  operand: number,
  from: PlannedTensor,
): FormulaPort {
  // A column of one group, such as of a single head, stands in rows like any other number of groups.
  const isColumn = from.type.dims.length > 1 && widthOf(from.type) === 1;
  const isScalarOfRow = (extent & LANE) === 0 && groups === 1 && !isColumn;
  return { ...view, extent, operand, dtype: from.type.dtype, pitch: isScalarOfRow ? 1 : pitchOf(from) };
}

/** What of a port a kernel depends on. */
const portParts = ({ operand, dtype, pitch, laneStart, laneStep, groupStep }: FormulaPort): (string | number)[] => [
  operand,
  dtype,
  pitch,
  laneStart,
  laneStep,
  groupStep,
];

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
        counted("rows of parts"),
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
