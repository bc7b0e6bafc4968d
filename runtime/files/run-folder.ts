// Takes a run folder at the start of a run: makes it, locks it, proves that a save can work there, removes leftovers.

import { folderUnusable } from "../messages/disk.ts";
import { removeLeftovers } from "./checkpoint-leftovers.ts";
import { type Disk, DiskFault } from "./disk.ts";
import { acquireRunLock, type ProcessTable, type RunLock } from "./run-lock.ts";

export interface TakenFolder extends RunLock {
  /** The folders that were not there before, from the outermost. */
  readonly made: readonly string[];
}

/**
 * Makes a run folder ready for this process alone, before any work is done that could be lost.
 *
 * Errors: `run/locked`, `disk/unusable-folder`, or a fault of the disk with its path; folders that were made are gone then.
 */
export async function takeRunFolder(disk: Disk, processes: ProcessTable, runFolder: string): Promise<TakenFolder> {
  const made: string[] = [];
  let lock: RunLock | undefined;
  try {
    await orUnusable(runFolder, createFolders(disk, runFolder, made));
    lock = await orUnusable(runFolder, acquireRunLock(disk, processes, runFolder));
    await checkWritable(disk, runFolder);
    await removeLeftovers(disk, runFolder);
    return { ...lock, made };
  } catch (error) {
    await lock?.release();
    await removeEmptyFolders(disk, made);
    throw error;
  }
}

/** Creates a folder and those above it that are missing, each on the device before the next; tells which. */
async function createFolders(disk: Disk, folder: string, made: string[]): Promise<void> {
  if ((await disk.stat(folder)) !== undefined) return;
  const slash = folder.lastIndexOf("/");
  const parent = slash > 0 ? folder.slice(0, slash) : slash === 0 ? "/" : ".";
  await createFolders(disk, parent, made);
  await disk.createFolder(folder);
  made.push(folder);
  await disk.syncFolder(parent);
}

/** Removes folders, the last one first, as far as they are empty and the disk lets it. */
export async function removeEmptyFolders(disk: Disk, folders: readonly string[]): Promise<void> {
  try {
    for (const folder of folders.toReversed()) await disk.removeFolder(folder);
  } catch (error) {
    if (!(error instanceof DiskFault)) throw error;
  }
}

/** Removes a file, or a folder with everything in it; nothing if it is not there. */
export async function removeTree(disk: Disk, path: string): Promise<void> {
  const stat = await disk.stat(path);
  if (stat === undefined) return;
  if (stat.kind !== "folder") return disk.unlink(path);
  for (const { name, kind } of await disk.list(path)) {
    if (kind === "folder") await removeTree(disk, `${path}/${name}`);
    else await disk.unlink(`${path}/${name}`);
  }
  await disk.removeFolder(path);
}

const PROBE = ".writable-probe";

/**
 * Tries every operation of a save in the run folder with a small file, so that a folder which cannot hold checkpoints is
 * found at the start and not hours later. The caller holds the run's lock.
 *
 * Errors: `disk/unusable-folder` with the operation that failed.
 */
export async function checkWritable(disk: Disk, runFolder: string): Promise<void> {
  const aside = `${runFolder}/${PROBE}-aside`;
  const inPlace = `${runFolder}/${PROBE}`;
  try {
    await orUnusable(runFolder, probe(disk, runFolder, aside, inPlace));
  } catch (error) {
    await removeProbesIfPossible(disk, [aside, inPlace]);
    throw error;
  }
}

async function probe(disk: Disk, runFolder: string, aside: string, inPlace: string): Promise<void> {
  await removeProbe(disk, aside);
  await removeProbe(disk, inPlace);
  await disk.createFolder(aside);
  const writer = await disk.create(`${aside}/a`);
  await writer.write(new Uint8Array(4096));
  await writer.sync();
  await writer.close();
  await disk.link(`${aside}/a`, `${aside}/b`);
  await disk.rename(`${aside}/b`, `${aside}/c`);
  await disk.syncFolder(aside);
  await disk.rename(aside, inPlace);
  await disk.syncFolder(runFolder);
  await removeProbe(disk, inPlace);
}

/** What the disk refuses while a run folder is being taken means that the folder will not do. */
async function orUnusable<T>(runFolder: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DiskFault) throw folderUnusable(runFolder, error);
    throw error;
  }
}

/** The refusal that the probe found is the one to tell. */
async function removeProbesIfPossible(disk: Disk, folders: readonly string[]): Promise<void> {
  try {
    for (const folder of folders) await removeProbe(disk, folder);
  } catch (error) {
    if (!(error instanceof DiskFault)) throw error;
  }
}

async function removeProbe(disk: Disk, folder: string): Promise<void> {
  if ((await disk.stat(folder)) === undefined) return;
  for (const name of ["a", "b", "c"]) {
    if ((await disk.stat(`${folder}/${name}`)) !== undefined) await disk.unlink(`${folder}/${name}`);
  }
  await disk.removeFolder(folder);
}
