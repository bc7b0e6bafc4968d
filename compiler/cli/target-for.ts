// Which target is compiled for where a device is named.

import type { Target } from "../kernels/target.ts";
import type { DeviceFlags } from "./spec-flags.ts";

/** The target of a device's kernels; wasm where none is named. */
export async function targetFor({ device = "wasm" }: DeviceFlags): Promise<Target> {
  const [{ targets }, { targetOfDevice }] = await Promise.all([
    import("../compile.ts"),
    import("../../runtime/device-targets.ts"),
  ]);
  return targets[targetOfDevice[device]];
}
