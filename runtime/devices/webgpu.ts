// The WebGPU device: a model's arenas as buffers, and its programs as one pass and one submit each. Runs in pages and, with
// a GPU object from elsewhere, in Node; after opening it makes nothing more on the GPU.

import type { Manifest, ManifestTensor } from "../contract.ts";
import type { Counts, Device, DeviceName, LaunchReport, ReadOptions, WantedTensor } from "../device.ts";
import { elementCount, tensorsOf } from "../memory-map.ts";
import * as messages from "../messages/device.ts";
import * as gpuMessages from "../messages/webgpu.ts";
import { describeAdapter, requestAdapter, requestDevice } from "./webgpu-adapter.ts";
import { createPipelines, type ReadText } from "./webgpu-kernels.ts";
import { allocate, type ModelMemory } from "./webgpu-memory.ts";
import { type PlacedProgram, placePrograms } from "./webgpu-programs.ts";
import { type Batch, Readback, type WantedValues } from "./webgpu-readback.ts";
import { type DeviceStatistics, GpuResources } from "./webgpu-resources.ts";
import { Turns } from "./webgpu-turns.ts";
import { writeRows } from "./webgpu-write.ts";

export interface WebGpuOptions {
  /** `navigator.gpu`, or what stands for it in Node. */
  readonly gpu: GPU;
  /** Takes an adapter that computes on the CPU, and no other. */
  readonly isSoftware: boolean;
}

/** What the device is besides a device: for tests and measurements. */
export interface WebGpuDevice extends Device {
  readonly statistics: Readonly<DeviceStatistics>;
  readonly gpuDevice: GPUDevice;
}

/**
 * Opens a model that was compiled for wgsl; `readText` reads its kernels' files.
 *
 * Errors: `device/no-adapter`, `device/software-adapter`, `device/does-not-fit`, `device/allocation-failed`,
 * `device/kernel-refused`, `device/too-many-bindings`.
 */
export async function openWebGpu(
  manifest: Manifest,
  readText: ReadText,
  { gpu, isSoftware }: WebGpuOptions,
): Promise<WebGpuDevice> {
  const adapter = await requestAdapter(gpu, isSoftware);
  const name = isSoftware ? "webgpu:software" : "webgpu";
  const description = `${name}, ${describeAdapter(adapter.info)}`;
  const device = await requestDevice(adapter, manifest.name);
  const resources = new GpuResources(device, manifest.name);
  try {
    const memory = await allocate(manifest, resources, description);
    const pipelineOf = await createPipelines(manifest, resources, readText);
    const programs = await placePrograms({ manifest, resources, arenas: memory.arenas, pipelineOf });
    return new OpenedDevice({ manifest, name, description, resources, memory, programs });
  } catch (error) {
    resources.destroy();
    device.destroy();
    throw error;
  }
}

interface DeviceParts {
  readonly manifest: Manifest;
  readonly name: DeviceName;
  readonly description: string;
  readonly resources: GpuResources;
  readonly memory: ModelMemory;
  readonly programs: ReadonlyMap<string, PlacedProgram>;
}

class OpenedDevice implements WebGpuDevice {
  readonly isQueued = true;
  readonly manifest: Manifest;
  readonly name: DeviceName;
  readonly description: string;
  readonly memoryBytes: number;
  readonly statistics: DeviceStatistics;
  readonly gpuDevice: GPUDevice;
  readonly #resources: GpuResources;
  readonly #memory: ModelMemory;
  readonly #programs: ReadonlyMap<string, PlacedProgram>;
  readonly #persistent: ReadonlyMap<string, ManifestTensor>;
  readonly #turns: Turns;
  #failure: Error | undefined;
  #lastProgram = "";
  #isStepping = false;

  constructor({ manifest, name, description, resources, memory, programs }: DeviceParts) {
    this.manifest = manifest;
    this.name = name;
    this.description = description;
    this.memoryBytes = resources.bytes;
    this.statistics = resources.statistics;
    this.gpuDevice = resources.device;
    this.#resources = resources;
    this.#memory = memory;
    this.#programs = programs;
    this.#persistent = tensorsOf(manifest);
    this.#turns = new Turns(memory.staging);
    const { device } = resources;
    device.addEventListener("uncapturederror", ({ error }) =>
      this.#fail(gpuMessages.runFailed(this.#lastProgram, error.message)),
    );
    void device.lost.then(({ reason, message }) => this.#fail(gpuMessages.lost(description, reason, message)));
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#turns.abandon(error);
  }

  #checkWorks(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #placed(program: string): PlacedProgram {
    const placed = this.#programs.get(program);
    if (placed === undefined) throw new RangeError(`${this.manifest.name} has no program ${program}`);
    return placed;
  }

  #tensor(name: string, program?: string): ManifestTensor {
    const tensors = program === undefined ? this.#persistent : this.#placed(program).tensors;
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new RangeError(`${this.manifest.name} has no tensor ${name}`);
    return tensor;
  }

  #wanted({ tensor: name, program, first = 0, count }: WantedTensor): WantedValues {
    const tensor = this.#tensor(name, program);
    return { tensor, first, count: count ?? elementCount(tensor) };
  }

  #arena({ arena, name }: ManifestTensor): GPUBuffer {
    const buffer = this.#memory.arenas.get(arena);
    if (buffer === undefined) throw new RangeError(`tensor ${name} lies in unknown arena ${arena}`);
    return buffer;
  }

  async run(program: string, counts: Counts = {}): Promise<void> {
    const placed = this.#checkRun(program);
    await this.#turns.take(() => this.#submit(placed, counts, undefined, undefined));
    this.#checkWorks();
  }

  async runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]> {
    const placed = this.#checkRun(program);
    const readback = new Readback(
      wanted.map((each) => this.#wanted({ program, ...each })),
      this.#memory.stagingBytes,
    );
    const [only, ...others] = readback.batches;
    if (only === undefined || others.length > 0) {
      const submitted = this.#turns.take(() => this.#submit(placed, counts, undefined, undefined));
      await Promise.all([submitted, this.#readBatches(readback)]);
    } else {
      await this.#turns.takeSlot((slot) => {
        this.#submit(placed, counts, only, slot);
        return this.#arrive(readback, only, slot);
      });
    }
    this.#checkWorks();
    return readback.values();
  }

  #checkRun(program: string): PlacedProgram {
    this.#checkWorks();
    if (this.#isStepping) throw messages.busy(this.manifest.name);
    return this.#placed(program);
  }

  /** Encodes and submits a program, and copies of what is read after it. */
  #submit(placed: PlacedProgram, counts: Counts, batch: Batch | undefined, slot: GPUBuffer | undefined): void {
    const start = performance.now();
    const { device } = this.#resources;
    this.#lastProgram = placed.program.name;
    placed.follow(counts, device.queue);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    placed.encode(pass);
    pass.end();
    if (batch !== undefined && slot !== undefined) Readback.encode(batch, encoder, this.#memory.arenas, slot);
    this.#resources.submit(encoder);
    this.statistics.encodeMilliseconds += performance.now() - start;
  }

  /** Copies batch after batch into staging buffers. */
  async #readBatches(readback: Readback): Promise<void> {
    await Promise.all(
      readback.batches.map((batch) =>
        this.#turns.takeSlot((slot) => {
          const encoder = this.#resources.device.createCommandEncoder();
          Readback.encode(batch, encoder, this.#memory.arenas, slot);
          this.#resources.submit(encoder);
          return this.#arrive(readback, batch, slot);
        }),
      ),
    );
  }

  async #arrive(readback: Readback, batch: Batch, slot: GPUBuffer): Promise<void> {
    try {
      await readback.arrive(batch, slot);
    } catch (error) {
      throw this.#failure ?? error;
    }
    this.#turns.giveBack(slot);
  }

  async runStepwise(
    program: string,
    counts: Counts,
    after: (launch: LaunchReport) => Promise<void> | void,
  ): Promise<void> {
    const placed = this.#checkRun(program);
    this.#isStepping = true;
    try {
      for (const [index, launch] of placed.launches.entries()) {
        const milliseconds = await this.#step(placed, counts, index);
        const operands = launch.operands.flatMap((operand) =>
          operand !== null && "tensor" in operand ? [operand.tensor] : [],
        );
        const kernel = this.manifest.kernels[launch.kernel].name;
        await after({ index, path: launch.path, kernel, operands, milliseconds });
      }
    } finally {
      this.#isStepping = false;
    }
  }

  /** Runs one launch to its end. */
  async #step(placed: PlacedProgram, counts: Counts, index: number): Promise<number> {
    const { device } = this.#resources;
    const start = performance.now();
    await this.#turns.take(() => {
      this.#lastProgram = placed.program.name;
      placed.follow(counts, device.queue);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      placed.encode(pass, index, index + 1);
      pass.end();
      this.#resources.submit(encoder);
    });
    await device.queue.onSubmittedWorkDone();
    this.#checkWorks();
    return performance.now() - start;
  }

  write(name: string, data: Float32Array | Int32Array, first = 0): void {
    this.#checkWorks();
    const tensor = this.#tensor(name);
    const { queue } = this.#resources.device;
    const arena = this.#arena(tensor);
    if (this.#turns.isIdle) {
      writeRows(queue, arena, tensor, data, first);
      return;
    }
    // The caller may change its values before their turn comes.
    const values = data.slice();
    this.#turns.take(() => writeRows(queue, arena, tensor, values, first)).catch((error) => this.#fail(error));
  }

  async read(name: string, options: ReadOptions = {}): Promise<Float32Array> {
    this.#checkWorks();
    const readback = new Readback([this.#wanted({ tensor: name, ...options })], this.#memory.stagingBytes);
    await this.#readBatches(readback);
    this.#checkWorks();
    return readback.values()[0];
  }

  async close(): Promise<void> {
    this.#fail(messages.closed(this.manifest.name));
    this.#resources.destroy();
    this.#resources.device.destroy();
  }
}
