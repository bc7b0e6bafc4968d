// Opens compiled models on any host: checks the manifest, starts the device, fills in constants, reads the tokenizer.

import type { BuildSource } from "./build-source.ts";
import { ropeTable } from "./constants.ts";
import type { Manifest } from "./contract.ts";
import { byteTokenizer } from "./data/byte-tokenizer.ts";
import type { Tokenizer } from "./data/tokenizer.ts";
import type { Device, DeviceName } from "./device.ts";
import { manifestFiles, targetOfDevice } from "./device-targets.ts";
import { readText } from "./files/disk.ts";
import type { Host } from "./host.ts";
import {
  badManifest,
  buildFileTooLarge,
  missingTokenizer,
  notAFile,
  noWasmHere,
  tokenizerTooLarge,
  unknownDevice,
} from "./messages/model.ts";
import { Model, type ModelParts } from "./model.ts";
import { pathIn, readManifest } from "./read-manifest.ts";

export interface HostedOptions {
  readonly device: DeviceName;
  /** Threads of the wasm device; as many as the machine has cores unless given. */
  readonly threads?: number;
  /**
   * Seconds that a GPU may be at work on what it was given before it is given up; unless given, ten minutes, or thirty times as
   * long as such work took before. Infinity waits for ever.
   */
  readonly deadlineSeconds?: number;
  /** Path of a tokenizer.json; a spec with `tokenizer: bytes` needs none. */
  readonly tokenizer?: string;
}

/** A tokenizer.json of 200,000 tokens has some 20 MiB. */
const tokenizerLimit = 1 << 28;

/** Opens a compiled model. It has no weights yet: see `initialize`, `loadWeights` and `train`. */
export async function openOnHost(source: BuildSource, host: Host, options: HostedOptions): Promise<Model> {
  const names = Object.keys(targetOfDevice);
  if (!names.includes(options.device)) throw unknownDevice(options.device, names);
  const manifest = await readManifest(source, options.device);
  const tokenizer = await readTokenizer(manifest, host, options.tokenizer);
  const device = await openDevice(manifest, source, host, options);
  const tensors = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor]));
  for (const { tensor: name, rule } of manifest.constants) {
    const tensor = tensors.get(name);
    if (tensor !== undefined) device.write(name, ropeTable(rule, tensor));
  }
  return new Model({ manifest, device, source, host, ...tokenizer });
}

async function openDevice(
  manifest: Manifest,
  source: BuildSource,
  host: Host,
  options: HostedOptions,
): Promise<Device> {
  try {
    return await (options.device === "wasm" ? openWasm : openGpu)(manifest, source, host, options);
  } catch (error) {
    // What the compiler has just made is consistent or mspec's own fault; what lay on a disk may have been changed there.
    if (source.place === undefined || !(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw badManifest(pathIn(source, manifestFiles[targetOfDevice[options.device]]), error.message);
  }
}

type OpenDevice = (manifest: Manifest, source: BuildSource, host: Host, options: HostedOptions) => Promise<Device>;

const openWasm: OpenDevice = async (manifest, source, host, { threads }) => {
  if (host.openWasm === undefined) throw noWasmHere();
  const file = manifest.module ?? "";
  const options = { modulePath: pathIn(source, file), ...(threads === undefined ? {} : { threads }) };
  return host.openWasm(manifest, await source.bytes(file), options);
};

const openGpu: OpenDevice = async (manifest, source, host, { device, deadlineSeconds }) => {
  const isSoftware = device === "webgpu:software";
  const gpu = await host.gpu(isSoftware);
  const { openWebGpu } = await import("./devices/webgpu.ts");
  const options = { gpu, isSoftware, ...(deadlineSeconds === undefined ? {} : { deadlineSeconds }) };
  return openWebGpu(manifest, (path) => source.text(path), options);
};

type TokenizerParts = Pick<ModelParts, "tokenizer" | "tokenizerJson">;

/** Errors: faults of the file; `model/tokenizer-too-large`. */
async function readTokenizer({ data, model }: Manifest, { disk }: Host, path?: string): Promise<TokenizerParts> {
  if (path === undefined) {
    const tokenizer = data?.tokenizer === "bytes" ? checked(byteTokenizer, "bytes", model.vocab) : undefined;
    return { tokenizer, tokenizerJson: undefined };
  }
  const stat = await disk.stat(path);
  if (stat === undefined) throw missingTokenizer(path);
  if (stat.kind !== "file") throw notAFile("tokenizer", path);
  const tokenizerJson = await readText(disk, path, tokenizerLimit);
  if (tokenizerJson === undefined) throw buildFileTooLarge(path, tokenizerLimit);
  // The library of tokenizers is larger than the rest of the runtime: a model of bytes never loads it.
  const { openTokenizer } = await import("./data/tokenizer.ts");
  return { tokenizer: checked(openTokenizer(tokenizerJson, path), path, model.vocab), tokenizerJson };
}

/** A model may have more rows than its tokenizer has tokens, for rounder sizes; never fewer. */
function checked(tokenizer: Tokenizer, name: string, vocab: number): Tokenizer {
  if (tokenizer.vocab > vocab) throw tokenizerTooLarge(name, tokenizer.vocab, vocab);
  return tokenizer;
}
