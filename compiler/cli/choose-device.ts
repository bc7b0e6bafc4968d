// Which devices are here, which one is taken, and why not the others.

import { availableParallelism } from "node:os";
import type { DeviceName } from "../../runtime/device.ts";
import { Fault } from "../../runtime/fault.ts";
import * as say from "../source/messages/doctor.ts";

export interface ChosenDevice {
  readonly name: DeviceName;
  readonly because: string;
}

/** What a device needs of the engine: a module that uses it compiles. */
const features = {
  simd: [0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x1a],
  threads: [0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x1a],
} as const;
export type FeatureName = keyof typeof features;

/** Whether this engine compiles a function of these instructions on a shared memory. */
export async function hasFeature(feature: FeatureName): Promise<boolean> {
  const body = [0x00, ...features[feature], 0x0b];
  const module = [
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
    ...[0x03, 0x02, 0x01, 0x00],
    // One page, at most one, shared.
    ...[0x05, 0x04, 0x01, 0x03, 0x01, 0x01],
    ...[0x0a, body.length + 2, 0x01, body.length, ...body],
  ];
  try {
    await WebAssembly.compile(Uint8Array.from(module));
    return true;
  } catch {
    return false;
  }
}

/**
 * The device that is asked for, or the best one that is here: a GPU, or else the CPU; an adapter that only stands for a GPU
 * has to be asked for. Errors, only of what is asked for: those of `findAdapter`.
 */
export async function chooseDevice(asked: DeviceName | undefined): Promise<ChosenDevice> {
  if (asked === "webgpu" || asked === "webgpu:software") await findAdapter(asked);
  if (asked !== undefined) return { name: asked, because: say.askedFor };
  const found = await orFault(findAdapter("webgpu"));
  if (found instanceof Fault) return { name: "wasm", because: say.embeddedDefault };
  return { name: "webgpu", because: say.isGpu(found.description) };
}

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly description: string;
}

/**
 * The adapter that a device of WebGPU runs on. Errors: `device/no-dawn`, `device/no-vulkan`, `device/no-software-driver`,
 * `device/cache-unwritable`, `device/no-adapter`, `device/software-adapter`.
 */
export async function findAdapter(name: Exclude<DeviceName, "wasm">): Promise<FoundAdapter> {
  // Who runs no model is spared the time of loading this.
  const [{ openDawn }, { describeAdapter, requestAdapter }] = await Promise.all([
    import("../../runtime/devices/node-dawn.ts"),
    import("../../runtime/devices/webgpu-adapter.ts"),
  ]);
  const isSoftware = name === "webgpu:software";
  const adapter = await requestAdapter(await openDawn({ isSoftware }), isSoftware);
  return { adapter, description: describeAdapter(adapter.info) };
}

/** What is promised, or the fault that it ends in. */
export async function orFault<Value>(promised: Promise<Value>): Promise<Value | Fault> {
  try {
    return await promised;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

export const coreCount = (): number => availableParallelism();
