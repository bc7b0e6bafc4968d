// Finds the newest complete checkpoint of a run and opens it. Complete ones are found by scanning, never by a pointer.

import type { Fault } from "../fault.ts";
import { missingPart } from "../messages/checkpoint.ts";
import {
  checkpointsFolder,
  isDamage,
  isIntact,
  listSteps,
  type Manifest,
  stateName,
  stepName,
  verifyCheckpoint,
} from "./checkpoint-folder.ts";
import type { Disk } from "./disk.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts";

export interface FoundCheckpoint {
  /** The newest complete checkpoint; undefined when the run has none. */
  readonly latest: Checkpoint | undefined;
  /** Newer ones that were skipped, newest first. */
  readonly damaged: readonly DamagedCheckpoint[];
}

export interface DamagedCheckpoint {
  readonly step: number;
  readonly folder: string;
  readonly why: Fault;
}

/**
 * The newest checkpoint of which every file has the length and checksum that its manifest lists.
 *
 * Errors: a fault of the disk that says nothing of a checkpoint, such as missing permissions: skipping would lose steps.
 */
export async function findLatestCheckpoint(disk: Disk, runFolder: string): Promise<FoundCheckpoint> {
  const damaged: DamagedCheckpoint[] = [];
  for (const step of await listSteps(disk, runFolder)) {
    const folder = `${checkpointsFolder(runFolder)}/${stepName(step)}`;
    try {
      const manifest = await verifyCheckpoint(disk, folder, step);
      return { latest: new Checkpoint(disk, folder, manifest), damaged };
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push({ step, folder, why: error });
    }
  }
  return { latest: undefined, damaged };
}

/** The newest whole file of tensors of that name in checkpoints that are damaged elsewhere. */
export async function findIntactTensors(
  disk: Disk,
  damaged: readonly DamagedCheckpoint[],
  name: string,
): Promise<string | undefined> {
  const file = `${name}.safetensors`;
  for (const { folder } of damaged) if (await isIntact(disk, folder, file)) return `${folder}/${file}`;
  return undefined;
}

/** A complete checkpoint whose checksums were right when it was opened. */
export class Checkpoint {
  readonly step: number;
  readonly folder: string;
  readonly #disk: Disk;
  readonly #names: readonly string[];

  constructor(disk: Disk, folder: string, manifest: Manifest) {
    this.#disk = disk;
    this.folder = folder;
    this.step = manifest.step;
    this.#names = manifest.files.map((file) => file.name);
  }

  /** What was given as `state` when it was saved. */
  async readState(): Promise<unknown> {
    return this.#open(stateName, async (reader) =>
      JSON.parse(new TextDecoder().decode(await reader.read(0, reader.bytes))),
    );
  }

  /** Opens the tensors saved under a name, such as `parameters`, for as long as `work` runs. */
  async readTensors<T>(name: string, work: (file: SafetensorsFile) => Promise<T>): Promise<T> {
    return this.#open(`${name}.safetensors`, async (reader) => work(await openSafetensors(reader)));
  }

  async #open<T>(name: string, work: (reader: Awaited<ReturnType<Disk["openRead"]>>) => Promise<T>): Promise<T> {
    if (!this.#names.includes(name)) throw missingPart(this.folder, name, this.#names);
    const reader = await this.#disk.openRead(`${this.folder}/${name}`);
    try {
      return await work(reader);
    } finally {
      await reader.close();
    }
  }
}
