// The WebGPU device: a model's arenas as buffers, and its programs as one pass and one submit each. Runs in pages and, with
// a GPU object from elsewhere, in Node; after opening it makes nothing more on the GPU.

import type { Manifest, ManifestOperand, ManifestTensor } from "../contract.ts";
import type { Counts, Device, DeviceName, LaunchReport, ReadOptions, WantedTensor } from "../device.ts";
import { elementCount, tensorsOf } from "../memory-map.ts";
import * as messages from "../messages/device.ts";
import { describeAdapter, requestAdapter, requestDevice } from "./webgpu-adapter.ts";
import { GpuHealth } from "./webgpu-health.ts";
import { createPipelines, type ReadText } from "./webgpu-kernels.ts";
import { allocate, type ModelMemory } from "./webgpu-memory.ts";
import { scalarArena } from "./webgpu-operands.ts";
import { Patience } from "./webgpu-patience.ts";
import { type PlacedProgram, placePrograms, refusedLaunch } from "./webgpu-programs.ts";
import { Readback } from "./webgpu-readback.ts";
import { type DeviceStatistics, GpuResources } from "./webgpu-resources.ts";
import { GpuTimer } from "./webgpu-timer.ts";
import { Turns } from "./webgpu-turns.ts";
import { Watchdog } from "./webgpu-watchdog.ts";
import { checkWrite, writeRows } from "./webgpu-write.ts";

export interface WebGpuOptions {
  /** `navigator.gpu`, or what stands for it in Node. */
  readonly gpu: GPU;
  /** Takes an adapter that computes on the CPU, and no other. */
  readonly isSoftware: boolean;
  /** Seconds behind which a GPU that does not end its work is given up; see HostedOptions. */
  readonly deadlineSeconds?: number;
}

/** A device that hangs is kept: collected, it would wait for its work, and the process with it. */
const hungDevices: GPUDevice[] = [];

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
  { gpu, isSoftware, deadlineSeconds }: WebGpuOptions,
): Promise<WebGpuDevice> {
  const adapter = await requestAdapter(gpu, isSoftware);
  const name = isSoftware ? "webgpu:software" : "webgpu";
  const description = `${name}, ${describeAdapter(adapter.info)}`;
  const device = await requestDevice(adapter, manifest.name);
  const health = new GpuHealth(device, description);
  const resources = new GpuResources(device, manifest.name, gpu.wgslLanguageFeatures);
  try {
    const memory = await allocate(manifest, resources, description);
    const timer = await GpuTimer.create(resources);
    const pipelineOf = await createPipelines(manifest, resources, readText, isSoftware);
    const programs = await placePrograms({ manifest, resources, arenas: memory.arenas, pipelineOf });
    health.check();
    const watchdog = new Watchdog({ manifest, description, isSoftware, deadlineSeconds });
    return new OpenedDevice({ manifest, name, description, resources, health, memory, timer, programs, watchdog });
  } catch (error) {
    const reason = await health.reasonOf(error);
    health.fail(messages.closed(manifest.name));
    resources.destroy();
    device.destroy();
    throw reason;
  }
}

interface DeviceParts {
  readonly manifest: Manifest;
  readonly name: DeviceName;
  readonly description: string;
  readonly resources: GpuResources;
  readonly health: GpuHealth;
  readonly memory: ModelMemory;
  readonly timer: GpuTimer | undefined;
  readonly programs: ReadonlyMap<string, PlacedProgram>;
  readonly watchdog: Watchdog;
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
  readonly #health: GpuHealth;
  readonly #memory: ModelMemory;
  readonly #timer: GpuTimer | undefined;
  readonly #programs: ReadonlyMap<string, PlacedProgram>;
  readonly #persistent: ReadonlyMap<string, ManifestTensor>;
  readonly #turns: Turns;
  readonly #watchdog: Watchdog;
  readonly #patience = new Patience();
  #isStepping = false;

  constructor({ manifest, name, description, resources, health, memory, timer, programs, watchdog }: DeviceParts) {
    this.manifest = manifest;
    this.name = name;
    this.description = description;
    this.memoryBytes = resources.bytes;
    this.statistics = resources.statistics;
    this.gpuDevice = resources.device;
    this.#resources = resources;
    this.#health = health;
    this.#memory = memory;
    this.#timer = timer;
    this.#programs = programs;
    this.#persistent = tensorsOf(manifest);
    this.#turns = new Turns(memory.staging);
    this.#watchdog = watchdog;
    watchdog.onFailure = (error) => {
      if (watchdog.isHung) hungDevices.push(this.gpuDevice);
      health.fail(error);
    };
    health.atWork = () => watchdog.atWork?.describe(manifest);
    health.onFailure = (error) => {
      this.#turns.abandon(error);
      watchdog.stop(error);
    };
  }

  get onWarning(): (sentence: string) => void {
    return this.#watchdog.onWarning;
  }

  set onWarning(tell: (sentence: string) => void) {
    this.#watchdog.onWarning = tell;
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

  #readback(wanted: readonly WantedTensor[]): Readback {
    const values = wanted.map(({ tensor: name, program, first = 0, count }) => {
      const tensor = this.#tensor(name, program);
      return { tensor, first, count: count ?? elementCount(tensor) };
    });
    return new Readback(values, this.#memory.stagingBytes);
  }

  async run(program: string, counts: Counts = {}): Promise<void> {
    const placed = this.#checkRun(program);
    await this.#turns.take(() => void this.#submit(placed, counts, () => {}));
    this.#health.check();
  }

  async runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]> {
    const placed = this.#checkRun(program);
    const readback = this.#readback(wanted.map((each) => ({ program, ...each })));
    const [only, ...others] = readback.batches;
    if (only !== undefined && others.length === 0) {
      await this.#turns.takeSlot((slot) => {
        const agreed = this.#submit(placed, counts, (encoder) =>
          Readback.encode(only, encoder, this.#memory.arenas, slot),
        );
        const kind = `${program} ${Object.values(counts)}`;
        return Promise.all([
          agreed,
          this.#arrive(
            slot,
            this.#arriveInTime(kind, () => readback.arrive(only, slot)),
          ),
        ]);
      });
    } else {
      const agreed = this.#turns.take(() => this.#submit(placed, counts, () => {}));
      await Promise.all([agreed, this.#readBatches(readback)]);
    }
    this.#health.check();
    return readback.values();
  }

  #checkRun(program: string): PlacedProgram {
    this.#health.check();
    if (this.#isStepping) throw messages.busy(this.manifest.name);
    return this.#placed(program);
  }

  /** Encodes and submits a program, and what is to be copied after it; resolves when the GPU has agreed to it. */
  #submit(placed: PlacedProgram, counts: Counts, encodeCopies: (encoder: GPUCommandEncoder) => void): Promise<void> {
    const { device, statistics } = this.#resources;
    return this.#watch(placed, () => {
      const start = performance.now();
      placed.follow(counts, device.queue);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      placed.encode(pass);
      pass.end();
      encodeCopies(encoder);
      this.#resources.submit(encoder);
      this.#watchdog.gave({ name: placed.program.name, launches: placed.launches, tensors: placed.tensors });
      statistics.encodeMilliseconds += performance.now() - start;
    });
  }

  #watch(placed: PlacedProgram, work: () => void): Promise<void> {
    return this.#health.watch(placed.program.name, work, async () => {
      const launch = await refusedLaunch(placed, this.#resources.device);
      return launch && { kernel: this.manifest.kernels[launch.kernel].name, path: launch.path };
    });
  }

  /** Copies batch after batch into staging buffers. */
  async #readBatches(readback: Readback): Promise<void> {
    const { device } = this.#resources;
    const readings = readback.batches.map((batch) =>
      this.#turns.takeSlot((slot) => {
        const encoder = device.createCommandEncoder();
        Readback.encode(batch, encoder, this.#memory.arenas, slot);
        this.#resources.submit(encoder);
        return this.#arrive(slot, readback.arrive(batch, slot));
      }),
    );
    await Promise.all(readings);
  }

  /** Waits for a reading without asking for it all the time. */
  async #arriveInTime(kind: string, arrive: () => Promise<void>): Promise<void> {
    const submitted = performance.now();
    await this.#patience.until(kind, submitted);
    await arrive();
    this.#patience.ended(kind, submitted);
  }

  /** Waits for a reading and gives its staging buffer to the next one. */
  async #arrive<Result>(slot: GPUBuffer, reading: Promise<Result>): Promise<Result> {
    try {
      return await this.#watchdog.guard(reading);
    } catch (error) {
      const reason = await this.#health.reasonOf(error);
      this.#health.fail(reason instanceof Error ? reason : new Error(String(reason)));
      throw reason;
    } finally {
      this.#turns.giveBack(slot);
    }
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
        this.#health.check();
        const operands = launch.operands.flatMap(tensorsNamed);
        const kernel = this.manifest.kernels[launch.kernel].name;
        await after({ index, path: launch.path, kernel, operands, milliseconds });
      }
    } finally {
      this.#isStepping = false;
    }
  }

  /** Runs one launch to its end; milliseconds by the GPU's clock, or from submit to end where it has none. */
  async #step(placed: PlacedProgram, counts: Counts, index: number): Promise<number> {
    const { device } = this.#resources;
    const timer = this.#timer;
    return this.#turns.takeSlot(async (slot) => {
      const start = performance.now();
      const agreed = this.#watch(placed, () => {
        placed.follow(counts, device.queue);
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass(timer?.passDescriptor);
        placed.encode(pass, index, index + 1);
        pass.end();
        timer?.encode(encoder, slot);
        this.#resources.submit(encoder);
        const launch = placed.launches[index];
        const name = `launch ${index} of ${placed.program.name}, ${launch.path}`;
        this.#watchdog.gave({ name, launches: [launch], tensors: placed.tensors });
      });
      const done = timer === undefined ? device.queue.onSubmittedWorkDone() : timer.read(slot);
      const milliseconds = await this.#arrive(slot, done);
      await agreed;
      return milliseconds ?? performance.now() - start;
    });
  }

  write(name: string, data: Float32Array | Int32Array, first = 0): void {
    this.#health.check();
    const tensor = this.#tensor(name);
    const arena = this.#memory.arenas.get(tensor.arena);
    if (arena === undefined) throw new RangeError(`tensor ${name} lies in unknown arena ${tensor.arena}`);
    const { queue } = this.#resources.device;
    if (this.#turns.isIdle) {
      writeRows(queue, arena, tensor, data, first);
      return;
    }
    checkWrite(tensor, data.length, first);
    // The caller may change its values before their turn comes.
    const values = data.slice();
    this.#turns.take(() => writeRows(queue, arena, tensor, values, first)).catch((error) => this.#health.fail(error));
  }

  async read(name: string, options: ReadOptions = {}): Promise<Float32Array> {
    this.#health.check();
    const readback = this.#readback([{ tensor: name, ...options }]);
    await this.#readBatches(readback);
    this.#health.check();
    return readback.values()[0];
  }

  async close(): Promise<void> {
    this.#health.fail(messages.closed(this.manifest.name));
    // Dawn would wait for the work that does not end.
    if (this.#watchdog.isHung) return;
    this.#resources.destroy();
    this.#resources.device.destroy();
  }
}

/** The tensors that an operand may be about; the arena of scalars as a whole is none. */
function tensorsNamed(operand: ManifestOperand): string[] {
  if (operand === null || "count" in operand) return [];
  if ("scalar" in operand) return [operand.scalar];
  return operand.tensor === scalarArena ? [] : [operand.tensor];
}
