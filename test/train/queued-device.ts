// A device with a queue, as a GPU has one, whose programs a wasm device runs when their turn comes: so what a trainer does
// with a queue can be compared bit by bit with what it does without. It can be lost before any of its tasks.

import type { Counts, Device, LaunchReport, ReadOptions, WantedTensor } from "../../runtime/device.ts";
import { Fault } from "../../runtime/fault.ts";

export class QueuedDevice implements Device {
  readonly name = "webgpu";
  readonly isQueued = true;
  readonly description = "wasm behind a queue";
  readonly memoryBytes = 0;
  readonly manifest: Device["manifest"];
  /** What was asked for and what came back, in order. */
  readonly events: string[] = [];
  /** How many tasks run before the device is lost. */
  tasksLeft = Number.POSITIVE_INFINITY;
  tasks = 0;
  onWarning: (sentence: string) => void = () => {};
  readonly #device: Device;
  #tail: Promise<unknown> = Promise.resolve();
  #failure: Fault | undefined;

  constructor(device: Device, manifest: Device["manifest"]) {
    this.#device = device;
    this.manifest = manifest;
  }

  #enqueue<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    const done = this.#tail.then(async () => {
      // A GPU answers in a later task of the event loop, never in the one that asked.
      await new Promise((resolve) => setImmediate(resolve));
      this.tasks++;
      if (this.tasksLeft-- <= 0) this.#failure ??= lost();
      if (this.#failure !== undefined) throw this.#failure;
      return work();
    });
    this.#tail = done.catch(() => {});
    return done;
  }

  async run(program: string, counts: Counts = {}): Promise<void> {
    this.events.push(`run ${program}`);
    this.#enqueue(() => this.#device.run(program, counts)).catch(() => {});
  }

  async runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]> {
    this.events.push(`run ${program}`);
    const read = await this.#enqueue(() => this.#device.runAndRead(program, counts, wanted));
    this.events.push(`read ${program}`);
    return read;
  }

  async runStepwise(
    program: string,
    counts: Counts,
    after: (launch: LaunchReport) => Promise<void> | void,
  ): Promise<void> {
    await this.#tail;
    await this.#device.runStepwise(program, counts, after);
  }

  write(tensor: string, data: Float32Array | Int32Array, first = 0): void {
    const values = data.slice();
    this.#enqueue(() => this.#device.write(tensor, values, first)).catch(() => {});
  }

  async read(tensor: string, options: ReadOptions = {}): Promise<Float32Array> {
    this.events.push("read");
    return this.#enqueue(() => this.#device.read(tensor, options));
  }

  async close(): Promise<void> {
    await this.#tail;
    await this.#device.close();
  }
}

const lost = (): Fault =>
  new Fault({ code: "device/lost", kind: "environment", claim: "the device was lost", details: ["unknown: a test"] });
