// The tensors of a training state between device and checkpoint: parameters, moments, and the optimiser's scalars.

import type { ManifestParameter } from "../contract.ts";
import type { Device } from "../device.ts";
import type { Checkpoint } from "../files/find-checkpoint.ts";
import { type TensorSource, tensorFromArray } from "../files/safetensors-writer.ts";
import type { CheckpointContent } from "../files/save-checkpoint.ts";
import { nonFiniteState } from "../messages/train.ts";
import { readWeights } from "../weights.ts";
import type { RunState } from "./run-state.ts";

export const parametersFile = "parameters";
const optimizerFile = "optimizer";

type Scalars = Pick<RunState, "correction1" | "correction2" | "skipped">;
const scalarNames = ["correction1", "correction2", "skipped"] as const;

/** The moments of all parameters, as tensors of the parameters' shapes. */
function momentsOf(parameters: readonly ManifestParameter[]): ManifestParameter[] {
  return parameters.flatMap((parameter) => (parameter.moments ?? []).map((name) => ({ ...parameter, name })));
}

/** Tensors in the checkpoint's names, row by row; each is read from the device when its turn comes. */
export function checkpointFiles(device: Device): CheckpointContent["files"] {
  const { parameters } = device.manifest;
  const source = ({ name, dims }: ManifestParameter): TensorSource => ({
    ...tensorFromArray(name, dims, new Float32Array(0)),
    read: async () => {
      const values = await device.read(name);
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  });
  return [
    { name: parametersFile, tensors: parameters.map(source) },
    { name: optimizerFile, tensors: momentsOf(parameters).map(source) },
  ];
}

/** Errors: `train/non-finite-state` with the tensor: such a state is never saved. */
export async function checkFinite(device: Device, lastCheckpoint: string | undefined): Promise<void> {
  const { parameters } = device.manifest;
  for (const { name, path } of [...parameters, ...momentsOf(parameters)]) {
    const values = await device.read(name);
    const index = values.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) throw nonFiniteState(path, `${name} holds ${values[index]} at element ${index}`, lastCheckpoint);
  }
}

/** The weights of a checkpoint, checked as a whole. */
export function readParameters(
  checkpoint: Checkpoint,
  parameters: readonly ManifestParameter[],
): Promise<[string, Float32Array][]> {
  const path = `${checkpoint.folder}/${parametersFile}.safetensors`;
  return checkpoint.readTensors(parametersFile, (file) => readWeights(file, path, parameters));
}

/** Puts the optimiser where the checkpoint left it. */
export async function restoreOptimizer(device: Device, checkpoint: Checkpoint, state: RunState): Promise<void> {
  const moments = momentsOf(device.manifest.parameters);
  const path = `${checkpoint.folder}/${optimizerFile}.safetensors`;
  const values = await checkpoint.readTensors(optimizerFile, (file) => readWeights(file, path, moments));
  for (const [name, data] of values) device.write(name, data);
  for (const name of scalarNames) device.write(`optimizer.${name}`, Float32Array.of(state[name]));
}

/** Puts the optimiser where a run begins. */
export function clearOptimizer(device: Device): void {
  for (const { name, dims } of momentsOf(device.manifest.parameters)) {
    device.write(name, new Float32Array(dims.reduce((count, size) => count * size, 1)));
  }
  for (const name of scalarNames) device.write(`optimizer.${name}`, Float32Array.of(0));
}

/** Every f32 is a JavaScript number, and JSON gives that back exactly. */
export async function readScalars(device: Device): Promise<Scalars> {
  const [[correction1], [correction2], [skipped]] = await Promise.all(
    scalarNames.map((name) => device.read(`optimizer.${name}`)),
  );
  return { correction1, correction2, skipped };
}
