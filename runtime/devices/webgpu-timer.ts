// The GPU's own clock: how long one pass takes there, where the adapter can tell.

import { type GpuResources, mapToRead, usage } from "./webgpu-resources.ts";

const clockBytes = 16;

export class GpuTimer {
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;

  private constructor(queries: GPUQuerySet, resolved: GPUBuffer) {
    this.#queries = queries;
    this.#resolved = resolved;
  }

  /** Undefined where the adapter has no clock. */
  static async create(resources: GpuResources): Promise<GpuTimer | undefined> {
    const { device } = resources;
    if (!device.features.has("timestamp-query")) return undefined;
    const queries = device.createQuerySet({ label: "clock", type: "timestamp", count: 2 });
    return new GpuTimer(queries, await resources.buffer("clock", clockBytes, usage.queryResolve | usage.copySource));
  }

  get passDescriptor(): GPUComputePassDescriptor {
    const timestampWrites = { querySet: this.#queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    return { timestampWrites };
  }

  /** Encodes the copy of the pass's two times into a staging buffer. */
  encode(encoder: GPUCommandEncoder, staging: GPUBuffer): void {
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, clockBytes);
  }

  /** Milliseconds of the pass, once it is over. */
  async read(staging: GPUBuffer): Promise<number> {
    await staging.mapAsync(mapToRead, 0, clockBytes);
    const [begin, end] = new BigUint64Array(staging.getMappedRange(0, clockBytes));
    const nanoseconds = Number(end - begin);
    staging.unmap();
    return nanoseconds / 1e6;
  }
}
