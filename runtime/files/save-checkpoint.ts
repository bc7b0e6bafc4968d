// Saves a checkpoint so that a crash at any moment leaves the earlier ones whole: written aside, synced, renamed, synced.
// Deletes old ones only after the new one has been read back.

import { Fault } from "../fault.ts";
import { oldNotRemoved, savedButDamaged, saveFailed } from "../messages/checkpoint.ts";
import {
  checkpointsFolder,
  encodeManifest,
  listSteps,
  type ManifestFile,
  manifestName,
  stateName,
  stepName,
  verifyCheckpoint,
} from "./checkpoint-folder.ts";
import {
  holdsOnlyOurs,
  removeCheckpointFolder,
  removingPrefix,
  replacedPrefix,
  savingPrefix,
} from "./checkpoint-leftovers.ts";
import { type Disk, DiskFault, errnoOf } from "./disk.ts";
import { type TensorSource, writeSafetensors } from "./safetensors-writer.ts";

/** What JSON can say. Every finite number comes back exactly; NaN and infinities would come back as null. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface CheckpointContent {
  readonly step: number;
  /** Each becomes `<name>.safetensors`; names are lower-case words. The tensors must not change until the save returns. */
  readonly files: readonly { readonly name: string; readonly tensors: readonly TensorSource[] }[];
  /** Becomes state.json. */
  readonly state: JsonValue;
}

export interface SavedCheckpoint {
  readonly folder: string;
  readonly bytes: number;
  /** Why old checkpoints could not be deleted, when that failed; the save itself is good. */
  readonly notRemoved: Fault | undefined;
}

/**
 * Saves a checkpoint and deletes all but the newest `keep` (at least 1) up to it.
 *
 * Errors: `checkpoint/save-failed` with the disk's reason and the last checkpoint, which is untouched;
 * `checkpoint/damaged-on-save` when the new one does not read back as written, in which case nothing was deleted.
 */
export async function saveCheckpoint(
  disk: Disk,
  runFolder: string,
  content: CheckpointContent,
  options: { readonly keep: number },
): Promise<SavedCheckpoint> {
  const parent = checkpointsFolder(runFolder);
  const folder = `${parent}/${stepName(content.step)}`;
  let earlier: number[] = [];
  try {
    await ensureFolder(disk, parent, runFolder);
    earlier = (await listSteps(disk, runFolder)).filter((step) => step < content.step);
    const files = await writeAsideWithSecondChance(disk, parent, content);
    await moveIntoPlace(disk, parent, content.step);
    await readBack(disk, folder, content.step);
    const notRemoved = await removeOld(disk, parent, content.step, earlier.slice(options.keep - 1));
    return { folder, bytes: files.reduce((sum, file) => sum + file.bytes, 0), notRemoved };
  } catch (error) {
    if (!(error instanceof DiskFault)) throw error;
    throw saveFailed(content.step, folder, error, earlier.length === 0 ? undefined : stepName(earlier[0]));
  }
}

async function ensureFolder(disk: Disk, folder: string, parent: string): Promise<void> {
  if ((await disk.stat(folder)) !== undefined) return;
  await disk.createFolder(folder);
  await disk.syncFolder(parent);
}

/**
 * Writes everything aside. After a device error the whole is written once more to new files: what a failed sync had to
 * write is gone from memory, so syncing the same file again would report success for lost data.
 */
async function writeAsideWithSecondChance(
  disk: Disk,
  parent: string,
  content: CheckpointContent,
): Promise<ManifestFile[]> {
  const aside = `${parent}/${savingPrefix}${stepName(content.step)}`;
  try {
    return await writeAside(disk, aside, content);
  } catch (error) {
    await giveBackSpace(disk, aside);
    if (errnoOf(error) !== "EIO") throw error;
  }
  return await writeAside(disk, aside, content);
}

/** Removes what a failed save left, so that the next one finds its space. */
async function giveBackSpace(disk: Disk, aside: string): Promise<void> {
  try {
    await removeCheckpointFolder(disk, aside);
  } catch (error) {
    // The save's own fault is the one to tell; the next start removes what is left now.
    if (!(error instanceof DiskFault)) throw error;
  }
}

async function writeAside(disk: Disk, aside: string, content: CheckpointContent): Promise<ManifestFile[]> {
  await removeCheckpointFolder(disk, aside);
  await disk.createFolder(aside);
  const files: ManifestFile[] = [];
  for (const { name, tensors } of content.files) {
    const metadata = { format: "mspec", step: String(content.step) };
    files.push(
      await writeFile(disk, aside, `${name}.safetensors`, (write) => writeSafetensors(tensors, metadata, write)),
    );
  }
  files.push(await writeText(disk, aside, stateName, `${JSON.stringify(content.state, undefined, 2)}\n`));
  const manifest = encodeManifest({ format: 1, step: content.step, files });
  await writeText(disk, aside, manifestName, manifest);
  await disk.syncFolder(aside);
  return files;
}

function writeText(disk: Disk, folder: string, name: string, text: string): Promise<ManifestFile> {
  return writeFile(disk, folder, name, (write) => write(new TextEncoder().encode(text)));
}

async function writeFile(
  disk: Disk,
  folder: string,
  name: string,
  produce: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<ManifestFile> {
  const checksum = disk.startChecksum();
  let bytes = 0;
  const writer = await disk.create(`${folder}/${name}`);
  try {
    await produce(async (piece) => {
      checksum.update(piece);
      bytes += piece.length;
      await writer.write(piece);
    });
    await writer.sync();
  } finally {
    await writer.close();
  }
  return { name, bytes, sha256: checksum.digest() };
}

/** Gives the written folder its name; a damaged checkpoint of the same step makes way until the new one is in place. */
async function moveIntoPlace(disk: Disk, parent: string, step: number): Promise<void> {
  const name = stepName(step);
  if ((await disk.stat(`${parent}/${name}`)) !== undefined) {
    await disk.rename(`${parent}/${name}`, `${parent}/${replacedPrefix}${name}`);
  }
  await disk.rename(`${parent}/${savingPrefix}${name}`, `${parent}/${name}`);
  await disk.syncFolder(parent);
}

async function readBack(disk: Disk, folder: string, step: number): Promise<void> {
  try {
    await verifyCheckpoint(disk, folder, step);
  } catch (error) {
    if (error instanceof Fault && !(error instanceof DiskFault)) throw savedButDamaged(step, error);
    throw error;
  }
}

/** Deletes the replaced checkpoint of this step and those of `steps`; one that holds foreign files stays. */
async function removeOld(
  disk: Disk,
  parent: string,
  step: number,
  steps: readonly number[],
): Promise<Fault | undefined> {
  try {
    await removeCheckpointFolder(disk, `${parent}/${replacedPrefix}${stepName(step)}`);
    for (const old of steps) {
      const folder = `${parent}/${stepName(old)}`;
      if (!(await holdsOnlyOurs(disk, folder))) continue;
      const doomed = `${parent}/${removingPrefix}${stepName(old)}`;
      await disk.rename(folder, doomed);
      // Without this sync a power cut could bring the folder back under its old name with half its files.
      await disk.syncFolder(parent);
      await removeCheckpointFolder(disk, doomed);
    }
    return undefined;
  } catch (error) {
    if (error instanceof DiskFault) return oldNotRemoved(parent, error);
    throw error;
  }
}
