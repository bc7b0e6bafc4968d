// How checkpoints lie in a run folder: names, manifest, and the test of whether one is complete. Changes nothing on disk.

import { Fault } from "../fault.ts";
import { badManifest, missingFile, noManifest, wrongChecksum, wrongLength } from "../messages/checkpoint.ts";
import { checksumOf, type Disk, errnoOf, type FileReader, readText } from "./disk.ts";
import { openSafetensors } from "./safetensors.ts";

export interface ManifestFile {
  readonly name: string;
  readonly bytes: number;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** checkpoint.json: it is written last, and with it the checkpoint is complete. */
export interface Manifest {
  readonly format: 1;
  readonly step: number;
  readonly files: readonly ManifestFile[];
}

export const manifestName = "checkpoint.json";
export const stateName = "state.json";

/** A manifest lists a handful of files. */
const MANIFEST_LIMIT = 1 << 20;

export function checkpointsFolder(runFolder: string): string {
  return `${runFolder}/checkpoints`;
}

export function stepName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/** The step of a checkpoint folder's name; undefined for any other name. */
export function stepOf(name: string): number | undefined {
  const digits = /^step-(\d{6,15})$/.exec(name)?.[1];
  return digits !== undefined && stepName(Number(digits)) === name ? Number(digits) : undefined;
}

/** The steps that have a folder, newest first by number: clocks and planted names have no say. */
export async function listSteps(disk: Disk, runFolder: string): Promise<number[]> {
  const folder = checkpointsFolder(runFolder);
  if ((await disk.stat(folder)) === undefined) return [];
  const entries = await disk.list(folder);
  return entries
    .filter((entry) => entry.kind === "folder")
    .map((entry) => stepOf(entry.name))
    .filter((step) => step !== undefined)
    .toSorted((a, b) => b - a);
}

export function encodeManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, undefined, 2)}\n`;
}

/**
 * Reads a checkpoint's manifest and compares every file with it, byte for byte by checksum.
 *
 * Errors: a fault `checkpoint/…` or `safetensors/…` that says what is damaged; other faults when the disk refuses for a reason that says
 * nothing of the checkpoint, such as permissions.
 */
export async function verifyCheckpoint(disk: Disk, folder: string, step: number): Promise<Manifest> {
  const manifest = await readManifest(disk, `${folder}/${manifestName}`, folder);
  if (manifest.step !== step) throw badManifest(`${folder}/${manifestName}`, `it is of step ${manifest.step}`);
  for (const file of manifest.files) await verifyFile(disk, folder, file);
  return manifest;
}

async function verifyFile(disk: Disk, folder: string, file: ManifestFile): Promise<void> {
  const path = `${folder}/${file.name}`;
  const reader = await openListed(disk, path);
  try {
    if (reader.bytes !== file.bytes) throw wrongLength(path, file.bytes, reader.bytes);
    const found = await checksumOf(disk, reader);
    if (found !== file.sha256) throw wrongChecksum(path, file.sha256, found);
    // Right bytes can still be wrong: a tensor of another length than its shape would be found only on resuming.
    if (file.name !== stateName) await openSafetensors(reader);
  } finally {
    await reader.close();
  }
}

/** Whether one file of a checkpoint, which may lack others, is still as its manifest lists it. */
export async function isIntact(disk: Disk, folder: string, name: string): Promise<boolean> {
  try {
    const { files } = await readManifest(disk, `${folder}/${manifestName}`, folder);
    const listed = files.find((file) => file.name === name);
    if (listed === undefined) return false;
    await verifyFile(disk, folder, listed);
    return true;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

async function openListed(disk: Disk, path: string): Promise<FileReader> {
  try {
    return await disk.openRead(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "EISDIR") throw missingFile(path);
    throw error;
  }
}

async function readManifest(disk: Disk, path: string, folder: string): Promise<Manifest> {
  if ((await disk.stat(path))?.kind !== "file") throw noManifest(folder);
  const text = await readText(disk, path, MANIFEST_LIMIT);
  if (text === undefined) throw badManifest(path, `it is longer than ${MANIFEST_LIMIT} bytes`);
  const manifest = parseManifest(text);
  if (manifest === undefined) throw badManifest(path, "it does not list files as mspec does");
  // Writing it again must give the same text: so a single changed bit anywhere in it is seen.
  if (encodeManifest(manifest) !== text) throw badManifest(path, "a part of it has changed");
  return manifest;
}

function parseManifest(text: string): Manifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value.format !== 1 || !isCount(value.step) || !Array.isArray(value.files)) return undefined;
  const files: ManifestFile[] = [];
  for (const file of value.files) {
    if (!isRecord(file) || typeof file.name !== "string" || !isCount(file.bytes)) return undefined;
    if (!isCheckpointFileName(file.name) || file.name === manifestName) return undefined;
    if (typeof file.sha256 !== "string") return undefined;
    files.push({ name: file.name, bytes: file.bytes, sha256: file.sha256 });
  }
  return { format: 1, step: value.step, files };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** The names that a checkpoint's files can have; no path leaves the folder by such a name. */
export function isCheckpointFileName(name: string): boolean {
  return name === manifestName || name === stateName || /^[a-z][a-z0-9_-]{0,62}\.safetensors$/.test(name);
}

/** Whether a fault means that the checkpoint is damaged, rather than that it cannot be looked at now. */
export function isDamage(error: unknown): error is Fault {
  if (!(error instanceof Fault)) return false;
  return /^(checkpoint|safetensors)\/|^disk\/file-changed$/.test(error.code) || errnoOf(error) === "EIO";
}
