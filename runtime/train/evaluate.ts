// The loss of a model on text that it is not trained on, and how evenly that text uses its experts.

import type { ManifestTraining } from "../contract.ts";
import { type Batch, checkValidationLength, countEvaluationWindows, evaluationBatch } from "../data/batches.ts";
import type { TokenStream } from "../data/token-stream.ts";
import type { Device } from "../device.ts";
import { type ExpertUse, expertUse } from "./expert-loads.ts";
import { countTargets, writeMicroBatch } from "./step.ts";

export interface Evaluation {
  /** Mean over the tokens, in nats. */
  readonly loss: number;
  /** Tokens that were predicted: all but the first. */
  readonly tokens: number;
  /** Of all sequences that are whole; absent without experts or without such a sequence. */
  readonly experts?: ExpertUse;
}

/** Every token but the first counts once; the sum is taken in f64, so it does not depend on how many there are. */
export async function evaluateStream(
  device: Device,
  training: ManifestTraining,
  stream: TokenStream,
): Promise<Evaluation> {
  checkValidationLength(stream);
  const { sequence, micro } = training;
  const windows = countEvaluationWindows(stream, sequence);
  const wholeWindows = Math.floor((stream.tokens.length - 1) / sequence);
  const loads = training.loads.map(({ experts }) => new Float64Array(experts));
  let sum = 0;
  let tokens = 0;
  const take = (evaluated: Evaluated): void => {
    sum += evaluated.sum;
    addLoads(loads, evaluated.loads);
  };
  let issued: Promise<Evaluated> | undefined;
  for (let first = 0; first < windows; first += micro) {
    const batch = evaluationBatch(stream, sequence, first, micro);
    tokens += countTargets(batch);
    const next = evaluateBatch(device, training, batch, Math.min(micro, wholeWindows - first));
    // Should the one before it fail, this one's failure is the same.
    next.catch(() => {});
    // A device with a queue works on a micro-batch while the host makes the one behind it.
    if (!device.isQueued) await next;
    if (issued !== undefined) take(await issued);
    issued = next;
  }
  if (issued !== undefined) take(await issued);
  const experts = wholeWindows === 0 ? undefined : expertUse(training, loads);
  return { loss: sum / tokens, tokens, ...(experts === undefined ? {} : { experts }) };
}

/** A micro-batch's sum of losses, and its choices per expert in the order of the manifest's routers. */
interface Evaluated {
  readonly sum: number;
  readonly loads: readonly Float32Array[];
}

/** Evaluates a micro-batch; its choices are those of its first `rows` rows, which are whole sequences. */
async function evaluateBatch(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
  rows: number,
): Promise<Evaluated> {
  const { sum, loads } = await runOnce(device, training, batch);
  if (rows === batch.rows || training.loads.length === 0) return { sum, loads };
  return { sum, loads: await loadsOfRows(device, training, batch, rows) };
}

async function runOnce(device: Device, training: ManifestTraining, batch: Batch): Promise<Evaluated> {
  writeMicroBatch(device, training, batch, 0, 0);
  const wanted = ["metrics.loss", ...training.loads.map(({ tensor }) => tensor)].map((tensor) => ({ tensor }));
  const [[sum], ...loads] = await device.runAndRead("evaluate", {}, wanted);
  return { sum, loads };
}

/**
 * Choices of the first rows of a micro-batch.
 *
 * Padding chooses experts too and cannot be told apart in the counts. So rows with padding are replaced by the first row,
 * and a micro-batch of that row alone says what they added: no row's choices depend on another row.
 */
async function loadsOfRows(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
  rows: number,
): Promise<Float32Array[]> {
  if (rows <= 0) return training.loads.map(({ experts }) => new Float32Array(experts));
  const copies = batch.rows - rows;
  const ofFirst = await loadsWithFirstRow(device, training, batch, 0);
  const ofAll = await loadsWithFirstRow(device, training, batch, rows);
  return ofAll.map((loads, i) => loads.map((load, expert) => load - (copies * ofFirst[i][expert]) / batch.rows));
}

/** Choices of a micro-batch whose rows from `from` on are replaced by its first one. */
async function loadsWithFirstRow(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
  from: number,
): Promise<readonly Float32Array[]> {
  const { sequence } = training;
  const replaced = (values: Int32Array): Int32Array =>
    values.map((value, at) => (at < from * sequence ? value : values[at % sequence]));
  const { rows, tokens, targets, documents, positions } = batch;
  const same = {
    rows,
    tokens: replaced(tokens),
    targets: replaced(targets),
    documents: replaced(documents),
    positions: replaced(positions),
  };
  return (await runOnce(device, training, same)).loads;
}

function addLoads(into: readonly Float64Array[], loads: readonly Float32Array[]): void {
  into.forEach((sums, router) => {
    for (let expert = 0; expert < sums.length; expert++) sums[expert] += loads[router][expert];
  });
}
