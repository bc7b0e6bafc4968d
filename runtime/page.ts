// What a page imports that trains or serves a compiled model: no module of Node, no compiler, no folder.

import type { BuildSource } from "./build-source.ts";
import type { DeviceName } from "./device.ts";
import type { Host } from "./host.ts";
import { noWebGpu } from "./messages/page.ts";
import type { Model } from "./model.ts";
import { openOnHost } from "./open-on-host.ts";
import { addressDisk, addressSource } from "./page-files.ts";
import { pageGlobals } from "./page-globals.ts";

export { type BuildSource, memorySource } from "./build-source.ts";
export type { Manifest, ManifestParameter } from "./contract.ts";
export type { Split, TokenStream } from "./data/token-stream.ts";
export type { Device, DeviceName } from "./device.ts";
export { Fault } from "./fault.ts";
export type { Generated, GenerateOptions, Model } from "./model.ts";
export { addressSource } from "./page-files.ts";
export type { Sampling } from "./serve/sampler.ts";
export type { Evaluation } from "./train/evaluate.ts";
export type { ExpertUse, RouterUse } from "./train/expert-loads.ts";
export type { StepReport, TrainObserver, TrainOptions, TrainResult, TrainStart } from "./train/options.ts";

export interface PageOptions {
  /** webgpu unless given. `webgpu:software` computes on the CPU, for tests. */
  readonly device?: DeviceName;
  /** Address of a tokenizer.json; a spec with `tokenizer: bytes` needs none. */
  readonly tokenizer?: string;
  /** See HostedOptions; a page in the background counts seconds more slowly. */
  readonly deadlineSeconds?: number;
}

const pageHost: Host = {
  disk: addressDisk,
  gpu: async () => {
    const { navigator, isSecureContext } = pageGlobals;
    if (navigator?.gpu === undefined) throw noWebGpu(isSecureContext === true);
    return navigator.gpu;
  },
};

/**
 * Opens a compiled model, such as `openModel("./generated/tiny")`; it has no weights yet.
 *
 * It trains on what it is given as `corpus`, and `loadWeights` takes an address or a file that somebody chose.
 */
export function openModel(
  from: string | URL | BuildSource,
  { device = "webgpu", ...options }: PageOptions = {},
): Promise<Model> {
  const source = typeof from === "string" || from instanceof URL ? addressSource(from) : from;
  return openOnHost(source, pageHost, { device, ...options });
}
