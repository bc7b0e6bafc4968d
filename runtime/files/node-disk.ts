// The disk of a Node process. Knows what Node and the operating system call things; decides nothing about checkpoints.

import { createHash } from "node:crypto";
import type { Dirent, Stats } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, rmdir, stat, truncate, unlink } from "node:fs/promises";
import { diskRefused, fileChanged } from "../messages/disk.ts";
import type { Disk, DiskOperation, EntryKind, FileReader, FileWriter } from "./disk.ts";

/** Runs one operation and turns what Node throws into a fault in words. */
async function attempt<T>(operation: DiskOperation, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw diskRefused((error as NodeJS.ErrnoException).code ?? String(error), operation, path, error);
  }
}

function kindOf(entry: Dirent | Stats): EntryKind {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "folder";
  return entry.isSymbolicLink() ? "link" : "other";
}

class NodeReader implements FileReader {
  readonly path: string;
  readonly bytes: number;
  readonly #handle: FileHandle;

  constructor(path: string, bytes: number, handle: FileHandle) {
    this.path = path;
    this.bytes = bytes;
    this.#handle = handle;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const part = await attempt("read", this.path, this.#handle.read(bytes, done, length - done, offset + done));
      if (part.bytesRead === 0) throw fileChanged(this.path, offset + length, offset + done);
      done += part.bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await attempt("read", this.path, this.#handle.close());
  }
}

class NodeWriter implements FileWriter {
  readonly #path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    let done = 0;
    // The system may take fewer bytes than it is given; without space it fails at the next call.
    while (done < bytes.length) {
      const part = await attempt("write", this.#path, this.#handle.write(bytes, done, bytes.length - done));
      done += part.bytesWritten;
    }
  }

  async sync(): Promise<void> {
    await attempt("sync", this.#path, this.#handle.sync());
  }

  async close(): Promise<void> {
    await attempt("write", this.#path, this.#handle.close());
  }
}

async function openWriter(path: string, flags: string): Promise<FileWriter> {
  return new NodeWriter(path, await attempt("create", path, open(path, flags)));
}

async function openReader(path: string): Promise<FileReader> {
  const handle = await attempt("open", path, open(path, "r"));
  try {
    const facts = await attempt("look at", path, handle.stat());
    if (facts.isDirectory()) throw diskRefused("EISDIR", "read", path);
    return new NodeReader(path, facts.size, handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function statPath(path: string): ReturnType<Disk["stat"]> {
  try {
    const facts = await stat(path);
    const kind = kindOf(facts);
    return { kind: kind === "link" ? "other" : kind, bytes: facts.size };
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? String(error);
    if (errno === "ENOENT") return undefined;
    throw diskRefused(errno, "look at", path, error);
  }
}

/** Windows opens no folder, and its file systems keep names in order without help. */
const foldersCanBeSynced = process.platform !== "win32";

async function syncFolder(path: string): Promise<void> {
  if (!foldersCanBeSynced) return;
  const handle = await attempt("open", path, open(path, "r"));
  try {
    await attempt("sync", path, handle.sync());
  } finally {
    await handle.close();
  }
}

/** The file system of this machine. */
export const nodeDisk: Disk = {
  list: async (folder) => {
    const entries = await attempt("list", folder, readdir(folder, { withFileTypes: true }));
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  },
  stat: statPath,
  openRead: openReader,
  create: (path) => openWriter(path, "wx"),
  openAppend: (path) => openWriter(path, "a"),
  truncate: (path, bytes) => attempt("truncate", path, truncate(path, bytes)),
  createFolder: async (path) => {
    await attempt("create", path, mkdir(path));
  },
  syncFolder,
  rename: (from, to) => attempt("rename", from, rename(from, to)),
  link: (path, newPath) => attempt("link", newPath, link(path, newPath)),
  unlink: (path) => attempt("delete", path, unlink(path)),
  removeFolder: (path) => attempt("delete", path, rmdir(path)),
  startChecksum: () => {
    const hash = createHash("sha256");
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
  },
};
