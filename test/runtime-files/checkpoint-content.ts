// Checkpoints for tests: small, different for every step, and checked number by number when they are read back.

import { expect } from "vitest";
import type { Disk } from "../../runtime/files/disk.ts";
import { type FoundCheckpoint, findLatestCheckpoint } from "../../runtime/files/find-checkpoint.ts";
import { tensorFromArray } from "../../runtime/files/safetensors-writer.ts";
import type { CheckpointContent } from "../../runtime/files/save-checkpoint.ts";

function weights(step: number, length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.fround(step + i / 7));
}

/** The content of a step; `variant` tells two runs of the same step apart. */
export function contentOf(step: number, length = 12, variant = 0): CheckpointContent {
  return {
    step,
    files: [
      {
        name: "parameters",
        tensors: [
          tensorFromArray("embedding.weight", [length / 4, 4], weights(step + variant, length)),
          tensorFromArray("layers.0.norm.gain", [4], weights(step + variant, 4)),
        ],
      },
      {
        name: "optimizer",
        tensors: [tensorFromArray("m/embedding.weight", [length], weights(-step - variant, length))],
      },
    ],
    state: { step, sequencesConsumed: step * 8, variant },
  };
}

/** Reads the newest complete checkpoint and checks that every number in it is the one that was saved. */
export async function readNewest(
  disk: Disk,
  runFolder: string,
): Promise<FoundCheckpoint & { step: number | undefined; variant: number }> {
  const found = await findLatestCheckpoint(disk, runFolder);
  if (found.latest === undefined) return { ...found, step: undefined, variant: 0 };
  const { step } = found.latest;
  const state = (await found.latest.readState()) as { step: number; sequencesConsumed: number; variant: number };
  expect(state).toEqual({ step, sequencesConsumed: step * 8, variant: state.variant });
  await found.latest.readTensors("parameters", async (file) => {
    const shape = file.tensor("embedding.weight").shape;
    const out = new Float32Array(shape[0] * shape[1]);
    await file.readFloats("embedding.weight", out);
    expect(out).toEqual(weights(step + state.variant, out.length));
  });
  await found.latest.readTensors("optimizer", async (file) => {
    const out = new Float32Array(file.tensor("m/embedding.weight").shape[0]);
    await file.readFloats("m/embedding.weight", out);
    expect(out).toEqual(weights(-step - state.variant, out.length));
  });
  return { ...found, step, variant: state.variant };
}
