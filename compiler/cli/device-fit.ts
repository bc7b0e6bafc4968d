// How much of a device a compiled model takes: the runtime's own layout of its arenas against the device's limit.

import type { Manifest } from "../../runtime/contract.ts";
import { MemoryMap } from "../../runtime/memory-map.ts";
import type { Operand } from "../kernels/plan.ts";
import { tensorBytes } from "../kernels/plan-memory.ts";
import type { TargetPlan } from "../kernels/program.ts";
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

/** The most bytes of one buffer, and of one tensor that a kernel is given. */
export interface GpuNeeds {
  readonly buffer: number;
  readonly binding: number;
}

export function gpuNeeds({ programs, arenaBytes }: TargetPlan): GpuNeeds {
  const bound = programs.flatMap(({ waves }) => waves.flat().flatMap(({ operands }) => operands.map(boundBytes)));
  return {
    buffer: Math.max(0, ...arenaBytes.values()),
    binding: bound.reduce((most, bytes) => Math.max(most, bytes), 0),
  };
}

const boundBytes = (operand: Operand): number =>
  operand.kind === "tensor" ? (operand.bytes ?? tensorBytes(operand.tensor) - operand.offset) : 0;
