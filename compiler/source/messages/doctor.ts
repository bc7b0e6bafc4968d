// What `mspec doctor` says of the machine, and why a device is taken.

import { size } from "./device.ts";

export const askedFor = "`--device` or MSPEC_DEVICE asks for it";
export const embeddedDefault = "it is the default: kernels for the machine's own CPU";

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

export const chosen = (device: string, because: string): string => `${device}: chosen, because ${because}`;

export const notChosen = (device: string, why: string): string => `${device}: not chosen, because ${why}`;

export const cannotRun = (missing: readonly string[]): string => `this engine lacks ${missing.join(" and ")}`;

export const notInThisVersion = "this version of mspec compiles no kernels for it";

export const featureName = (feature: keyof typeof featureWords): string => featureWords[feature];
