// One training step on a device: its micro-batches, then the update. Knows no schedule, no file and no text.

import type { ManifestTraining } from "../contract.ts";
import type { Batch } from "../data/batches.ts";
import type { Device } from "../device.ts";

export interface StepSettings {
  readonly learningRate: number;
  /** Bound of the global gradient norm; undefined: none. */
  readonly clip: number | undefined;
}

export interface StepOutcome {
  /** Mean over the unmasked targets of the whole step; 0 when there are none. */
  readonly loss: number;
  readonly targets: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Its gradients were not finite, so it changed no parameter and no moment. */
  readonly isSkipped: boolean;
}

/** Runs a step; the batch holds whole micro-batches. */
export async function runStep(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
  { learningRate, clip }: StepSettings,
): Promise<StepOutcome> {
  const targets = countTargets(batch);
  for (let row = 0; row < batch.rows; row += training.micro) {
    writeMicroBatch(device, training, batch, row, targets);
    await device.run("micro_step");
  }
  device.write("step.learning_rate", Float32Array.of(learningRate));
  device.write("step.clip", Float32Array.of(clip ?? 0));
  const [sum] = await device.read("metrics.loss");
  await device.run("update");
  const { gradient_norm: norm, finite } = resultsOf(device, "update");
  const [gradientNorm] = await device.read(norm, { program: "update" });
  const [wasFinite] = await device.read(finite, { program: "update" });
  return { loss: targets === 0 ? 0 : sum / targets, targets, gradientNorm, isSkipped: wasFinite === 0 };
}

/** Writes the micro-batch that begins at a row, and the scalars that tell its place in the step. */
export function writeMicroBatch(
  device: Device,
  { micro, sequence }: ManifestTraining,
  batch: Batch,
  row: number,
  targets: number,
): void {
  const [begin, end] = [row * sequence, (row + micro) * sequence];
  for (const name of ["tokens", "targets", "documents", "positions"] as const) {
    device.write(name, batch[name].subarray(begin, end));
  }
  // Without any target every gradient is 0, whatever it is divided by.
  device.write("step.inverse_targets", Float32Array.of(1 / Math.max(1, targets)));
  device.write("step.first", Float32Array.of(row === 0 ? 1 : 0));
}

export const countTargets = ({ targets }: Batch): number =>
  targets.reduce((count, target) => count + (target >= 0 ? 1 : 0), 0);

/** Names of the tensors that hold a program's results. */
function resultsOf(device: Device, program: string): Readonly<Record<string, string>> {
  const found = device.manifest.programs.find(({ name }) => name === program);
  if (found === undefined) throw new RangeError(`${device.manifest.name} has no program ${program}`);
  return found.results;
}
