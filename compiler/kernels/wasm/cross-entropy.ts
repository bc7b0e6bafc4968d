// Plans head and loss in chunks of rows: logits, loss with its gradient, and both products, for one chunk at a time.

import { phasesOf } from "../../formula/phases.ts";
import { printFormula } from "../../formula/print.ts";
import { ELEMENT, ROW, UNIFORM } from "../../formula/terms.ts";
import { dim, rowsOf, tensor, widthOf } from "../../graph/types.ts";
import type { LinearCrossEntropyRequest } from "../../ops/skeletons.ts";
import type { KernelFacts, Operand, PlannedTensor } from "../plan.ts";
import {
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type NodePlanner,
  type OperandFact,
  part,
  pitchBytes,
  pitchOf,
  read,
  rowsPerTile,
  update,
} from "../planner.ts";
import type { FormulaKernel, FormulaPort } from "./kernels.ts";
import { launchProduct } from "./matmul.ts";

/** Logits of a chunk take about a megabyte; the number of rows is part of the head gradient's bits. */
const logitsPerChunk = 262_144;
const chunkStep = 64;
const longestChunk = 512;

function rowsPerChunk(vocab: number): number {
  const rows = Math.floor(logitsPerChunk / vocab / chunkStep) * chunkStep;
  return Math.min(longestChunk, Math.max(chunkStep, rows));
}

export function planLinearCrossEntropy(planner: NodePlanner, request: LinearCrossEntropyRequest): void {
  const hidden = planner.input(request.hidden);
  const weight = planner.input(request.weight);
  const vocab = rowsOf(weight.type);
  const rows = rowsOf(hidden.type);
  const chunk = rowsPerChunk(vocab);
  const logits = planner.workspace(tensor("f32", dim("chunk", Math.min(chunk, rows)), dim("vocab", vocab)));
  for (let start = 0; start < rows; start += chunk) {
    planChunk(planner, request, { hidden, weight, logits, start, rows: Math.min(chunk, rows - start) });
  }
  planner.note(
    "kernel",
    `logits exist for ${Math.min(chunk, rows)} of ${rows} rows at a time (chunks: ${Math.ceil(rows / chunk)})`,
  );
}

interface Chunk {
  readonly hidden: PlannedTensor;
  readonly weight: PlannedTensor;
  readonly logits: PlannedTensor;
  readonly start: number;
  readonly rows: number;
}

function planChunk(planner: NodePlanner, request: LinearCrossEntropyRequest, chunk: Chunk): void {
  const { hidden, weight, logits, start, rows } = chunk;
  const { gradient } = request;
  const count = fixed(rows);
  const hiddenOffset = start * pitchBytes(hidden);
  const plain = { addend: undefined, first: undefined, isPart: false, count };
  launchProduct(planner, {
    ...plain,
    form: "NT",
    a: hidden,
    b: weight,
    out: logits,
    offsets: { a: hiddenOffset, b: 0, out: 0 },
  });
  launchLoss(planner, request, chunk);
  if (gradient === undefined) return;
  const dHidden = planner.output(gradient.dHidden);
  const dWeight = planner.output(gradient.dWeight);
  const outOffset = start * pitchBytes(dHidden);
  launchProduct(planner, {
    ...plain,
    form: "NN",
    isPart: true,
    a: logits,
    b: weight,
    out: dHidden,
    offsets: { a: 0, b: 0, out: outOffset },
  });
  // The first chunk overwrites, or follows the step's flag; later ones add.
  const first = gradient.accumulate === undefined ? undefined : planner.input(gradient.accumulate.first);
  launchProduct(planner, {
    ...plain,
    form: "TN",
    a: logits,
    b: hidden,
    out: dWeight,
    addend: start === 0 ? undefined : dWeight,
    first: start === 0 ? first : undefined,
    offsets: { a: 0, b: hiddenOffset, out: 0 },
  });
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
