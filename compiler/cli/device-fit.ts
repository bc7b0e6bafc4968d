// How much of a device a compiled model takes: the runtime's own layout of its arenas against the device's limit.

import type { Manifest } from "../../runtime/contract.ts";
import { MemoryMap } from "../../runtime/memory-map.ts";
import type { BytesByClass } from "../source/messages/device.ts";

/** One WebAssembly memory has at most 65,536 pages of 64 KiB. */
const wasmBytes = 2 ** 32;
const pageBytes = 2 ** 16;

export interface DeviceFit {
  readonly device: "wasm";
  /** Without the launch tables and the threads' scratch: some hundred KiB. */
  readonly needed: number;
  readonly most: number;
  readonly classes: BytesByClass;
}

export function deviceFit({ arenas }: Manifest): DeviceFit {
  const map = new MemoryMap();
  map.placeArenas(arenas);
  return { device: "wasm", needed: map.pages * pageBytes, most: wasmBytes, classes: Object.entries(arenas) };
}
