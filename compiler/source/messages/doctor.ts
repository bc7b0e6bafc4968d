// What `mspec doctor` says of the machine, and why a device is taken.

import { size } from "./device.ts";

/** Whose limits kernels and their tensors are held to. */
interface AdapterLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
}

/** The parts of a fault that tell why a device is not here. */
interface Refusal {
  readonly claim: string;
  readonly details: readonly string[];
  readonly help: string | undefined;
}

export const askedFor = "`--device` or MSPEC_DEVICE asks for it";
export const embeddedDefault = "it is the default: kernels for the machine's own CPU";

export const isGpu = (adapter: string): string => `it is a GPU: ${adapter}`;
export const anotherIsTaken = "a GPU is faster, or `--device` or MSPEC_DEVICE asks for another one";
export const onlyByName =
  "it computes on the CPU, slower than wasm, to test kernels: `--device webgpu:software` asks for it";

export const nodeLine = (version: string, platform: string, arch: string): string =>
  `Node ${version} on ${platform} ${arch}`;

export const machineLine = (cores: number, total: number, free: number): string =>
  `${cores} cores for this process, ${size(total)} of memory, ${size(free)} free`;

const featureWords = {
  simd: "128-bit vectors (SIMD)",
  threads: "threads on shared memory with atomics",
} as const;

export const featureLine = (feature: keyof typeof featureWords, isThere: boolean): string =>
  `WebAssembly ${featureWords[feature]}: ${isThere ? "yes" : "no"}`;

export const limitsLine = (limits: AdapterLimits): string =>
  [
    `buffers of ${size(limits.maxBufferSize)}`,
    `bindings of ${size(limits.maxStorageBufferBindingSize)}, ${limits.maxStorageBuffersPerShaderStage} per kernel`,
    `${size(limits.maxComputeWorkgroupStorageSize)} and ${limits.maxComputeInvocationsPerWorkgroup} threads per workgroup`,
  ].join("; ");

export function featuresLine(features: readonly string[], missing: readonly string[]): string {
  const has = features.length === 0 ? "none of the features that kernels use" : features.join(", ");
  return missing.length === 0 ? has : `${has}; no ${missing.join(", no ")}`;
}

/** What is known of the device above. */
export const fact = (text: string): string => `  ${text}`;

export const reasonOf = ({ claim, details, help }: Refusal): string =>
  [claim, ...details].join("; ") + (help === undefined ? "" : `\n  ${help}`);

export const chosen = (device: string, because: string): string => `${device}: chosen, because ${because}`;

export const notChosen = (device: string, why: string): string => `${device}: not chosen, because ${why}`;

export const cannotRun = (missing: readonly string[]): string => `this engine lacks ${missing.join(" and ")}`;

export const notInThisVersion = "this version of mspec compiles no kernels for it";

export const featureName = (feature: keyof typeof featureWords): string => featureWords[feature];
