// Head and loss in chunks of rows: logits, loss with its gradient, and both products, for one chunk at a time.

import { dim, rowsOf, tensor } from "../graph/types.ts";
import type { LinearCrossEntropyRequest } from "../ops/skeletons.ts";
import type { Launch, PlannedTensor } from "./plan.ts";
import { elementBytes, fixed, type NodePlanner, pitchBytes } from "./planner.ts";
import type { Product } from "./product.ts";

export interface Chunk {
  readonly hidden: PlannedTensor;
  readonly weight: PlannedTensor;
  readonly logits: PlannedTensor;
  readonly start: number;
  readonly rows: number;
}

/** What is a target's own. */
export interface HeadAndLoss {
  /** Logits of a chunk, and rows of the longest; the number of rows is part of the head gradient's bits. */
  readonly most: { readonly logits: number; readonly rows: number };
  readonly launchProduct: (planner: NodePlanner, product: Product) => void;
  /** Loss per row, and in training the gradient of the logits in their place. */
  readonly launchLoss: (planner: NodePlanner, request: LinearCrossEntropyRequest, chunk: Chunk) => void;
}

/** 64 rows of anything are a multiple of 256 bytes, where bindings may begin. */
const chunkStep = 64;

function rowsPerChunk({ logits, rows }: HeadAndLoss["most"], vocab: number): number {
  return Math.min(rows, Math.max(chunkStep, Math.floor(logits / vocab / chunkStep) * chunkStep));
}

export function planHeadAndLoss(planner: NodePlanner, request: LinearCrossEntropyRequest, parts: HeadAndLoss): void {
  const hidden = planner.input(request.hidden);
  const weight = planner.input(request.weight);
  const vocab = rowsOf(weight.type);
  const rows = rowsOf(hidden.type);
  const chunk = rowsPerChunk(parts.most, vocab);
  const logits = planner.workspace(tensor("f32", dim("chunk", Math.min(chunk, rows)), dim("vocab", vocab)));
  const strides = rowStrides(planner, request);
  let begin = 0;
  for (let start = 0; start < rows; start += chunk) {
    // A large vocabulary has hundreds of chunks: a whole one that adds is the one before it, some rows on.
    if (start >= 2 * chunk && start + chunk <= rows) {
      const previous = planner.launches.slice(begin);
      begin = planner.launches.length;
      for (const launch of previous) planner.launches.push(launchOfNextChunk(launch, strides, chunk));
    } else {
      begin = planner.launches.length;
      planChunk(planner, request, parts, { hidden, weight, logits, start, rows: Math.min(chunk, rows - start) });
    }
  }
  planner.note(
    "kernel",
    `logits exist for ${Math.min(chunk, rows)} of ${rows} rows at a time (chunks: ${Math.ceil(rows / chunk)})`,
  );
}

/** What has rows of its own for every chunk, and bytes from one to the next. */
function rowStrides(planner: NodePlanner, request: LinearCrossEntropyRequest): ReadonlyMap<PlannedTensor, number> {
  const { hidden, targets, losses, gradient } = request;
  const rows = [planner.input(hidden), ...(gradient === undefined ? [] : [planner.output(gradient.dHidden)])];
  const values = [planner.input(targets), planner.output(losses)];
  return new Map([
    ...rows.map((tensor) => [tensor, pitchBytes(tensor)] as const),
    ...values.map((tensor) => [tensor, elementBytes(tensor)] as const),
  ]);
}

function launchOfNextChunk(launch: Launch, strides: ReadonlyMap<PlannedTensor, number>, chunk: number): Launch {
  const operands = launch.operands.map((operand) => {
    const stride = operand.kind === "tensor" ? strides.get(operand.tensor) : undefined;
    if (operand.kind !== "tensor" || stride === undefined) return operand;
    return { ...operand, offset: operand.offset + chunk * stride };
  });
  return { ...launch, operands };
}

function planChunk(
  planner: NodePlanner,
  request: LinearCrossEntropyRequest,
  { launchProduct, launchLoss }: HeadAndLoss,
  chunk: Chunk,
): void {
  const { hidden, weight, logits, start, rows } = chunk;
  const { gradient } = request;
  const hiddenOffset = start * pitchBytes(hidden);
  const plain = { addend: undefined, first: undefined, isPart: false, count: fixed(rows) };
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
  launchProduct(planner, {
    ...plain,
    form: "NN",
    isPart: true,
    a: logits,
    b: weight,
    out: dHidden,
    offsets: { a: 0, b: 0, out: start * pitchBytes(dHidden) },
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
