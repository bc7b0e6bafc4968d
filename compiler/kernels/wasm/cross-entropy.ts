// Plans head and loss for wasm: how long its chunks are, and the loss of one.

import { phasesOf } from "../../formula/phases.ts";
import { printFormula } from "../../formula/print.ts";
import { ELEMENT, ROW, UNIFORM } from "../../formula/terms.ts";
import { widthOf } from "../../graph/types.ts";
import type { LinearCrossEntropyRequest } from "../../ops/skeletons.ts";
import { type Chunk, planHeadAndLoss } from "../head-and-loss.ts";
import type { KernelFacts, Operand, PlannedTensor } from "../plan.ts";
import {
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type NodePlanner,
  type OperandFact,
  part,
  pitchOf,
  read,
  rowsPerTile,
  update,
} from "../planner.ts";
import type { FormulaKernel, FormulaPort } from "./kernels.ts";
import { launchProduct } from "./matmul.ts";

/** Logits of a chunk take about a megabyte. */
const most = { logits: 262_144, rows: 512 };

export function planLinearCrossEntropy(planner: NodePlanner, request: LinearCrossEntropyRequest): void {
  planHeadAndLoss(planner, request, { most, launchProduct, launchLoss });
}

/** Loss per row, and in training the gradient of the logits in their place. */
function launchLoss(planner: NodePlanner, request: LinearCrossEntropyRequest, { logits, start, rows }: Chunk): void {
  const { formula, gradient } = request;
  const targets = planner.input(request.targets);
  const losses = planner.output(request.losses);
  const scale = gradient && planner.input(gradient.scale);
  const vocab = widthOf(logits.type);
  const view = { laneStart: 0, laneStep: 1, groupStep: 0 };
  const element = (port: string): FormulaPort => ({
    ...view,
    port,
    extent: ELEMENT,
    operand: 0,
    dtype: "f32",
    pitch: pitchOf(logits),
  });
  const perRow = (port: string, operand: number): FormulaPort => ({
    ...view,
    port,
    extent: ROW,
    operand,
    dtype: operands[operand].tensor.type.dtype,
    pitch: 1,
  });
  const operands: { name: string; tensor: PlannedTensor; operand: Operand }[] = [
    { name: "logits", tensor: logits, operand: gradient ? update(logits) : read(logits) },
    { name: "targets", tensor: targets, operand: read(targets, 4 * start) },
    { name: "losses", tensor: losses, operand: part(losses, 4 * start) },
  ];
  if (scale !== undefined) operands.push({ name: "scale", tensor: scale, operand: read(scale) });
  const uniform: FormulaPort = { ...view, port: "d_loss", extent: UNIFORM, operand: 3, dtype: "f32", pitch: 1 };
  const perTile = rowsPerTile(vocab);
  const kernel = planner.kernels.get<FormulaKernel>(
    ["cross-entropy", formula, vocab, perTile, pitchOf(logits)],
    () => ({
      template: "formula",
      facts: lossFacts(planner, formula, vocab, gradient !== undefined, operands, perTile),
      plan: phasesOf(formula),
      lanes: vocab,
      groups: 1,
      rowsPerTile: perTile,
      inputs: [element("x"), perRow("label", 1), ...(scale === undefined ? [] : [uniform])],
      outputs: [perRow("loss", 2), ...(gradient === undefined ? [] : [element("d_x")])],
    }),
  );
  planner.launch({
    kernel,
    operands: [...operands.map(({ operand }) => operand), countOperand(fixed(rows))],
    tiles: [{ count: fixed(rows), per: perTile }],
    flops: 8 * rows * vocab,
  });
}

/** The kernel is one of the op's several: it says what it does itself. */
function lossFacts(
  planner: NodePlanner,
  formula: LinearCrossEntropyRequest["formula"],
  vocab: number,
  hasGradient: boolean,
  operands: readonly OperandFact[],
  perTile: number,
): KernelFacts {
  const summary = hasGradient
    ? "The cross-entropy of rows of logits x, and its gradient d_x in the logits' place."
    : "The cross-entropy of rows of logits x.";
  const name = `cross_entropy_w${vocab}${hasGradient ? "_gradient" : ""}`;
  return kernelFacts(
    { name, summary, formula: printFormula(formula), source: planner.op.source },
    operands,
    `${perTile} rows`,
    counted(),
  );
}
