// The few operations through which every read and every save goes, so that a test can fail or stop any one of them.
// Knows no Node and no page; node-disk.ts implements it with Node's file system.

import { Fault, type FaultParts } from "../fault.ts";

/** What was being done to a path when it failed. */
export type DiskOperation =
  | "list"
  | "look at"
  | "open"
  | "read"
  | "create"
  | "write"
  | "sync"
  | "truncate"
  | "rename"
  | "link"
  | "delete";

/** The operating system refused an operation; `errno` is its name for why, such as ENOSPC. */
export class DiskFault extends Fault {
  readonly errno: string;
  readonly operation: DiskOperation;

  constructor(errno: string, operation: DiskOperation, parts: FaultParts) {
    super(parts);
    this.name = "DiskFault";
    this.errno = errno;
    this.operation = operation;
  }
}

export type EntryKind = "file" | "folder" | "link" | "other";

export interface Entry {
  readonly name: string;
  /** Links are reported as links, not as what they point to. */
  readonly kind: EntryKind;
}

export interface FileStat {
  /** Links are followed. */
  readonly kind: "file" | "folder" | "other";
  readonly bytes: number;
}

/** A file open for reading: any range, in any order. */
export interface FileReader {
  /** What messages print. */
  readonly path: string;
  /** Its length in bytes when it was opened. */
  readonly bytes: number;
  /** Exactly `length` bytes from `offset`. Errors: a fault when the file ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file open for writing at its end. */
export interface FileWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** Returns when the content lies on the device. After a failure the content is lost: write it again elsewhere. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** SHA-256 of bytes that arrive in pieces. */
export interface Checksum {
  update(bytes: Uint8Array): void;
  /** 64 lower-case hexadecimal digits; the last call. */
  digest(): string;
}

/** Paths are absolute or relative to the working folder, with `/` between names. Errors: every operation throws DiskFault. */
export interface Disk {
  /** In no particular order. */
  list(folder: string): Promise<Entry[]>;
  /** Undefined when nothing is there. */
  stat(path: string): Promise<FileStat | undefined>;
  openRead(path: string): Promise<FileReader>;
  /** Fails with EEXIST when the file exists. */
  create(path: string): Promise<FileWriter>;
  /** Creates the file when it is absent. */
  openAppend(path: string): Promise<FileWriter>;
  truncate(path: string, bytes: number): Promise<void>;
  /** Fails with EEXIST when it exists. */
  createFolder(path: string): Promise<void>;
  /** Returns when the names in the folder lie on the device. */
  syncFolder(path: string): Promise<void>;
  /** Replaces a file atomically; fails with ENOTEMPTY or EEXIST on a folder that holds something. */
  rename(from: string, to: string): Promise<void>;
  /** Gives a file a second name, atomically; fails with EEXIST when the name is taken. */
  link(path: string, newPath: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Only an empty folder. */
  removeFolder(path: string): Promise<void>;
  startChecksum(): Checksum;
}

/** How much is read or written at once: large enough to be fast, small enough to cost no memory. */
export const pieceBytes = 4 << 20;

/** The whole of a small file as text; `limit` in bytes guards against a file that is not what it should be. */
export async function readText(disk: Disk, path: string, limit: number): Promise<string | undefined> {
  const reader = await disk.openRead(path);
  try {
    if (reader.bytes > limit) return undefined;
    return new TextDecoder().decode(await reader.read(0, reader.bytes));
  } finally {
    await reader.close();
  }
}

/** The checksum of a whole file, read in pieces. */
export async function checksumOf(disk: Disk, reader: FileReader): Promise<string> {
  const checksum = disk.startChecksum();
  for (let offset = 0; offset < reader.bytes; offset += pieceBytes) {
    checksum.update(await reader.read(offset, Math.min(pieceBytes, reader.bytes - offset)));
  }
  return checksum.digest();
}

/** The checksum of a text's UTF-8. */
export function checksumOfText(disk: Disk, text: string): string {
  const checksum = disk.startChecksum();
  checksum.update(new TextEncoder().encode(text));
  return checksum.digest();
}

/** The errno of a fault of the disk; undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof DiskFault ? error.errno : undefined;
}
