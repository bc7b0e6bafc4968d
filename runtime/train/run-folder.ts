// A run's folder while a trainer holds it: what is written at its start, its checkpoints, metrics and samples.

import type { BuildSource } from "../build-source.ts";
import type { Manifest } from "../contract.ts";
import { manifestFiles, type TargetName } from "../device-targets.ts";
import { Fault } from "../fault.ts";
import { stepName } from "../files/checkpoint-folder.ts";
import { type Disk, DiskFault, type Entry, readText } from "../files/disk.ts";
import {
  type Checkpoint,
  type DamagedCheckpoint,
  findIntactTensors,
  findLatestCheckpoint,
} from "../files/find-checkpoint.ts";
import { removeEmptyFolders, removeTree, type TakenFolder, takeRunFolder } from "../files/run-folder.ts";
import { type CheckpointContent, saveCheckpoint } from "../files/save-checkpoint.ts";
import type { Host } from "../host.ts";
import {
  damagedRunExists,
  noCheckpoint,
  noRun,
  nothingToResume,
  runExists,
  skippedCheckpoint,
  specChanged,
} from "../messages/train.ts";
import { parametersFile } from "./device-state.ts";
import { specDifferences } from "./spec-difference.ts";

/** The names in a run folder. */
export const runNames = {
  spec: "spec.yaml",
  compiled: "compiled",
  tokenizer: "tokenizer.json",
  metrics: "metrics.jsonl",
  samples: "samples",
  report: "report.html",
} as const;

/** The name of the normalised spec among the files of a compiled model. */
export const normalizedSpec = "normalized.yaml";

/** A spec, or a sample: far smaller. */
const textLimit = 1 << 24;

export interface SaveOutcome {
  /** The checkpoint; undefined when the disk refused. */
  readonly folder: string | undefined;
  /** Why it was not saved, or why old checkpoints stayed. */
  readonly problem: Fault | undefined;
}

/** What a run folder needs of the machine. */
export type FolderHost = Pick<Host, "disk"> & Required<Pick<Host, "processes">>;

/** A folder that this process has taken for itself. */
export class RunFolder {
  readonly path: string;
  readonly disk: Disk;
  readonly #taken: TakenFolder;
  /** What stood here when the folder was taken. */
  readonly #before: ReadonlySet<string>;
  #isKept = false;

  private constructor(path: string, disk: Disk, taken: TakenFolder, before: readonly Entry[]) {
    this.path = path;
    this.disk = disk;
    this.#taken = taken;
    this.#before = new Set(before.map(({ name }) => name));
  }

  /** Errors: `run/locked`, `disk/unusable-folder`. */
  static async take({ disk, processes }: FolderHost, path: string): Promise<RunFolder> {
    const taken = await takeRunFolder(disk, processes, path);
    try {
      return new RunFolder(path, disk, taken, await disk.list(path));
    } catch (error) {
      await taken.release();
      throw error;
    }
  }

  /** Something was trained: from here on the folder is worth having. */
  keep(): void {
    this.#isKept = true;
  }

  /** Lets others take the folder; one in which nothing was trained is left as it was found. */
  async release(): Promise<void> {
    if (!this.#isKept) await this.#removeOwn();
    await this.#taken.release();
    if (!this.#isKept) await removeEmptyFolders(this.disk, this.#taken.made);
  }

  /** What cannot be removed stays: the fault that ended the run is the one to tell. */
  async #removeOwn(): Promise<void> {
    const own = Object.values(runNames).filter((name) => !this.#before.has(name));
    try {
      for (const name of own) await removeTree(this.disk, this.#pathOf(name));
    } catch (error) {
      if (!(error instanceof DiskFault)) throw error;
    }
  }

  /** Errors: `train/run-exists` when there is a checkpoint, whole or damaged, that a new run would mix with its own. */
  async checkNew(): Promise<void> {
    const { latest, damaged } = await findLatestCheckpoint(this.disk, this.path);
    if (latest !== undefined) throw runExists(this.path, latest.step);
    if (damaged.length > 0) throw damagedRunExists(this.path, damaged, await this.#intactWeights(damaged));
  }

  #intactWeights(damaged: readonly DamagedCheckpoint[]): Promise<string | undefined> {
    return findIntactTensors(this.disk, damaged, parametersFile);
  }

  /** The newest complete checkpoint, and a sentence for each newer one that was left out. */
  async latest(): Promise<{ checkpoint: Checkpoint; warnings: string[] }> {
    const { latest, damaged } = await findLatestCheckpoint(this.disk, this.path);
    if (latest === undefined) throw nothingToResume(this.path, damaged, await this.#intactWeights(damaged));
    return { checkpoint: latest, warnings: damaged.map(skippedCheckpoint) };
  }

  /** Errors: `train/spec-changed` with every field in which a spec differs from the one that the run began with. */
  async checkSpec(normalized: string): Promise<void> {
    const before = await this.readText(runNames.spec);
    if (before === undefined) return;
    const differences = specDifferences(before, normalized);
    if (differences.length > 0) throw specChanged(this.path, differences);
  }

  /** Writes the spec, the compiled model and the tokenizer: with them the run needs nothing from outside any more. */
  async writeModel(targets: ReadonlyMap<TargetName, Manifest>, source: BuildSource, tokenizer?: string): Promise<void> {
    const compiled = [normalizedSpec];
    await this.#writeFile(`${runNames.compiled}/${normalizedSpec}`, await source.text(normalizedSpec));
    for (const [target, manifest] of targets) compiled.push(...(await this.#writeCompiled(target, manifest, source)));
    if (tokenizer !== undefined) await this.#writeFile(runNames.tokenizer, tokenizer);
    await this.#writeFile(runNames.spec, await source.text(normalizedSpec));
    await this.#syncFoldersOf(compiled);
  }

  /** Writes what a run that goes on on another device needs there, unless the folder has it. */
  async addTarget(target: TargetName, manifest: Manifest, source: BuildSource): Promise<void> {
    if (await this.has(`${runNames.compiled}/${manifestFiles[target]}`)) return;
    await this.#syncFoldersOf(await this.#writeCompiled(target, manifest, source));
  }

  /** Writes kernels and, behind them, the manifest that names them; tells all names. */
  async #writeCompiled(target: TargetName, { kernels, module }: Manifest, source: BuildSource): Promise<string[]> {
    const files = kernels.flatMap(({ file, variants = [] }) => [file, ...variants.map((variant) => variant.file)]);
    const texts = [...new Set(files), manifestFiles[target]];
    if (module !== undefined) await this.#writeFile(`${runNames.compiled}/${module}`, await source.bytes(module));
    for (const file of texts) await this.#writeFile(`${runNames.compiled}/${file}`, await source.text(file));
    return module === undefined ? texts : [module, ...texts];
  }

  async #syncFoldersOf(compiled: readonly string[]): Promise<void> {
    const folders = new Set(compiled.flatMap((file) => foldersOf(`${runNames.compiled}/${file}`)));
    for (const folder of [...folders, ""]) await this.disk.syncFolder(this.#pathOf(folder));
  }

  /** Writes a file so that its name never stands for half of it. */
  async write(name: string, content: string | Uint8Array): Promise<void> {
    await this.#writeFile(name, content);
    await this.disk.syncFolder(this.#pathOf(foldersOf(name).at(-1) ?? ""));
  }

  #pathOf(name: string): string {
    return name === "" ? this.path : `${this.path}/${name}`;
  }

  async #writeFile(name: string, content: string | Uint8Array): Promise<void> {
    for (const folder of foldersOf(name)) {
      if ((await this.disk.stat(this.#pathOf(folder))) === undefined) {
        await this.disk.createFolder(this.#pathOf(folder));
      }
    }
    const path = this.#pathOf(name);
    const aside = `${path}.new`;
    if ((await this.disk.stat(aside)) !== undefined) await this.disk.unlink(aside);
    try {
      const writer = await this.disk.create(aside);
      try {
        await writer.write(typeof content === "string" ? new TextEncoder().encode(content) : content);
        await writer.sync();
      } finally {
        await writer.close();
      }
      await this.disk.rename(aside, path);
    } catch (error) {
      await this.#removeHalf(aside);
      throw error;
    }
  }

  /** Of a file that could not be written; the disk's first refusal is the one to tell. */
  async #removeHalf(aside: string): Promise<void> {
    try {
      await removeTree(this.disk, aside);
    } catch (error) {
      if (!(error instanceof DiskFault)) throw error;
    }
  }

  /** Whether the run has a file. */
  has(name: string): Promise<boolean> {
    return isThere(this.disk, this.#pathOf(name));
  }

  /** A text file of the run; undefined when it is not there. */
  async readText(name: string): Promise<string | undefined> {
    const path = `${this.path}/${name}`;
    return (await this.disk.stat(path))?.kind === "file" ? readText(this.disk, path, textLimit) : undefined;
  }

  /** Names in a folder of the run; none when it is not there. */
  async list(name: string): Promise<string[]> {
    const path = `${this.path}/${name}`;
    if ((await this.disk.stat(path)) === undefined) return [];
    return (await this.disk.list(path)).map((entry) => entry.name);
  }

  /** Saves a checkpoint; a disk that refuses is told of, for the caller to decide whether the run goes on. */
  async save(content: CheckpointContent, keep: number): Promise<SaveOutcome> {
    try {
      const { folder, notRemoved } = await saveCheckpoint(this.disk, this.path, content, { keep });
      return { folder, problem: notRemoved };
    } catch (error) {
      if (error instanceof Fault && error.code.startsWith("checkpoint/")) return { folder: undefined, problem: error };
      throw error;
    }
  }
}

/** The folders above a file of the run, from the outermost: `a/b/c.txt` lies in `a` and `a/b`. */
const foldersOf = (name: string): string[] =>
  name
    .split("/")
    .slice(0, -1)
    .map((_, i, names) => names.slice(0, i + 1).join("/"));

/** Where samples of a step are written. */
export const sampleName = (step: number): string => `${runNames.samples}/${stepName(step)}.txt`;

const isThere = async (disk: Disk, path: string): Promise<boolean> => (await disk.stat(path)) !== undefined;

/** The newest complete checkpoint of a folder that may belong to a run that is going on. */
export async function findRunCheckpoint(
  disk: Disk,
  folder: string,
): Promise<{ checkpoint: Checkpoint; warnings: string[] }> {
  if ((await disk.stat(folder))?.kind !== "folder") throw noRun(folder);
  const { latest, damaged } = await findLatestCheckpoint(disk, folder);
  if (latest === undefined) {
    const isRun = damaged.length > 0 || (await isThere(disk, `${folder}/${runNames.spec}`));
    throw isRun ? noCheckpoint(folder, damaged, await findIntactTensors(disk, damaged, parametersFile)) : noRun(folder);
  }
  return { checkpoint: latest, warnings: damaged.map(skippedCheckpoint) };
}
