// WebGPU in Node: Dawn, from the optional package `webgpu`. What a page has as `navigator.gpu` is made here.

import * as messages from "../messages/webgpu.ts";
import { needSoftwareVulkan, needVulkan } from "./node-vulkan.ts";

export interface DawnOptions {
  /** A driver that computes on the CPU, for tests. */
  readonly isSoftware: boolean;
}

/** Collected, it would take the process with it: adapters and devices do not keep it. */
const kept = new Map<string, Promise<GPU>>();

/** The entry to WebGPU; a process that has asked for the software driver finds no GPU any more. Errors: `device/no-dawn`, `device/no-vulkan`, `device/no-software-driver`, `device/cache-unwritable`. */
export function openDawn({ isSoftware }: DawnOptions): Promise<GPU> {
  const key = isSoftware ? "software" : "hardware";
  const opened = kept.get(key) ?? open(isSoftware);
  kept.set(key, opened);
  return opened;
}

async function open(isSoftware: boolean): Promise<GPU> {
  const { create } = await loadDawn();
  await (isSoftware ? needSoftwareVulkan() : needVulkan());
  // Pages get times in steps of 0.1 ms, for their visitors' sake; a launch takes less.
  const disabled = ["timestamp_quantization"];
  // SwiftShader clears workgroup memory word by word in straight-line code, which takes a second to compile; Dawn's own is a loop.
  if (isSoftware) disabled.push("use_vulkan_zero_initialize_workgroup_memory_extension");
  return create([`disable-dawn-features=${disabled.join(",")}`]);
}

async function loadDawn(): Promise<typeof import("webgpu")> {
  try {
    return await import("webgpu");
  } catch (error) {
    throw messages.noDawn(error);
  }
}
