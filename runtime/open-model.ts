// Opens compiled models: checks the manifest, starts the device, fills in constants, reads the tokenizer.

import type { BuildSource } from "./build-source.ts";
import { ropeTable } from "./constants.ts";
import { type Manifest, manifestVersion } from "./contract.ts";
import { openTokenizer, type Tokenizer } from "./data/tokenizer.ts";
import type { Device, DeviceName } from "./device.ts";
import { openWasm, type WasmOptions } from "./devices/wasm.ts";
import { readText } from "./files/disk.ts";
import { brokenPart } from "./manifest-shape.ts";
import {
  badManifest,
  buildFileTooLarge,
  missingTokenizer,
  notAFile,
  tokenizerTooLarge,
  unknownDevice,
  wrongVersion,
} from "./messages/model.ts";
import { Model, type ModelParts } from "./model.ts";
import { type Host, nodeHost } from "./node-host.ts";

export interface OpenOptions {
  readonly device?: DeviceName;
  /** Threads of the wasm device; as many as the machine has cores unless given. */
  readonly threads?: number;
  /** Path of a tokenizer.json; a spec with `tokenizer: bytes` needs none. */
  readonly tokenizer?: string;
  readonly host?: Host;
}

type OpenDevice = (manifest: Manifest, module: Uint8Array, options: WasmOptions) => Promise<Device>;

const devices: Readonly<Partial<Record<DeviceName, OpenDevice>>> = { wasm: openWasm };

/** A tokenizer.json of 200,000 tokens has some 20 MiB. */
const tokenizerLimit = 1 << 28;

/** Opens a compiled model. It has no weights yet: see `initialize`, `loadWeights` and `train`. */
export async function openModel(source: BuildSource, options: OpenOptions = {}): Promise<Model> {
  const manifest = await readManifest(source);
  const host = options.host ?? nodeHost;
  const tokenizer = await readTokenizer(manifest, host, options.tokenizer);
  const device = await openDevice(manifest, source, options);
  const tensors = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor]));
  for (const { tensor: name, rule } of manifest.constants) {
    const tensor = tensors.get(name);
    if (tensor !== undefined) device.write(name, ropeTable(rule, tensor));
  }
  return new Model({ manifest, device, source, host, ...tokenizer });
}

async function openDevice(manifest: Manifest, source: BuildSource, options: OpenOptions): Promise<Device> {
  const { device: name = "wasm", threads } = options;
  const open = Object.hasOwn(devices, name) ? devices[name] : undefined;
  if (open === undefined) throw unknownDevice(name, Object.keys(devices));
  const file = manifest.module ?? "";
  const module = await source.bytes(file);
  try {
    const modulePath = pathIn(source, file);
    return await open(manifest, module, { modulePath, ...(threads === undefined ? {} : { threads }) });
  } catch (error) {
    // What the compiler has just made is consistent or mspec's own fault; what lay on a disk may have been changed there.
    if (source.place === undefined || !(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw badManifest(pathIn(source, manifestFile), error.message);
  }
}

const manifestFile = "manifest.json";
const pathIn = ({ place }: BuildSource, file: string): string => (place === undefined ? file : `${place}/${file}`);

async function readManifest(source: BuildSource): Promise<Manifest> {
  const text = await source.text(manifestFile);
  const path = pathIn(source, manifestFile);
  let manifest: Partial<Manifest> | null;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw badManifest(path, error instanceof Error ? error.message : String(error));
  }
  if (manifest?.version !== manifestVersion) throw wrongVersion(manifest?.version, manifestVersion);
  const broken = brokenPart(manifest);
  if (broken !== undefined) throw badManifest(path, `its \`${broken}\` is missing or of another kind`);
  return manifest as Manifest;
}

type TokenizerParts = Pick<ModelParts, "tokenizer" | "tokenizerJson">;

/** Errors: faults of the file; `model/tokenizer-too-large`. */
async function readTokenizer({ data, model }: Manifest, { disk }: Host, path?: string): Promise<TokenizerParts> {
  if (path === undefined) {
    const tokenizer = data?.tokenizer === "bytes" ? openTokenizer("bytes", "bytes") : undefined;
    return { tokenizer: tokenizer && checked(tokenizer, "bytes", model.vocab), tokenizerJson: undefined };
  }
  const stat = await disk.stat(path);
  if (stat === undefined) throw missingTokenizer(path);
  if (stat.kind !== "file") throw notAFile("tokenizer", path);
  const tokenizerJson = await readText(disk, path, tokenizerLimit);
  if (tokenizerJson === undefined) throw buildFileTooLarge(path, tokenizerLimit);
  return { tokenizer: checked(openTokenizer(tokenizerJson, path), path, model.vocab), tokenizerJson };
}

/** A model may have more rows than its tokenizer has tokens, for rounder sizes; never fewer. */
function checked(tokenizer: Tokenizer, name: string, vocab: number): Tokenizer {
  if (tokenizer.vocab > vocab) throw tokenizerTooLarge(name, tokenizer.vocab, vocab);
  return tokenizer;
}
