// Opens compiled models in Node.

import type { BuildSource } from "./build-source.ts";
import type { DeviceName } from "./device.ts";
import type { Host } from "./host.ts";
import type { Model } from "./model.ts";
import { nodeHost } from "./node-host.ts";
import { type HostedOptions, openOnHost } from "./open-on-host.ts";

export interface OpenOptions extends Omit<HostedOptions, "device"> {
  /** wasm unless given. */
  readonly device?: DeviceName;
  /** Parts of the machine to be used instead of Node's. */
  readonly host?: Partial<Host>;
}

/** Opens a compiled model. It has no weights yet: see `initialize`, `loadWeights` and `train`. */
export function openModel(
  source: BuildSource,
  { host, device = "wasm", ...options }: OpenOptions = {},
): Promise<Model> {
  return openOnHost(source, { ...nodeHost, ...host }, { device, ...options });
}
