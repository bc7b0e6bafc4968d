// What an interrupted save or deletion leaves behind, and how the next start removes it. Touches nothing it does not know.

import { checkpointsFolder, isCheckpointFileName, isDamage, stepOf, verifyCheckpoint } from "./checkpoint-folder.ts";
import type { Disk } from "./disk.ts";

/** A checkpoint that is being written. */
export const savingPrefix = ".saving-";
/** A checkpoint whose place a new one of the same step takes. */
export const replacedPrefix = ".replaced-";
/** A checkpoint that is being deleted. */
export const removingPrefix = ".removing-";

/**
 * Removes what crashed saves left in a run folder; the caller holds the run's lock.
 *
 * A replaced checkpoint returns to its place when nothing stands there, or when it is complete and what stands there
 * is damaged.
 */
export async function removeLeftovers(disk: Disk, runFolder: string): Promise<void> {
  const parent = checkpointsFolder(runFolder);
  if ((await disk.stat(parent)) === undefined) return;
  for (const { name, kind } of await disk.list(parent)) {
    if (kind !== "folder") continue;
    if (isLeftover(name, savingPrefix) || isLeftover(name, removingPrefix))
      await removeCheckpointFolder(disk, `${parent}/${name}`);
    if (isLeftover(name, replacedPrefix)) await settleReplaced(disk, parent, name.slice(replacedPrefix.length));
  }
}

function isLeftover(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && stepOf(name.slice(prefix.length)) !== undefined;
}

async function settleReplaced(disk: Disk, parent: string, name: string): Promise<void> {
  const replaced = `${parent}/${replacedPrefix}${name}`;
  const current = `${parent}/${name}`;
  const isOnlyOne = (await disk.stat(current)) === undefined;
  if (!isOnlyOne && ((await isComplete(disk, current, name)) || !(await isComplete(disk, replaced, name)))) {
    await removeCheckpointFolder(disk, replaced);
    return;
  }
  const damaged = `${parent}/${removingPrefix}${name}`;
  if (!isOnlyOne) await disk.rename(current, damaged);
  await disk.rename(replaced, current);
  await disk.syncFolder(parent);
  await removeCheckpointFolder(disk, damaged);
}

async function isComplete(disk: Disk, folder: string, name: string): Promise<boolean> {
  try {
    await verifyCheckpoint(disk, folder, stepOf(name) ?? 0);
    return true;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

/** Whether a checkpoint folder holds nothing but a checkpoint's files. */
export async function holdsOnlyOurs(disk: Disk, folder: string): Promise<boolean> {
  const entries = await disk.list(folder);
  return entries.every((entry) => entry.kind === "file" && isCheckpointFileName(entry.name));
}

/** Deletes a checkpoint folder if it exists and holds only a checkpoint's files. */
export async function removeCheckpointFolder(disk: Disk, folder: string): Promise<void> {
  if ((await disk.stat(folder)) === undefined || !(await holdsOnlyOurs(disk, folder))) return;
  for (const entry of await disk.list(folder)) await disk.unlink(`${folder}/${entry.name}`);
  await disk.removeFolder(folder);
}
