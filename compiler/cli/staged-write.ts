// Replaces files of a folder all or none: they are written aside first, and what they replace is kept until the last one,
// the marker, stands. Knows nothing of what the files mean. Output can be made again, so nothing is synced to the device.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import type { OutputFile } from "../emit/output-files.ts";
import { attempt, checkPlaces, createFolders, entryAt, outputFolder, removeEmptyFolders } from "./output-folder.ts";

export interface FolderChange {
  readonly out: string;
  readonly files: readonly OutputFile[];
  /** The file without which the others are nothing: taken away first, put in place last. */
  readonly marker: string;
  /** Paths of earlier output that this one does not have any more, found in the folder's real path. */
  readonly obsolete: (folder: string) => readonly string[];
}

export interface Written {
  readonly folder: string;
  readonly numChanged: number;
}

/** Brings a folder to hold `files`; other files in it stay as they are, and on any failure all of it does. */
export function replaceFiles({ out, files, marker, obsolete }: FolderChange): Written {
  const { path: folder, exists } = outputFolder(out);
  if (!exists) return createWhole(folder, files);
  recoverStages(folder, marker);
  checkPlaces(
    folder,
    files.map((file) => file.path),
  );
  const changed = files.filter((file) => !holds(join(folder, file.path), file.content));
  const removed = obsolete(folder);
  if (changed.length + removed.length === 0) return { folder, numChanged: 0 };
  const stage = new Stage(folder, folder);
  try {
    // The marker goes aside even if it is the same: while it is missing, nobody takes the folder for whole.
    const staged = changed.some((file) => file.path === marker)
      ? changed
      : [...changed, ...files.filter((file) => file.path === marker)];
    stage.write(staged);
    stage.commit([marker, ...staged.map((file) => file.path).filter((path) => path !== marker)], removed, marker);
    for (const path of removed) removeEmptyFolders(dirname(join(folder, path)), `${folder}${sep}`);
  } finally {
    stage.remove();
  }
  return { folder, numChanged: changed.length };
}

/** A folder that was not there appears with everything in it. */
function createWhole(folder: string, files: readonly OutputFile[]): Written {
  const parent = dirname(folder);
  const outermost = createFolders(parent);
  recoverStages(parent, undefined);
  let isDone = false;
  const stage = new Stage(parent, folder);
  try {
    stage.write(files);
    attempt("rename", folder, () => renameSync(stage.fresh, folder));
    isDone = true;
  } finally {
    stage.remove();
    if (!isDone) removeEmptyFolders(parent, outermost);
  }
  return { folder, numChanged: files.length };
}

function holds(path: string, content: string | Uint8Array): boolean {
  if (!existsSync(path)) return false;
  return attempt("read", path, () => readFileSync(path)).equals(Buffer.from(content));
}

const stageName = /^\.mspec-(\d+)-[0-9a-f]{8}$/;
/** Lists what had no predecessor, so that going back can remove it. */
const addedList = "added.json";

/** A folder of its own beside the files: `new/` holds what comes, `old/` what was replaced. */
class Stage {
  readonly #folder: string;
  /** Where the files will be: what messages name. */
  readonly #target: string;
  readonly #path: string;

  constructor(folder: string, target: string) {
    this.#folder = folder;
    this.#target = target;
    this.#path = join(folder, `.mspec-${process.pid}-${randomBytes(4).toString("hex")}`);
    attempt("create", folder, () => mkdirSync(this.#path));
  }

  get fresh(): string {
    return join(this.#path, "new");
  }

  write(files: readonly OutputFile[]): void {
    const folders = new Set(files.map(({ path }) => dirname(join(this.fresh, path))));
    for (const folder of [this.fresh, ...folders]) createFolders(folder);
    for (const { path, content } of files) {
      attempt("write", join(this.#target, path), () => writeFileSync(join(this.fresh, path), content));
    }
  }

  /** Moves the predecessors of `paths` (the marker first) aside, then the new files into place (the marker last). */
  commit(paths: readonly string[], removed: readonly string[], marker: string): void {
    const replaced = [...paths, ...removed].filter((path) => existsSync(join(this.#folder, path)));
    const added = paths.filter((path) => !replaced.includes(path));
    this.#begin(added);
    try {
      for (const path of replaced) move(join(this.#folder, path), join(this.#path, "old", path));
      for (const path of paths.toReversed()) move(join(this.fresh, path), join(this.#folder, path));
    } catch (error) {
      rollBack(this.#folder, this.#path, marker);
      throw error;
    }
  }

  /** From here on going back means to undo; the list is there as a whole or not at all. */
  #begin(added: readonly string[]): void {
    const list = join(this.#path, addedList);
    attempt("write", this.#folder, () => writeFileSync(`${list}.part`, JSON.stringify(added)));
    attempt("rename", this.#folder, () => renameSync(`${list}.part`, list));
  }

  /** What cannot be removed now is no fault of the output; the next compile tries again. */
  remove(): void {
    try {
      rmSync(this.#path, { recursive: true, force: true });
    } catch {}
  }
}

function move(from: string, to: string): void {
  createFolders(dirname(to));
  attempt("rename", to, () => renameSync(from, to));
}

/** Undoes a commit that did not get to its end; one that did has no marker in `new/` any more. */
function rollBack(folder: string, stage: string, marker: string): void {
  if (!existsSync(join(stage, "new", marker)) || !existsSync(join(stage, addedList))) return;
  const added: readonly string[] = JSON.parse(readFileSync(join(stage, addedList), "utf8"));
  const old = join(stage, "old");
  const kept = existsSync(old) ? filesBelow(old) : [];
  checkPlaces(folder, [...added, ...kept]);
  for (const path of added) if (!existsSync(join(stage, "new", path))) rmSync(join(folder, path), { force: true });
  // The marker comes back last, as it would in a commit.
  for (const path of kept.sort((a, b) => Number(a === marker) - Number(b === marker))) {
    move(join(old, path), join(folder, path));
  }
}

/** Paths below a folder, with slashes. */
function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/"));
}

/** Finishes for processes that were killed: what they had replaced comes back, what they had written aside goes. */
export function recoverStages(folder: string, marker: string | undefined): void {
  for (const name of attempt("list", folder, () => readdirSync(folder))) {
    const pid = stageName.exec(name)?.[1];
    const stage = join(folder, name);
    if (pid === undefined || isAlive(Number(pid)) || !entryAt(stage)?.isDirectory()) continue;
    // Without a marker the folder is only the parent of output: a commit in it is not ours to undo.
    if (marker === undefined && existsSync(join(stage, addedList))) continue;
    if (marker !== undefined) rollBack(folder, stage, marker);
    attempt("delete", stage, () => rmSync(stage, { recursive: true, force: true }));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
