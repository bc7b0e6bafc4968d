// What a device is to the rest of the runtime: tensors by name, programs by name.

import type { Manifest } from "./contract.ts";

export type DeviceName = "wasm" | "webgpu" | "webgpu:software";

/** Live counts of a run, by name. */
export type Counts = Readonly<Record<string, number>>;

/** A model's memory on a device, with its programs ready to run. */
export interface Device {
  readonly name: DeviceName;
  readonly manifest: Manifest;
  /**
   * Whether programs are queued: the host may go on before one has ended. Where it is not so, one call must have ended
   * before the next begins.
   */
  readonly isQueued: boolean;
  /** For people: what runs here, such as `wasm, 2 threads`. */
  readonly description: string;
  /** Bytes that the device holds for the model. */
  readonly memoryBytes: number;
  /** Told, in a sentence, of what is odd and no failure yet; absent where there is nothing of the kind. */
  onWarning?: (sentence: string) => void;
  /**
   * Runs a program. A device with a queue of its own is done with it later: what is written, run and read afterwards comes
   * afterwards there too, and what goes wrong in between is told by the next call.
   */
  run(program: string, counts?: Counts): Promise<void>;
  /** Runs a program and reads tensors, its own and persistent ones, as they are then: one trip to the device and back. */
  runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]>;
  /** Runs a program launch by launch and calls `after` between them; slow, for diagnosis. */
  runStepwise(program: string, counts: Counts, after: (launch: LaunchReport) => Promise<void> | void): Promise<void>;
  /** Writes row-major values into a tensor, from row `first` on. */
  write(tensor: string, data: Float32Array | Int32Array, first?: number): void;
  /** Reads `count` values of a tensor (all of them without it), from row `first` on; `program` owns tensors of one run. */
  read(tensor: string, options?: ReadOptions): Promise<Float32Array>;
  close(): Promise<void>;
}

/** How the wasm device is opened. */
export interface WasmOptions {
  /** Threads; as many as the machine has cores, unless said otherwise. */
  readonly threads?: number;
  /** What messages call the module; the manifest's name of it unless given. */
  readonly modulePath?: string;
}

export interface ReadOptions {
  readonly program?: string;
  readonly first?: number;
  readonly count?: number;
}

/** What `read` is asked for; without a program it is looked for in the one that runs. */
export interface WantedTensor extends ReadOptions {
  readonly tensor: string;
}

export interface LaunchReport {
  readonly index: number;
  readonly path: string;
  readonly kernel: string;
  /** Tensors that the launch may have written, by name. */
  readonly operands: readonly string[];
  readonly milliseconds: number;
}
