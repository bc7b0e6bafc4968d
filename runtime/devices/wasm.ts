// The wasm device: kernels on all cores of a CPU. A coordinator that never blocks, and threads that share one memory.

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type {
  Expression,
  Manifest,
  ManifestLaunch,
  ManifestOperand,
  ManifestProgram,
  ManifestTensor,
} from "../contract.ts";
import type { Counts, Device, LaunchReport, ReadOptions, WantedTensor, WasmOptions } from "../device.ts";
import { evaluateExpression, namesOf } from "../expression.ts";
import { copyIn, copyOut, elementCount, MemoryMap, type MemoryViews, memoryViews, tensorsOf } from "../memory-map.ts";
import * as messages from "../messages/device.ts";
import { badModule } from "../messages/model.ts";

/** The most that one linear memory can hold: 4 GiB. */
const mostPages = 65_536;

/** A thread takes some 20 ms and 2 MiB to start: a thousand of them are a mistake. */
const mostThreads = 256;

/** Words of the control block; each on a cache line of its own. */
const words = {
  generation: 0,
  command: 16,
  program: 32,
  failed: 48,
  arrived: 64,
  barrier: 80,
  finished: 96,
  done: 112,
} as const;
const controlBytes = 128 * 4;
/** Kernel, table, tiles, tiles per claim, tiles claimed. */
const launchWords = 5;

interface PlacedLaunch {
  readonly launch: ManifestLaunch;
  /** Word of its entry in the list. */
  readonly entry: number;
}

interface PlacedProgram {
  readonly program: ManifestProgram;
  readonly tensors: ReadonlyMap<string, ManifestTensor>;
  readonly start: number;
  readonly launches: readonly PlacedLaunch[];
}

/** Opens a compiled model; throws a Fault where it does not fit. */
export async function openWasm(
  manifest: Manifest,
  moduleBytes: Uint8Array,
  options: WasmOptions = {},
): Promise<Device> {
  const threads = options.threads ?? Math.min(mostThreads, availableParallelism());
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= mostThreads)) {
    throw messages.badThreads(threads, mostThreads);
  }
  const device = new WasmDevice(manifest, threads);
  try {
    await device.start(moduleBytes, options.modulePath ?? manifest.module ?? "kernels.wasm");
    return device;
  } catch (error) {
    // Threads that did start would keep the process alive.
    await device.close();
    throw error;
  }
}

class WasmDevice implements Device {
  readonly name = "wasm";
  readonly isQueued = false;
  readonly manifest: Manifest;
  readonly memoryBytes: number;
  readonly #threads: number;
  readonly #memory: WebAssembly.Memory;
  readonly #control: Int32Array;
  readonly #views: MemoryViews;
  readonly #map = new MemoryMap();
  readonly #programs = new Map<string, PlacedProgram>();
  readonly #scratch: readonly number[];
  /** Where the numbers lie that programs count by. */
  readonly #counts = new Map<string, CountCell>();
  readonly #persistent: ReadonlyMap<string, ManifestTensor>;
  #workers: Worker[] = [];
  #failure: Error | undefined;
  #failed: ((error: Error) => void) | undefined;
  #isRunning = false;
  #isClosed = false;

  constructor(manifest: Manifest, threads: number) {
    this.manifest = manifest;
    this.#threads = threads;
    this.#persistent = tensorsOf(manifest);
    this.#map.take(controlBytes);
    const tables = layOutTables(manifest, this.#map);
    this.#map.placeArenas(manifest.arenas);
    const scratchBytes = Math.max(256, ...manifest.kernels.map((kernel) => kernel.scratch));
    this.#scratch = Array.from({ length: threads }, () => this.#map.take(scratchBytes));
    const { pages } = this.#map;
    if (pages > mostPages) throw messages.doesNotFit(manifest.name, pages * 65_536, mostPages * 65_536);
    this.#memory = allocate(pages, manifest.name);
    this.memoryBytes = pages * 65_536;
    this.#control = new Int32Array(this.#memory.buffer);
    this.#views = memoryViews(this.#memory.buffer);
    this.#fillTables(tables);
  }

  get description(): string {
    return `wasm, ${this.#threads} thread${this.#threads === 1 ? "" : "s"}`;
  }

  #fillTables(tables: ReadonlyMap<string, TableLayout>): void {
    for (const [key, cell] of [...tables.values()].flatMap((table) => [...table.counts])) {
      this.#counts.set(key, cell);
      if (typeof cell.count === "number") this.#control[cell.address / 4] = cell.count;
    }
    for (const program of this.manifest.programs) {
      const table = tables.get(program.name);
      if (table !== undefined) this.#programs.set(program.name, this.#placeProgram(program, table));
    }
  }

  #placeProgram(program: ManifestProgram, { list, operands }: TableLayout): PlacedProgram {
    const tensors = tensorsOf(this.manifest, program);
    const launches: PlacedLaunch[] = [];
    let word = list / 4;
    let operandAddress = operands;
    this.#control[word++] = program.waves.length;
    for (const wave of program.waves) {
      this.#control[word++] = wave.length;
      for (const launch of wave) {
        this.#control[word] = launch.kernel;
        this.#control[word + 1] = operandAddress;
        for (const operand of launch.operands) {
          this.#control[operandAddress / 4] = this.#operandAddress(operand, tensors);
          operandAddress += 4;
        }
        launches.push({ launch, entry: word });
        word += launchWords;
      }
    }
    return { program, tensors, start: list / 4, launches };
  }

  #operandAddress(operand: ManifestOperand, tensors: ReadonlyMap<string, ManifestTensor>): number {
    if (operand === null) return 0;
    if ("count" in operand) {
      const cell = this.#counts.get(JSON.stringify(operand.count));
      if (cell === undefined) throw new RangeError(`no cell holds the count ${JSON.stringify(operand.count)}`);
      return cell.address;
    }
    if ("scalar" in operand) throw new RangeError(`wasm has no arena of scalars for ${operand.scalar}`);
    const tensor = tensors.get(operand.tensor);
    if (tensor === undefined) throw new RangeError(`manifest names no tensor ${operand.tensor}`);
    return this.#map.addressOf(tensor) + (operand.offset ?? 0);
  }

  async start(moduleBytes: Uint8Array, modulePath: string): Promise<void> {
    const module = await compileModule(moduleBytes, modulePath);
    const kernels = this.manifest.kernels.map((kernel) => kernel.name);
    const url = new URL("./wasm-worker.mjs", import.meta.url);
    const ready = this.#scratch.map((scratch, thread) => {
      const workerData = { memory: this.#memory, module, kernels, thread, threads: this.#threads, scratch, words };
      // Nothing is printed there; piping it all the same would put listeners of every thread on the process's streams.
      const worker = new Worker(url, { workerData, stdout: true, stderr: true });
      this.#workers.push(worker);
      return new Promise<void>((resolve, reject) => {
        worker.on("message", (message: { kind: string; message?: string }) => {
          if (message.kind === "ready") resolve();
          else this.#fail(messages.kernelFailed(thread, message.message ?? ""));
        });
        worker.on("error", (error) => {
          const fault = messages.threadDied(thread, error.message);
          reject(fault);
          this.#fail(fault);
        });
        worker.on("exit", () => this.#fail(messages.threadDied(thread, "it ended")));
      });
    });
    await Promise.all(ready);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined || this.#workers.length === 0) return;
    this.#failure = error;
    Atomics.store(this.#control, words.failed, 1);
    this.#failed?.(error);
  }

  #placed(program: string): PlacedProgram {
    const placed = this.#programs.get(program);
    if (placed === undefined) throw new RangeError(`${this.manifest.name} has no program ${program}`);
    return placed;
  }

  async run(program: string, counts: Counts = {}): Promise<void> {
    const { start, launches } = this.#placed(program);
    this.#setCounts(counts);
    for (const placed of launches) this.#setTiles(placed, counts);
    await this.#execute(start);
  }

  async runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]> {
    await this.run(program, counts);
    return Promise.all(wanted.map((each) => this.read(each.tensor, { program, ...each })));
  }

  #setCounts(counts: Counts): void {
    const given = new Set(Object.keys(counts));
    for (const { count, names, address } of this.#counts.values()) {
      if (names.length > 0 && names.every((name) => given.has(name))) {
        this.#control[address / 4] = evaluateExpression(count, counts);
      }
    }
  }

  #setTiles({ launch, entry }: PlacedLaunch, counts: Counts): void {
    const tiles = evaluateExpression(launch.tiles, counts);
    this.#control[entry + 2] = tiles;
    this.#control[entry + 3] = Math.max(1, Math.floor(tiles / (this.#threads * 8)));
    this.#control[entry + 4] = 0;
  }

  /** Starts the threads on a list and waits, without blocking, until the last one is done. */
  async #execute(list: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isRunning) throw messages.busy(this.manifest.name);
    this.#isRunning = true;
    const control = this.#control;
    control[words.command] = 1;
    control[words.program] = list;
    Atomics.store(control, words.finished, 0);
    const before = Atomics.load(control, words.done);
    const failed = new Promise<never>((_, reject) => {
      this.#failed = reject;
    });
    Atomics.add(control, words.generation, 1);
    Atomics.notify(control, words.generation);
    try {
      const waiting = Atomics.waitAsync(control, words.done, before);
      if (waiting.async) await Promise.race([waiting.value, failed]);
      // The last thread may be done before the message of one that failed is here; it says why.
      if (Atomics.load(control, words.failed) !== 0) await failed;
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.#failed = undefined;
      this.#isRunning = false;
      failed.catch(() => {});
    }
  }

  async runStepwise(
    program: string,
    counts: Counts,
    after: (launch: LaunchReport) => Promise<void> | void,
  ): Promise<void> {
    const { launches } = this.#placed(program);
    this.#setCounts(counts);
    const single = this.#stepList();
    for (const [index, placed] of launches.entries()) {
      this.#setTiles(placed, counts);
      this.#control.set([1, 1, ...this.#control.subarray(placed.entry, placed.entry + launchWords)], single);
      const start = performance.now();
      await this.#execute(single);
      const { launch } = placed;
      const operands = launch.operands.flatMap((operand) =>
        operand !== null && "tensor" in operand ? [operand.tensor] : [],
      );
      const kernel = this.manifest.kernels[launch.kernel].name;
      await after({ index, path: launch.path, kernel, operands, milliseconds: performance.now() - start });
    }
  }

  /** Words for a list of one launch: behind the control words. */
  #stepList(): number {
    return words.done + 4;
  }

  #tensor(name: string, program?: string): ManifestTensor {
    const tensors = program === undefined ? this.#persistent : this.#placed(program).tensors;
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new RangeError(`${this.manifest.name} has no tensor ${name}`);
    return tensor;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw messages.closed(this.manifest.name);
  }

  write(name: string, data: Float32Array | Int32Array, first = 0): void {
    this.#checkOpen();
    const tensor = this.#tensor(name);
    copyIn(this.#views, this.#map.addressOf(tensor), tensor, data, first);
  }

  async read(name: string, { program, first = 0, count }: ReadOptions = {}): Promise<Float32Array> {
    this.#checkOpen();
    const tensor = this.#tensor(name, program);
    const data = new Float32Array(count ?? elementCount(tensor));
    copyOut(this.#views, this.#map.addressOf(tensor), tensor, data, first);
    return data;
  }

  async close(): Promise<void> {
    const workers = this.#workers;
    this.#workers = [];
    this.#isClosed = true;
    // Whoever waits for a program would wait for ever: its threads end now.
    this.#failure ??= messages.closed(this.manifest.name);
    this.#failed?.(this.#failure);
    this.#control[words.command] = 0;
    Atomics.add(this.#control, words.generation, 1);
    Atomics.notify(this.#control, words.generation);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function compileModule(bytes: Uint8Array, file: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    throw badModule(file, error instanceof Error ? error.message : String(error));
  }
}

interface TableLayout {
  /** Addresses of the program's list, of its first table, and of the numbers that it counts by. */
  readonly list: number;
  readonly operands: number;
  readonly counts: ReadonlyMap<string, CountCell>;
}

/** A number in memory: fixed, or set before each run by what it is computed from. */
interface CountCell {
  readonly count: Expression;
  readonly names: readonly string[];
  readonly address: number;
}

/** Takes memory for lists, tables and counts of all programs; a count has one cell wherever it is used. */
function layOutTables(manifest: Manifest, map: MemoryMap): Map<string, TableLayout> {
  const cells = new Map<string, CountCell>();
  const layouts = new Map<string, TableLayout>();
  for (const program of manifest.programs) {
    const launches = program.waves.flat();
    const list = map.take(4 * (1 + program.waves.length + launches.length * launchWords));
    const operands = map.take(4 * launches.reduce((count, launch) => count + launch.operands.length, 0));
    for (const operand of launches.flatMap((launch) => launch.operands)) {
      if (operand === null || !("count" in operand)) continue;
      const key = JSON.stringify(operand.count);
      if (!cells.has(key)) {
        cells.set(key, { count: operand.count, names: namesOf(operand.count), address: map.take(4) });
      }
    }
    layouts.set(program.name, { list, operands, counts: cells });
  }
  return layouts;
}

function allocate(pages: number, name: string): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (error) {
    throw messages.allocationFailed(name, pages * 65_536, error);
  }
}
