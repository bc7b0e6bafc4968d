// A GPU that every machine of ours has: SwiftShader below Dawn. It runs generated WGSL, slowly.

import type { Manifest } from "../../runtime/contract.ts";
import { openDawn } from "../../runtime/devices/node-dawn.ts";
import { openWebGpu, type WebGpuDevice } from "../../runtime/devices/webgpu.ts";

/** Why this machine may have no software GPU, where it may not. */
export const whyNoSoftwareGpu: string | undefined =
  (process.platform === "linux" && process.arch === "x64") || process.env.VK_DRIVER_FILES !== undefined
    ? undefined
    : "the development packages have a software GPU for linux x64 only";

/** Opens a compiled model on it; `texts` are the kernels' files by path. */
export async function openOnSoftwareGpu(manifest: Manifest, texts: ReadonlyMap<string, string>): Promise<WebGpuDevice> {
  const gpu = await openDawn({ isSoftware: true });
  return openWebGpu(manifest, textsOf(texts), { gpu, isSoftware: true });
}

/** Reads the kernels' files of a map. */
export const textsOf =
  (texts: ReadonlyMap<string, string>) =>
  async (path: string): Promise<string> => {
    const text = texts.get(path);
    if (text === undefined) throw new RangeError(`there is no kernel file ${path}`);
    return text;
  };
