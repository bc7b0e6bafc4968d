// Where output may be written: finds the real path of a folder, and refuses what leads out of it or lies in the way.

import { lstatSync, mkdirSync, realpathSync, rmdirSync, type Stats } from "node:fs";
import { basename, dirname, join, parse, resolve } from "node:path";
import type { DiskOperation } from "../../runtime/files/disk.ts";
import { diskRefused } from "../../runtime/messages/disk.ts";
import { type Diagnostic, DiagnosticError, invariant } from "../source/diagnostic.ts";
import * as say from "../source/messages/output.ts";

/** Names that Windows gives to devices, with any ending behind a dot. */
const deviceName = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;

export const isReservedName = (name: string): boolean => deviceName.test(name);

export const refuse = (diagnostic: Diagnostic): never => {
  throw new DiagnosticError([diagnostic]);
};

/** Runs one operation of the file system; what it refuses becomes a message. */
export function attempt<T>(operation: DiskOperation, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENAMETOOLONG") refuse(say.nameTooLong(path));
    throw diskRefused(code ?? String(error), operation, path, error);
  }
}

/** What stands at a path itself, without following a link; undefined if there is nothing. */
export function entryAt(path: string): Stats | undefined {
  return attempt("look at", path, () => {
    try {
      return lstatSync(path, { throwIfNoEntry: false });
    } catch (error) {
      // A part of the path is a file: there can be nothing below it.
      if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
      throw error;
    }
  });
}

/** `a file`, `a folder`, `a symbolic link` or what else it is, for messages. */
export function kindOf(entry: Stats): string {
  if (entry.isFile()) return "a file";
  if (entry.isDirectory()) return "a folder";
  return entry.isSymbolicLink() ? "a symbolic link" : "neither a file nor a folder";
}

export interface OutputFolder {
  /** Its real path; nothing outside it is written. */
  readonly path: string;
  readonly exists: boolean;
}

/** The real path of what `-o` names. Nothing is created. */
export function outputFolder(out: string): OutputFolder {
  if (out === "") refuse(say.emptyPath());
  const wanted = resolve(out);
  if (wanted === parse(wanted).root) refuse(say.rootFolder(out));
  const missing: string[] = [];
  let existing = wanted;
  for (; entryAt(existing) === undefined; existing = dirname(existing)) missing.unshift(basename(existing));
  for (const name of missing) if (isReservedName(name)) refuse(say.reservedName(name));
  const real = realFolder(existing);
  if (missing.length === 0 && real === parse(real).root) refuse(say.rootFolder(out));
  return { path: join(real, ...missing), exists: missing.length === 0 };
}

/** Files that only a run has, or only a compiled model: a folder with both would be neither. */
export type FolderUse = "run" | "compiled model";

/** Refuses a folder that already serves another use. */
export function checkUse(path: string, wanted: FolderUse): void {
  const isThere = (name: string): boolean => entryAt(join(path, name)) !== undefined;
  if (wanted === "compiled model" && (isThere("checkpoints") || isThere("compiled"))) refuse(say.holdsRun(path));
  if (wanted === "run" && isThere("manifest.json")) refuse(say.holdsCompiled(path));
}

/** A link at the end or on the way of `-o` itself is the user's choice; it must lead to a folder. */
function realFolder(path: string): string {
  const real = attempt("look at", path, () => realpathOf(path));
  if (real === undefined) return refuse(say.notAFolder(path, "a symbolic link to nothing"));
  const entry = entryAt(real);
  if (entry === undefined || !entry.isDirectory())
    refuse(say.notAFolder(path, entry === undefined ? "gone" : kindOf(entry)));
  return real;
}

function realpathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Refuses links, and folders where files belong, at every place below `folder` that a file of `paths` needs. */
export function checkPlaces(folder: string, paths: readonly string[]): void {
  const checked = new Set<string>();
  for (const path of paths) {
    const parts = path.split("/");
    invariant(!parts.includes("..") && !parts.includes(""), `output path ${path} leads out of its folder`);
    for (let length = 1; length <= parts.length; length++) {
      const place = join(folder, ...parts.slice(0, length));
      if (checked.has(place)) continue;
      checked.add(place);
      const entry = entryAt(place);
      if (entry === undefined) break;
      if (entry.isSymbolicLink()) refuse(say.throughLink(place));
      const isWanted = length === parts.length ? entry.isFile() : entry.isDirectory();
      if (!isWanted) refuse(say.inTheWay(place, kindOf(entry)));
    }
  }
}

/** Creates a folder and those above it; returns the outermost one that was not there before. */
export function createFolders(path: string): string | undefined {
  return attempt("create", path, () => mkdirSync(path, { recursive: true }));
}

/** Removes folders from `path` up to `outermost`, as far as they are empty. */
export function removeEmptyFolders(path: string, outermost: string | undefined): void {
  if (outermost === undefined) return;
  for (let folder = path; folder.length >= outermost.length; folder = dirname(folder)) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}
