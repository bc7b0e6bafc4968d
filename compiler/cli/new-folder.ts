// Makes a folder that appears whole or not at all: it is filled aside, synced and renamed. Never touches one that holds
// something.

import { randomBytes } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import * as say from "../source/messages/checkpoint-folder.ts";
import { attempt, createFolders, outputFolder, refuse, removeEmptyFolders } from "./output-folder.ts";
import { recoverStages } from "./staged-write.ts";

/** Refused before any work is done for it. */
export function checkNewFolder(out: string): string {
  const { path, exists } = outputFolder(out);
  const names = exists ? attempt("list", path, () => readdirSync(path)) : [];
  if (names.length > 0) refuse(say.folderNotEmpty(path, names));
  return path;
}

/** Fills a folder and gives it its name; on any failure, and on an interrupt, nothing of it is left. */
export async function makeFolder<T>(out: string, fill: (folder: string) => Promise<T>): Promise<T> {
  const path = checkNewFolder(out);
  const parent = dirname(path);
  const outermost = createFolders(parent);
  recoverStages(parent, undefined);
  // The name by which the next command knows what a killed process left.
  const aside = join(parent, `.mspec-${process.pid}-${randomBytes(4).toString("hex")}`);
  const leaveNothing = () => {
    rmSync(aside, { recursive: true, force: true });
    removeEmptyFolders(parent, outermost);
  };
  const letGo = onEndingSignals(leaveNothing);
  try {
    await nodeDisk.createFolder(aside);
    const result = await fill(aside);
    await nodeDisk.syncFolder(aside);
    await nodeDisk.rename(aside, path);
    await nodeDisk.syncFolder(parent);
    return result;
  } catch (error) {
    leaveNothing();
    throw error;
  } finally {
    letGo();
  }
}

const endingSignals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

function onEndingSignals(leaveNothing: () => void): () => void {
  const listeners = Object.entries(endingSignals).map(([name, number]) => {
    const listener = (): never => {
      leaveNothing();
      process.exit(128 + number);
    };
    process.once(name, listener);
    return [name, listener] as const;
  });
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}

/** Writes a file of the folder through `write`; it lies on the device when this returns. */
export async function writeNewFile(
  path: string,
  content: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const writer = await nodeDisk.create(path);
  try {
    await content((bytes) => writer.write(bytes));
    await writer.sync();
  } finally {
    await writer.close();
  }
}

/** Files of a checkpoint besides weights are small: the largest tokenizers have some 20 MiB. */
const mostBytes = 1 << 28;

/** Copies files of a folder as they are; those that are not there are left out. */
export async function copyFiles(from: string, to: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const bytes = await readSmallFile(join(from, name));
    if (bytes !== undefined) await writeNewFile(join(to, basename(name)), (write) => write(bytes));
  }
}

/** The bytes of a file; undefined when it is not there. */
export async function readSmallFile(path: string): Promise<Uint8Array | undefined> {
  if ((await nodeDisk.stat(path)) === undefined) return undefined;
  const reader = await nodeDisk.openRead(path);
  try {
    if (reader.bytes > mostBytes) refuse(say.fileTooLarge(path, reader.bytes, mostBytes));
    return await reader.read(0, reader.bytes);
  } finally {
    await reader.close();
  }
}
