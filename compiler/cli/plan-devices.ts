// Devices that a plan is held against: their memory as their makers state it. What of it a driver keeps for itself is not known here.

import type { deviceNames } from "./spec-flags.ts";

export interface PlanDevice {
  /** What `--device` calls it. */
  readonly name: string;
  readonly title: string;
  readonly bytes: number;
  /** Whether there is no second one: a page has one WebAssembly memory. */
  readonly isAlone: boolean;
}

const wasm: (typeof deviceNames)[number] = "wasm";
const gigabytes = (count: number): number => count * 1e9;
const gpu = (name: string, title: string, memory: number): PlanDevice => ({
  name,
  title,
  bytes: gigabytes(memory),
  isAlone: false,
});

/** From the smallest memory to the largest. */
export const planDevices: readonly PlanDevice[] = [
  { name: wasm, title: "WebAssembly, one memory", bytes: 2 ** 32, isAlone: true },
  gpu("rtx-4060", "GeForce RTX 4060", 8),
  gpu("rtx-4080", "GeForce RTX 4080", 16),
  gpu("rtx-4090", "GeForce RTX 4090", 24),
  gpu("rtx-5090", "GeForce RTX 5090", 32),
  gpu("l40s", "L40S", 48),
  gpu("mi210", "Instinct MI210", 64),
  gpu("h100", "H100 SXM", 80),
  gpu("h200", "H200 SXM", 141),
  gpu("mi300x", "Instinct MI300X", 192),
];
