// Which adapter of WebGPU is taken, what is asked of it, and what it is called.

import * as messages from "../messages/webgpu.ts";

/** Features that kernels, or diagnosis, make use of where they are there. */
export const usefulFeatures = ["timestamp-query", "subgroups", "shader-f16"] as const;

/** Limits of which as much is asked for as there is: the defaults are those of telephones. */
const raisedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** Drivers that compute on the CPU; not every one of them says so by `isFallbackAdapter`. */
const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|basic render/i;

function isSoftwareAdapter({ info }: GPUAdapter): boolean {
  return info.isFallbackAdapter || softwareNames.test(describeAdapter(info));
}

/** `nvidia ampere, NVIDIA A100`: what the adapter says of itself. */
export function describeAdapter({ vendor, architecture, description, device }: GPUAdapterInfo): string {
  const kind = [vendor, architecture].filter((part) => part !== "").join(" ");
  const parts = [kind, description === "" ? device : description].filter((part) => part !== "");
  return parts.length === 0 ? "an adapter without a name" : parts.join(", ");
}

/** A GPU, or the software adapter. Errors: `device/no-adapter`, `device/software-adapter`. */
export async function requestAdapter(gpu: GPU, isSoftware: boolean): Promise<GPUAdapter> {
  const fallback = isSoftware ? await gpu.requestAdapter({ forceFallbackAdapter: true }) : null;
  const adapter = fallback ?? (await gpu.requestAdapter({ powerPreference: "high-performance" }));
  if (adapter === null) throw messages.noAdapter(isSoftware);
  const name = describeAdapter(adapter.info);
  if (isSoftware && !isSoftwareAdapter(adapter)) throw messages.notSoftware(name);
  if (!isSoftware && isSoftwareAdapter(adapter)) throw messages.softwareOnly(name);
  return adapter;
}

/** The useful features that an adapter has. */
export const featuresOf = ({ features }: Pick<GPUAdapter, "features">): GPUFeatureName[] =>
  usefulFeatures.filter((feature) => features.has(feature));

/** A device with all that the adapter has of what kernels use. Errors: `device/no-device`. */
export async function requestDevice(adapter: GPUAdapter, label: string): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(raisedLimits.map((limit) => [limit, adapter.limits[limit]]));
  try {
    return await adapter.requestDevice({ label, requiredFeatures: featuresOf(adapter), requiredLimits });
  } catch (error) {
    throw messages.noDevice(describeAdapter(adapter.info), error);
  }
}
