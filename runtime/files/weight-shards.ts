// The weights of a checkpoint folder as one set of tensors: model.safetensors, or the files that an index names. Reads
// ranges; at most one tensor is in memory. Knows no model.

import * as messages from "../messages/hugging-face.ts";
import { type Disk, type FileReader, readText } from "./disk.ts";
import { foreignFormat } from "./foreign-format.ts";
import { openSafetensors, type SafetensorsFile, type StoredTensor } from "./safetensors.ts";

const singleName = "model.safetensors";
const indexName = "model.safetensors.index.json";
/** A million names of a hundred characters. */
const indexLimit = 1 << 27;

interface Shard {
  readonly name: string;
  readonly reader: FileReader;
  readonly file: SafetensorsFile;
}

/** A folder's open weights; `close` closes all of its files. */
export class WeightShards {
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What is odd about the index, and no reason to refuse it. */
  readonly warning: string | undefined;
  readonly #shards: readonly Shard[];
  readonly #places = new Map<string, { readonly shard: Shard; readonly tensor: StoredTensor }>();

  constructor(folder: string, shards: readonly Shard[], warning?: string) {
    this.folder = folder;
    this.warning = warning;
    this.#shards = shards;
    for (const shard of shards) {
      for (const tensor of shard.file.tensors.values()) this.#places.set(tensor.name, { shard, tensor });
    }
    this.tensors = new Map([...this.#places].map(([name, { tensor }]) => [name, tensor]));
  }

  /** The file that a tensor lies in. */
  pathOf(name: string): string {
    return this.#place(name).shard.reader.path;
  }

  /** `length` bytes of a tensor from its byte `offset`. */
  readBytes(name: string, offset: number, length: number): Promise<Uint8Array> {
    const { shard, tensor } = this.#place(name);
    return shard.file.readBytes(tensor, offset, length);
  }

  async close(): Promise<void> {
    await closeAll(this.#shards.map(({ reader }) => reader));
  }

  #place(name: string): { readonly shard: Shard; readonly tensor: StoredTensor } {
    const place = this.#places.get(name);
    if (place === undefined) throw new RangeError(`${this.folder} has no tensor ${name}`);
    return place;
  }
}

/**
 * Opens the weights of a folder; a single file goes before an index, as in transformers.
 *
 * Errors: `import/no-weights`, `import/not-safetensors` with what the file is instead, `import/bad-index`,
 * `import/missing-shard`, `import/shards-differ`, `safetensors/…`.
 */
export async function openWeightShards(disk: Disk, folder: string): Promise<WeightShards> {
  if ((await disk.stat(`${folder}/${singleName}`)) !== undefined) {
    return new WeightShards(folder, await openShards(disk, folder, [singleName]));
  }
  if ((await disk.stat(`${folder}/${indexName}`)) === undefined) {
    throw messages.noWeights(folder, await otherWeights(disk, folder));
  }
  const path = `${folder}/${indexName}`;
  const { map, totalSize } = await readIndex(disk, path);
  // The last tensor of each file stands for it.
  for (const [shard, tensor] of new Map([...map].map(([tensor, shard]) => [shard, tensor]))) {
    if ((await disk.stat(`${folder}/${shard}`)) === undefined) throw messages.missingShard(path, shard, tensor);
  }
  const shards = await openShards(disk, folder, [...new Set(map.values())].toSorted());
  const differences = indexDifferences(map, shards);
  if (differences.length === 0) return new WeightShards(folder, shards, sizeWarning(path, totalSize, shards));
  await closeAll(shards.map(({ reader }) => reader));
  throw messages.shardsDiffer(path, differences);
}

async function openShards(disk: Disk, folder: string, names: readonly string[]): Promise<Shard[]> {
  const shards: Shard[] = [];
  const readers: FileReader[] = [];
  try {
    for (const name of names) {
      const reader = await disk.openRead(`${folder}/${name}`);
      readers.push(reader);
      const foreign = await foreignFormat(reader);
      if (foreign !== undefined) throw messages.notSafetensors(reader.path, foreign.what, foreign.help);
      shards.push({ name, reader, file: await openSafetensors(reader) });
    }
    return shards;
  } catch (error) {
    await closeAll(readers);
    throw error;
  }
}

async function closeAll(readers: readonly FileReader[]): Promise<void> {
  for (const reader of readers) await reader.close();
}

/** A file beside the index: no folder, no address, nothing hidden. */
const shardName = /^(?!\.)[^/\\:\0]+\.safetensors$/;

interface Index {
  /** Which file each tensor lies in. */
  readonly map: ReadonlyMap<string, string>;
  /** Bytes of all tensors; undefined where the index does not say it. */
  readonly totalSize: number | undefined;
}

/** transformers does not read the size, and some indexes of the hub have a wrong one, so it is told and no more. */
function sizeWarning(path: string, totalSize: number | undefined, shards: readonly Shard[]): string | undefined {
  const tensors = shards.flatMap(({ file }) => [...file.tensors.values()]);
  const bytes = tensors.reduce((sum, { begin, end }) => sum + end - begin, 0);
  return totalSize === undefined || totalSize === bytes ? undefined : messages.otherTotalSize(path, totalSize, bytes);
}

async function readIndex(disk: Disk, path: string): Promise<Index> {
  const text = await readText(disk, path, indexLimit);
  if (text === undefined) throw messages.fileTooLarge(path, indexLimit);
  let map: unknown;
  let totalSize: unknown;
  try {
    const index = JSON.parse(text) as { weight_map?: unknown; metadata?: { total_size?: unknown } } | null;
    map = index?.weight_map;
    totalSize = index?.metadata?.total_size;
  } catch (error) {
    throw messages.badIndex(path, error instanceof Error ? error.message : String(error));
  }
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw messages.badIndex(path, "it has no `weight_map` of file names by tensor");
  }
  const entries = Object.entries(map);
  if (entries.length === 0) throw messages.badIndex(path, "its `weight_map` names no tensor");
  for (const [tensor, shard] of entries) {
    if (typeof shard === "string" && shardName.test(shard)) continue;
    throw messages.badIndex(
      path,
      `tensor ${JSON.stringify(tensor)} lies in ${JSON.stringify(shard)}, which is no name of a .safetensors file beside the index`,
    );
  }
  return {
    map: new Map(entries as [string, string][]),
    totalSize: typeof totalSize === "number" ? totalSize : undefined,
  };
}

/** What of the index is not in the files and the other way round: a tensor of two files is one of them. */
function indexDifferences(map: ReadonlyMap<string, string>, shards: readonly Shard[]): string[] {
  const files = new Map(shards.map((shard) => [shard.name, shard.file]));
  const absent = [...map].filter(([tensor, shard]) => files.get(shard)?.tensors.has(tensor) !== true);
  const unlisted = shards.flatMap(({ name, file }) =>
    [...file.tensors.keys()].filter((tensor) => map.get(tensor) !== name).map((tensor) => [tensor, name] as const),
  );
  return [
    ...absent.map(([tensor, shard]) => messages.notInShard(tensor, shard)),
    ...unlisted.map(([tensor, shard]) => messages.notInIndex(tensor, shard)),
  ];
}

/** Files that hold weights in a way that mspec does not read. */
async function otherWeights(disk: Disk, folder: string): Promise<string[]> {
  const names = (await disk.list(folder)).filter(({ kind }) => kind !== "folder").map(({ name }) => name);
  return names.filter((name) => /\.(bin|pt|pth|ckpt|gguf|ggml|h5|msgpack|onnx|safetensors)$/i.test(name)).toSorted();
}
