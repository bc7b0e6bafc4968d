// A disk in memory that knows what is only in the cache and what lies on the device, so that tests can cut the power.
// Before every operation it asks `onOperation`, which may refuse it (a fault of the disk) or end the process (Killed).

import { createHash } from "node:crypto";
import type { Disk, DiskOperation, Entry, FileReader, FileWriter } from "../../runtime/files/disk.ts";
import { diskRefused, fileChanged } from "../../runtime/messages/disk.ts";

/** The process was killed: nothing after it happens. */
export class Killed extends Error {}

interface FileNode {
  readonly kind: "file";
  content: Uint8Array;
  /** What a sync has brought to the device. */
  durable: Uint8Array;
}

interface FolderNode {
  readonly kind: "folder";
  readonly names: Map<string, Node>;
  /** The names as they were at the last sync, and the changes since, in order. */
  durable: Map<string, Node>;
  changes: ((names: Map<string, Node>) => void)[];
}

type Node = FileNode | FolderNode;

/** What of the unsynced things survives: all (the process died), none, names without contents, or a part by lot. */
export type Crash = "process" | "power" | "power-keeps-names" | { readonly lot: () => number };

function newFolder(): FolderNode {
  return { kind: "folder", names: new Map(), durable: new Map(), changes: [] };
}

function change(folder: FolderNode, apply: (names: Map<string, Node>) => void): void {
  apply(folder.names);
  folder.changes.push(apply);
}

export class MemoryDisk implements Disk {
  /** A write is two operations, so that it can end half way. */
  onOperation: (operation: DiskOperation, path: string) => void | Promise<void> = () => {};
  #root = newFolder();

  /** A disk as it is found after a crash. */
  crashed(crash: Crash): MemoryDisk {
    const after = new MemoryDisk();
    after.#root = surviving(this.#root, crash, new Map()) as FolderNode;
    return after;
  }

  /** Every file with its content, by path. */
  files(): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    const walk = (folder: FolderNode, path: string): void => {
      for (const [name, node] of folder.names) {
        if (node.kind === "file") found.set(`${path}/${name}`, node.content);
        else walk(node, `${path}/${name}`);
      }
    };
    walk(this.#root, "");
    return found;
  }

  /** Puts a file there, durably, without operations; makes its folders. */
  plant(path: string, content: Uint8Array | string): void {
    const names = path.split("/").filter((name) => name !== "");
    let folder = this.#root;
    for (const name of names.slice(0, -1)) {
      if (!folder.names.has(name)) {
        const made = newFolder();
        folder.names.set(name, made);
        folder.durable.set(name, made);
      }
      folder = folder.names.get(name) as FolderNode;
    }
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const file: FileNode = { kind: "file", content: bytes, durable: bytes };
    folder.names.set(names[names.length - 1], file);
    folder.durable.set(names[names.length - 1], file);
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split("/").filter((part) => part !== "")) {
      if (node?.kind !== "folder") return undefined;
      node = node.names.get(name);
    }
    return node;
  }

  #folder(path: string, operation: DiskOperation): FolderNode {
    const node = this.#find(path);
    if (node === undefined) throw diskRefused("ENOENT", operation, path);
    if (node.kind !== "folder") throw diskRefused("ENOTDIR", operation, path);
    return node;
  }

  #file(path: string, operation: DiskOperation): FileNode {
    const node = this.#find(path);
    if (node === undefined) throw diskRefused("ENOENT", operation, path);
    if (node.kind !== "file") throw diskRefused("EISDIR", operation, path);
    return node;
  }

  #parentOf(path: string, operation: DiskOperation): [FolderNode, string] {
    const slash = path.lastIndexOf("/");
    return [this.#folder(path.slice(0, slash), operation), path.slice(slash + 1)];
  }

  async list(path: string): Promise<Entry[]> {
    await this.onOperation("list", path);
    return [...this.#folder(path, "list").names].map(([name, node]) => ({ name, kind: node.kind }));
  }

  async stat(path: string): ReturnType<Disk["stat"]> {
    await this.onOperation("look at", path);
    const node = this.#find(path);
    return node && { kind: node.kind, bytes: node.kind === "file" ? node.content.length : 0 };
  }

  async openRead(path: string): Promise<FileReader> {
    await this.onOperation("open", path);
    const file = this.#file(path, "open");
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      await this.onOperation("read", path);
      if (offset + length > file.content.length) throw fileChanged(path, offset + length, file.content.length);
      return file.content.slice(offset, offset + length);
    };
    return { path, bytes: file.content.length, read, close: async () => {} };
  }

  async create(path: string): Promise<FileWriter> {
    await this.onOperation("create", path);
    const [folder, name] = this.#parentOf(path, "create");
    if (folder.names.has(name)) throw diskRefused("EEXIST", "create", path);
    const file: FileNode = { kind: "file", content: new Uint8Array(0), durable: new Uint8Array(0) };
    change(folder, (names) => names.set(name, file));
    return this.#writer(path, file);
  }

  async openAppend(path: string): Promise<FileWriter> {
    return this.#find(path) === undefined ? this.create(path) : this.#writer(path, this.#file(path, "open"));
  }

  #writer(path: string, file: FileNode): FileWriter {
    const append = (bytes: Uint8Array): void => {
      const content = new Uint8Array(file.content.length + bytes.length);
      content.set(file.content);
      content.set(bytes, file.content.length);
      file.content = content;
    };
    return {
      write: async (bytes) => {
        await this.onOperation("write", path);
        append(bytes.slice(0, bytes.length >> 1));
        await this.onOperation("write", path);
        append(bytes.slice(bytes.length >> 1));
      },
      sync: async () => {
        await this.onOperation("sync", path);
        file.durable = file.content;
      },
      close: async () => {},
    };
  }

  async truncate(path: string, bytes: number): Promise<void> {
    await this.onOperation("truncate", path);
    const file = this.#file(path, "truncate");
    file.content = file.content.slice(0, bytes);
  }

  async createFolder(path: string): Promise<void> {
    await this.onOperation("create", path);
    const [folder, name] = this.#parentOf(path, "create");
    if (folder.names.has(name)) throw diskRefused("EEXIST", "create", path);
    const made = newFolder();
    change(folder, (names) => names.set(name, made));
  }

  async syncFolder(path: string): Promise<void> {
    await this.onOperation("sync", path);
    const folder = this.#folder(path, "sync");
    folder.durable = new Map(folder.names);
    folder.changes = [];
  }

  async rename(from: string, to: string): Promise<void> {
    await this.onOperation("rename", from);
    const [source, sourceName] = this.#parentOf(from, "rename");
    const [target, targetName] = this.#parentOf(to, "rename");
    const node = source.names.get(sourceName);
    const there = target.names.get(targetName);
    if (node === undefined) throw diskRefused("ENOENT", "rename", from);
    if (there?.kind === "folder" && there.names.size > 0) throw diskRefused("ENOTEMPTY", "rename", from);
    // Two names of one file: POSIX leaves both.
    if (there === node) return;
    // Within one folder a rename is one change: a journal keeps it whole.
    if (source !== target) throw new Error("the tests rename within one folder only");
    change(source, (names) => {
      names.delete(sourceName);
      names.set(targetName, node);
    });
  }

  async link(path: string, newPath: string): Promise<void> {
    await this.onOperation("link", newPath);
    const file = this.#file(path, "link");
    const [folder, name] = this.#parentOf(newPath, "link");
    if (folder.names.has(name)) throw diskRefused("EEXIST", "link", newPath);
    change(folder, (names) => names.set(name, file));
  }

  async unlink(path: string): Promise<void> {
    await this.onOperation("delete", path);
    this.#file(path, "delete");
    const [folder, name] = this.#parentOf(path, "delete");
    change(folder, (names) => names.delete(name));
  }

  async removeFolder(path: string): Promise<void> {
    await this.onOperation("delete", path);
    if (this.#folder(path, "delete").names.size > 0) throw diskRefused("ENOTEMPTY", "delete", path);
    const [folder, name] = this.#parentOf(path, "delete");
    change(folder, (names) => names.delete(name));
  }

  startChecksum(): ReturnType<Disk["startChecksum"]> {
    const hash = createHash("sha256");
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
  }
}

/** The node as the device has it after a crash; a node with two names stays one node. */
function surviving(node: Node, crash: Crash, seen: Map<Node, Node>): Node {
  const known = seen.get(node);
  if (known !== undefined) return known;
  if (node.kind === "file") {
    const content = survivingContent(node, crash);
    const file: FileNode = { kind: "file", content, durable: content };
    seen.set(node, file);
    return file;
  }
  const folder = newFolder();
  seen.set(node, folder);
  for (const [name, child] of survivingNames(node, crash)) {
    const after = surviving(child, crash, seen);
    folder.names.set(name, after);
    folder.durable.set(name, after);
  }
  return folder;
}

function survivingContent(file: FileNode, crash: Crash): Uint8Array {
  if (crash === "process") return file.content;
  if (typeof crash === "string") return file.durable;
  if (file.content === file.durable) return file.durable;
  // Any of: what was synced; a part of what was not; the right length with zeros where blocks never came.
  const lot = Math.floor(crash.lot() * 3);
  if (lot === 0) return file.durable;
  const length = Math.floor(crash.lot() * (file.content.length + 1));
  if (lot === 1) return file.content.slice(0, Math.max(length, file.durable.length));
  const zeroed = file.content.slice();
  zeroed.fill(0, Math.min(Math.max(length, file.durable.length), zeroed.length));
  return zeroed;
}

/** A journal keeps the changes of a folder in order, so a part of them is a beginning. */
function survivingNames(folder: FolderNode, crash: Crash): Map<string, Node> {
  if (crash === "process" || crash === "power-keeps-names") return folder.names;
  const names = new Map(folder.durable);
  const count = crash === "power" ? 0 : Math.floor(crash.lot() * (folder.changes.length + 1));
  for (const apply of folder.changes.slice(0, count)) apply(names);
  return names;
}
