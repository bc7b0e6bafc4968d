// A formula and how its inputs and outputs lie in a node's operands: the payload of every elementwise or row-wise op.

import { evaluateWithBounds } from "../formula/bounds.ts";
import { evaluateFormula, type InputValues, type Space, valueIndex } from "../formula/evaluate.ts";
import type { Formula } from "../formula/formula.ts";
import { type Extent, LANE, ROW } from "../formula/terms.ts";
import type { Node } from "../graph/graph.ts";
import { type Dim, elementCount, rowsOf, type TensorType, unitRoundoff, widthOf } from "../graph/types.ts";
import { invariant } from "../source/diagnostic.ts";
import type { Tensor } from "./contract.ts";

/**
 * How one input or output of a formula lies in an operand.
 *
 * Element (row = o · groups + g, lane l) stands in column `laneStart + g · groupStep + l · laneStep` of row o. A value
 * per row stands in column g of row o (or, with one group, is element o of the operand); a value per column is element
 * l of a vector; a uniform value is a scalar.
 */
export interface PortView {
  readonly port: string;
  /** Index into the node's inputs, or outputs. */
  readonly operand: number;
  readonly laneStart: number;
  readonly laneStep: number;
  readonly groupStep: number;
}

export interface FormulaBinding {
  /** What of the outputs this formula writes, where several write parts of them; names its kernel. */
  readonly part?: string;
  readonly formula: Formula;
  readonly lanes: Dim;
  /** How many formula rows one row of an operand holds, such as heads; 1 for most. */
  readonly groups: number;
  readonly inputs: readonly PortView[];
  readonly outputs: readonly PortView[];
}

/** The whole row of an operand. */
export const plainView = (port: string, operand: number): PortView => ({
  port,
  operand,
  laneStart: 0,
  laneStep: 1,
  groupStep: 0,
});

export function extentOfInput(binding: FormulaBinding, port: string): Extent {
  const input = binding.formula.inputs.find((i) => i.name === port);
  invariant(input !== undefined, `formula has no input ${port}`);
  return input.extent;
}

export function extentOfOutput(binding: FormulaBinding, port: string): Extent {
  const output = binding.formula.outputs.find((o) => o.name === port);
  invariant(output !== undefined, `formula has no output ${port}`);
  return output.extent;
}

function termExtent(binding: FormulaBinding, port: string): Extent {
  const output = binding.formula.outputs.find((o) => o.name === port);
  invariant(output !== undefined, `formula has no output ${port}`);
  return output.term.extent;
}

/** Rows and lanes that a node's formula runs over. */
export function spaceOf(binding: FormulaBinding, node: Node): Space {
  const rows = (type: TensorType, extent: Extent): number | undefined => {
    if ((extent & ROW) === 0) return undefined;
    return (extent & LANE) !== 0 || binding.groups > 1 ? rowsOf(type) : elementCount(type);
  };
  for (const view of binding.inputs) {
    const found = rows(node.inputs[view.operand].type, extentOfInput(binding, view.port));
    if (found !== undefined) return { rows: found * binding.groups, lanes: binding.lanes.size };
  }
  for (const view of binding.outputs) {
    const found = rows(node.outputs[view.operand].type, extentOfOutput(binding, view.port));
    if (found !== undefined) return { rows: found * binding.groups, lanes: binding.lanes.size };
  }
  return { rows: 1, lanes: binding.lanes.size };
}

/** Where the value for formula row r and lane l stands in the operand's row-major elements. */
function elementOffset(
  binding: FormulaBinding,
  view: PortView,
  extent: Extent,
  width: number,
  r: number,
  l: number,
): number {
  const o = Math.floor(r / binding.groups);
  const g = r % binding.groups;
  if ((extent & LANE) === 0) return (extent & ROW) === 0 ? 0 : binding.groups > 1 ? o * width + g : o;
  if ((extent & ROW) === 0) return view.laneStart + l * view.laneStep;
  return o * width + view.laneStart + g * view.groupStep + l * view.laneStep;
}

function eachElement(extent: Extent, space: Space, visit: (row: number, lane: number, index: number) => void): void {
  const rows = extent & ROW ? space.rows : 1;
  const lanes = extent & LANE ? space.lanes : 1;
  for (let r = 0; r < rows; r++) for (let l = 0; l < lanes; l++) visit(r, l, r * lanes + l);
}

function readInputs(binding: FormulaBinding, inputs: readonly Tensor[], space: Space): InputValues {
  const values = new Map<string, Float64Array>();
  for (const view of binding.inputs) {
    const extent = extentOfInput(binding, view.port);
    const { data, type } = inputs[view.operand];
    const count = (extent & ROW ? space.rows : 1) * (extent & LANE ? space.lanes : 1);
    const array = new Float64Array(count);
    eachElement(extent, space, (r, l, i) => {
      array[i] = data[elementOffset(binding, view, extent, widthOf(type), r, l)];
    });
    values.set(view.port, array);
  }
  return values;
}

function writeOutputs(
  binding: FormulaBinding,
  node: Node,
  space: Space,
  outputs: ReadonlyMap<string, Float64Array>,
): Float64Array[] {
  const results = node.outputs.map(({ type }) => new Float64Array(elementCount(type)));
  for (const view of binding.outputs) {
    const extent = extentOfOutput(binding, view.port);
    const values = outputs.get(view.port) ?? new Float64Array();
    const own = termExtent(binding, view.port);
    const full = node.outputs[view.operand];
    eachElement(extent, space, (r, l) => {
      const offset = elementOffset(binding, view, extent, widthOf(full.type), r, l);
      results[view.operand][offset] = values[valueIndex(own, space, r, l)];
    });
  }
  return results;
}

/** The outputs of a node that is a formula, in f64. */
export function evaluateBinding(binding: FormulaBinding, inputs: readonly Tensor[], node: Node): Float64Array[] {
  const space = spaceOf(binding, node);
  const { outputs } = evaluateFormula(binding.formula, readInputs(binding, inputs, space), space);
  return writeOutputs(binding, node, space, outputs);
}

/** Sums over more than 128 terms run in at least four lanes or in chunks of at most 128 on every target. */
export const chainLength = (count: number): number => (count <= 128 ? count : 128 + Math.ceil(count / 4));

/** What rounding may do to each output of a node that is a formula. */
export function boundBinding(binding: FormulaBinding, inputs: readonly Tensor[], node: Node): Float64Array[] {
  const space = spaceOf(binding, node);
  const unit = unitRoundoff.f32;
  const { bounds } = evaluateWithBounds(binding.formula, readInputs(binding, inputs, space), space, {
    unit,
    chain: chainLength,
  });
  return writeOutputs(binding, node, space, bounds);
}
