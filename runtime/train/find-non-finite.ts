// Finds where a step first computes something that is not finite: runs it again launch by launch and looks at what each
// launch wrote. Slow; run once, when training has stopped.

import type { ManifestTensor, ManifestTraining } from "../contract.ts";
import type { Batch } from "../data/batches.ts";
import type { Device, LaunchReport } from "../device.ts";
import { elementCount } from "../memory-map.ts";
import { countTargets, writeMicroBatch } from "./step.ts";

/** Which operation, kernel and tensor; without `kernel` the tensor held it before the step. */
export interface NonFinite {
  readonly path: string;
  readonly kernel: string | undefined;
  readonly tensor: string;
}

/**
 * The first launch of the step that writes a NaN or an infinity; undefined when the step is finite.
 *
 * The step changes no parameter as long as its gradients are not finite, so it can be repeated.
 */
export async function findNonFinite(
  device: Device,
  training: ManifestTraining,
  batch: Batch,
): Promise<NonFinite | undefined> {
  const { parameters } = device.manifest;
  for (const { name, path } of parameters) {
    if (await holdsNonFinite(device, name)) return { path, kernel: undefined, tensor: name };
  }
  // What the failed step left there is not what this one computes.
  for (const parameter of parameters) clearGradient(device, parameter.gradient);
  const targets = countTargets(batch);
  for (let row = 0; row < batch.rows; row += training.micro) {
    writeMicroBatch(device, training, batch, row, targets);
    const found = await firstIn(device, "micro_step");
    if (found !== undefined) return found;
  }
  return firstIn(device, "update");
}

async function firstIn(device: Device, program: string): Promise<NonFinite | undefined> {
  const readable = readableTensors(device, program);
  let found: NonFinite | undefined;
  await device.runStepwise(program, {}, async ({ path, kernel, operands }: LaunchReport) => {
    for (const tensor of operands) {
      if (found !== undefined || !readable.has(tensor)) continue;
      if (await holdsNonFinite(device, tensor, program)) found = { path, kernel, tensor };
    }
  });
  return found;
}

/** Real numbers in rows: what the host can read. */
function readableTensors({ manifest }: Device, program: string): ReadonlySet<string> {
  const own = manifest.programs.find(({ name }) => name === program)?.tensors ?? [];
  const isReadable = ({ dtype, layout }: ManifestTensor): boolean => dtype !== "i32" && layout.kind === "rows";
  return new Set([...manifest.tensors, ...own].filter(isReadable).map(({ name }) => name));
}

async function holdsNonFinite(device: Device, tensor: string, program?: string): Promise<boolean> {
  const values = await device.read(tensor, program === undefined ? {} : { program });
  return !values.every(Number.isFinite);
}

function clearGradient(device: Device, name: string | undefined): void {
  const tensor = device.manifest.tensors.find((candidate) => candidate.name === name);
  if (name !== undefined && tensor !== undefined) device.write(name, new Float32Array(elementCount(tensor)));
}
