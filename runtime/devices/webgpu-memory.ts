// A model's memory on a GPU: a buffer per arena, and staging buffers for what is read; and whether the adapter has room.

import type { Manifest, ManifestTensor } from "../contract.ts";
import { tensorBytes, tensorsOf } from "../memory-map.ts";
import * as messages from "../messages/webgpu.ts";
import { arenaBytes, scalarArena, storageOf } from "./webgpu-operands.ts";
import { type GpuResources, usage } from "./webgpu-resources.ts";

/** So many readings may be under way at once; more wait. */
const numStaging = 4;

/** A staging buffer's bytes: enough to read parameters in few pieces, and not the logits of a whole context at once. */
const leastStaging = 1 << 22;
const mostStaging = 1 << 24;

export interface ModelMemory {
  readonly arenas: ReadonlyMap<string, GPUBuffer>;
  readonly staging: readonly GPUBuffer[];
  readonly stagingBytes: number;
}

/** Errors: `device/does-not-fit`, `device/allocation-failed`. */
export async function allocate(manifest: Manifest, resources: GpuResources, adapter: string): Promise<ModelMemory> {
  checkLimits(manifest, resources.device.limits, adapter);
  const arenas = new Map<string, GPUBuffer>();
  for (const [name, bytes] of Object.entries(manifest.arenas)) {
    const flags = usage.storage | usage.copySource | usage.copyTarget;
    arenas.set(name, await resources.buffer(`arena ${name}`, arenaBytes(bytes), flags));
  }
  const stagingBytes = Math.min(mostStaging, Math.max(leastStaging, resultBytes(manifest)));
  const staging: GPUBuffer[] = [];
  for (let i = 0; i < numStaging; i++) {
    staging.push(await resources.buffer(`staging ${i}`, stagingBytes, usage.mapRead | usage.copyTarget));
  }
  return { arenas, staging, stagingBytes };
}

/** Bytes of what the largest program is run for, with all scalars. */
function resultBytes(manifest: Manifest): number {
  const results = manifest.programs.map((program) => {
    const tensors = tensorsOf(manifest, program);
    const found = Object.values(program.results).flatMap((name) => tensors.get(name) ?? []);
    return found.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  });
  return Math.ceil((Math.max(0, ...results) + (manifest.arenas[scalarArena] ?? 0)) / 256) * 256;
}

function checkLimits(manifest: Manifest, limits: GPUSupportedLimits, adapter: string): void {
  for (const [name, bytes] of Object.entries(manifest.arenas)) {
    if (bytes > limits.maxBufferSize) {
      throw messages.doesNotFit(manifest.name, `its ${name}`, bytes, limits.maxBufferSize, adapter);
    }
  }
  for (const program of manifest.programs) {
    const tensors = tensorsOf(manifest, program);
    for (const tensor of tensors.values()) checkPitch(tensor);
    for (const launch of program.waves.flat()) {
      for (const { tensor, bytes } of storageOf(launch, tensors, manifest.arenas)) {
        const most = limits.maxStorageBufferBindingSize;
        if (bytes > most) throw messages.doesNotFit(manifest.name, `tensor ${tensor}`, bytes, most, adapter);
      }
    }
  }
}

/** Rows begin at whole words: nothing else can be written or copied. */
function checkPitch({ name, dtype, layout }: ManifestTensor): void {
  if (dtype === "bf16" && layout.kind === "rows" && layout.rows > 1 && layout.pitch % 2 === 1) {
    throw new RangeError(`tensor ${name} has rows of ${layout.pitch} bf16, which is no whole number of words`);
  }
}
