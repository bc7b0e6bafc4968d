// Which target's kernels a device runs, and what the manifests of a build folder are called.

import type { DeviceName } from "./device.ts";

/** wgsl comes in two: kernels that share workgroup memory, and kernels without barriers, which software computes slowly. */
export type TargetName = "wasm" | "wgsl" | "wgsl-soft";

export const targetOfDevice: Readonly<Record<DeviceName, TargetName>> = {
  wasm: "wasm",
  webgpu: "wgsl",
  "webgpu:software": "wgsl-soft",
};

/** Every build folder has wasm's; the others lie beside it. */
export const manifestFiles: Readonly<Record<TargetName, string>> = {
  wasm: "manifest.json",
  wgsl: "manifest.wgsl.json",
  "wgsl-soft": "manifest.wgsl-soft.json",
};

export const targetNames = Object.keys(manifestFiles) as readonly TargetName[];
