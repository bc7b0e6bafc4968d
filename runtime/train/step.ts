// One training step on a device: its micro-batches, then the update. Knows no schedule, no file and no text.

import type { ManifestTraining } from "../contract.ts";
import type { Batch } from "../data/batches.ts";
import type { Device } from "../device.ts";
import { recheck } from "./recheck.ts";

export interface StepSettings {
  readonly learningRate: number;
  /** Bound of the global gradient norm; undefined: none. */
  readonly clip: number | undefined;
  /** Values of the manifest's schedules, in the order of `stepValues`; those that are left out are 0. */
  readonly values?: readonly number[];
  /** The step's number, where its gradients are computed twice and compared: see `recheck`. */
  readonly recheckedStep?: number;
}

export interface StepOutcome {
  /** Mean over the unmasked targets of the whole step; 0 when there are none. */
  readonly loss: number;
  readonly targets: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Means of the other losses, by the name in the manifest, without their coefficients. */
  readonly losses: Readonly<Record<string, number>>;
  /** Choices per expert, in the order of the manifest's routers. */
  readonly loads: readonly Float32Array[];
  /** Its gradients were not finite, so it changed no parameter and no moment. */
  readonly isSkipped: boolean;
}

/** A step that the device was given; with a queue of its own it may not have begun. */
export interface StartedStep {
  readonly outcome: Promise<StepOutcome>;
}

/** Runs a step to its end; the batch holds whole micro-batches. */
export async function runStep(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
  settings: StepSettings,
): Promise<StepOutcome> {
  const { outcome } = await startStep(device, training, batch, settings);
  return outcome;
}

/**
 * Gives the device a step. All that the host wants to know of it comes back in one reading, behind the update.
 *
 * Errors: `device/results-differ` where it is rechecked.
 */
export async function startStep(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
  { learningRate, clip, values = [], recheckedStep }: StepSettings,
): Promise<StartedStep> {
  const targets = countTargets(batch);
  const counts = { step: 1, token: batch.rows * training.sequence, mtp_target: countMtpTargets(training, batch) };
  training.stepValues.forEach(({ tensor, per, terms }, i) => {
    device.write(tensor, Float32Array.of((values[i] ?? 0) / (terms * Math.max(1, counts[per]))));
  });
  const runMicroBatches = async (): Promise<void> => {
    for (let row = 0; row < batch.rows; row += training.micro) {
      writeMicroBatch(device, training, batch, row, targets);
      await device.run("micro_step");
    }
  };
  await runMicroBatches();
  if (recheckedStep !== undefined) await recheck(device, training, recheckedStep, runMicroBatches);
  device.write("step.learning_rate", Float32Array.of(learningRate));
  device.write("step.clip", Float32Array.of(clip ?? 0));
  const { gradient_norm: norm, finite } = resultsOf(device, "update");
  const wanted = ["metrics.loss", norm, finite, ...tensorsOf(training.losses), ...tensorsOf(training.loads)];
  const outcome = device
    .runAndRead(
      "update",
      {},
      wanted.map((tensor) => ({ tensor })),
    )
    .then((read): StepOutcome => {
      const [[sum], [gradientNorm], [wasFinite], ...others] = read;
      const sums = others.slice(0, training.losses.length);
      const means = training.losses.map(({ name, per, terms }, i) => [
        name,
        sums[i][0] / (terms * Math.max(1, counts[per])),
      ]);
      return {
        loss: targets === 0 ? 0 : sum / targets,
        targets,
        losses: Object.fromEntries(means),
        loads: others.slice(training.losses.length),
        gradientNorm,
        isSkipped: wasFinite === 0,
      };
    });
  // Whoever awaits it is told of a failure; until then it is nobody's that was forgotten.
  outcome.catch(() => {});
  return { outcome };
}

const tensorsOf = (list: readonly { readonly tensor: string }[]): string[] => list.map(({ tensor }) => tensor);

/** Writes the micro-batch that begins at a row, and the scalars that tell its place in the step. */
export function writeMicroBatch(
  device: Device,
  { micro, sequence, mtpDepth }: ManifestTraining,
  batch: Batch,
  row: number,
  targets: number,
): void {
  const [begin, end] = [row * sequence, (row + micro) * sequence];
  for (const name of ["tokens", "targets", "documents", "positions"] as const) {
    device.write(name, batch[name].subarray(begin, end));
  }
  for (let depth = 0; depth < mtpDepth; depth++) {
    const ahead = tokensAhead(batch, sequence, begin, end, depth);
    device.write(`mtp.${depth}.tokens`, ahead.tokens);
    device.write(`mtp.${depth}.targets`, ahead.targets);
  }
  // Without any target every gradient is 0, whatever it is divided by.
  device.write("step.inverse_targets", Float32Array.of(1 / Math.max(1, targets)));
  device.write("step.first", Float32Array.of(row === 0 ? 1 : 0));
}

/** For each position the token that module `depth` reads, and the one that it predicts; -1 beyond the sequence. */
function tokensAhead(batch: Batch, sequence: number, begin: number, end: number, depth: number) {
  const tokens = new Int32Array(end - begin);
  const targets = new Int32Array(end - begin).fill(-1);
  for (let at = begin; at < end; at++) {
    const last = begin + (Math.floor((at - begin) / sequence) + 1) * sequence - 1;
    const read = at + 1 + depth;
    tokens[at - begin] = read <= last ? batch.tokens[read] : Math.max(0, batch.targets[last]);
    if (read <= last) targets[at - begin] = batch.targets[read];
  }
  return { tokens, targets };
}

/** Targets of the first module: of a sequence all but its first. */
function countMtpTargets({ sequence, mtpDepth }: ManifestTraining, { targets }: Batch): number {
  if (mtpDepth === 0) return 0;
  return targets.reduce((count, target, at) => count + (target >= 0 && at % sequence > 0 ? 1 : 0), 0);
}

export const countTargets = ({ targets }: Batch): number =>
  targets.reduce((count, target) => count + (target >= 0 ? 1 : 0), 0);

/** Names of the tensors that hold a program's results. */
function resultsOf(device: Device, program: string): Readonly<Record<string, string>> {
  const found = device.manifest.programs.find(({ name }) => name === program);
  if (found === undefined) throw new RangeError(`${device.manifest.name} has no program ${program}`);
  return found.results;
}
