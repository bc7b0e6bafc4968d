// Plans head and loss for wgsl: how long its chunks are, and the loss of one.

import { phasesWithoutStash } from "../../formula/phases.ts";
import { printFormula } from "../../formula/print.ts";
import { ELEMENT, type Extent, ROW, UNIFORM } from "../../formula/terms.ts";
import { widthOf } from "../../graph/types.ts";
import type { LinearCrossEntropyRequest } from "../../ops/skeletons.ts";
import { type Chunk, planHeadAndLoss } from "../head-and-loss.ts";
import type { PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, pitchOf } from "../planner.ts";
import { mapThreads, shapeOf, shapeText } from "./formula.ts";
import type { WgslPort } from "./kernels.ts";
import { isScalar, launchWgsl, type WgslOperand } from "./launch.ts";
import { launchProduct } from "./matmul.ts";

/**
 * Logits of a chunk, and its longest. A GPU wants long ones: each has launches of its own, and reads and writes the whole
 * gradient of the head; 64 MiB are half of what a binding may be everywhere. A software adapter wants a cache's size.
 */
const chunks = {
  gpu: { logits: 2 ** 24, rows: 8192 },
  soft: { logits: 2 ** 18, rows: 512 },
} as const;

export function planLinearCrossEntropy(planner: NodePlanner, request: LinearCrossEntropyRequest): void {
  const most = chunks[planner.target.profile === "gpu" ? "gpu" : "soft"];
  planHeadAndLoss(planner, request, { most, launchProduct, launchLoss });
}

/** Loss per row, and in training the gradient of the logits in their place. */
function launchLoss(planner: NodePlanner, request: LinearCrossEntropyRequest, { logits, start, rows }: Chunk): void {
  const { formula, gradient } = request;
  const [targets, losses] = [planner.input(request.targets), planner.output(request.losses)];
  const vocab = widthOf(logits.type);
  const plan = phasesWithoutStash(formula);
  const shape = shapeOf(planner, plan, vocab);
  const operands: WgslOperand[] = [
    {
      name: "logits",
      tensor: logits,
      access: gradient === undefined ? "read" : "update",
      uses: gradient === undefined ? ["at", "load"] : ["at", "load", "store"],
    },
    { name: "targets", tensor: targets, access: "read", uses: ["at"], offset: 4 * start },
    { name: "losses", tensor: losses, access: "part", uses: ["put"], offset: 4 * start },
  ];
  const x = portOf("x", ELEMENT, "logits", logits);
  const inputs = [x, portOf("label", ROW, "targets", targets)];
  const outputs = [portOf("loss", ROW, "losses", losses)];
  if (gradient !== undefined) {
    const scale = planner.input(gradient.scale);
    operands.push({ name: "scale", tensor: scale, access: "read", uses: [] });
    inputs.push(portOf("d_loss", UNIFORM, "scale", scale));
    outputs.push({ ...x, port: "d_x" });
  }
  const isWorkgroup = shape.threadsPerRow > 1;
  const what = gradient === undefined ? "." : ", and its gradient d_x in the logits' place.";
  launchWgsl(planner, {
    template: "formula",
    said: {
      name: `cross_entropy_w${vocab}${gradient === undefined ? "" : "_gradient"}`,
      summary: `The cross-entropy of rows of logits x${what}`,
      formula: printFormula(formula),
      source: planner.op.source,
    },
    tile: shapeText(shape),
    operands,
    counts: [{ name: "rows", count: fixed(rows), what: "rows" }],
    threads: isWorkgroup ? shape.threadsPerRow : mapThreads,
    numbers: {},
    formulas: { kind: "rows", rows: { plan, lanes: vocab, groups: 1, inputs, outputs, ...shape } },
    tiles: [{ count: fixed(rows), per: shape.rowsPerTile * (isWorkgroup ? 1 : mapThreads) }],
    flops: 8 * rows * vocab,
  });
}

/** Rows of whole vectors, one element per row, or one for all. */
const portOf = (port: string, extent: Extent, operand: string, of: PlannedTensor): WgslPort => ({
  port,
  extent,
  operand,
  isScalar: isScalar(of),
  dtype: of.type.dtype,
  pitch: extent === ELEMENT ? pitchOf(of) : 1,
  laneStart: 0,
  laneStep: 1,
  groupStep: 1,
  isAligned: extent === ELEMENT,
});
