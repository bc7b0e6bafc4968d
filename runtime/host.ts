// What the runtime needs of the machine that it works on, besides a device's memory: files, processes, a way to devices.
// Node has one, a page another; tests put a disk that fails in its place.

import type { Manifest } from "./contract.ts";
import type { Device, WasmOptions } from "./device.ts";
import type { Disk } from "./files/disk.ts";
import type { ProcessTable } from "./files/run-lock.ts";
import type { RunFolder } from "./train/run-folder.ts";

export interface Host {
  /** In a page, addresses: they can be read only. */
  readonly disk: Disk;
  /** Tells whose run folder is whose; absent where there are no folders. */
  readonly processes?: ProcessTable;
  /** The entrance to WebGPU; with `isSoftware`, to an adapter that computes on the CPU. Errors: a fault that says why there is none. */
  gpu(isSoftware: boolean): Promise<GPU>;
  /** Absent where kernels cannot run on the CPU's threads. */
  openWasm?(manifest: Manifest, module: Uint8Array, options: WasmOptions): Promise<Device>;
  /** Writes a run's report from what lies in its folder. */
  writeReport?(folder: RunFolder, manifest: Manifest): Promise<void>;
}
