// Sentences about the operating system's refusals: errno in words, with the path and the way out.

import { Fault } from "../fault.ts";
import { DiskFault, type DiskOperation } from "../files/disk.ts";

interface ErrnoWords {
  /** The last part of the fault's code. */
  readonly code: string;
  readonly words: string;
  readonly help?: string;
}

const errnoWords: Readonly<Record<string, ErrnoWords>> = {
  ENOSPC: {
    code: "no-space",
    words: "no space is left on the device",
    help: "free some space or choose another folder with `-o`",
  },
  EDQUOT: {
    code: "over-quota",
    words: "the disk quota of this user is used up",
    help: "delete files of this user or choose another folder with `-o`",
  },
  EIO: {
    code: "device-error",
    words: "the device reported an input/output error",
    help: "check the device; what was saved before is untouched",
  },
  EROFS: {
    code: "read-only",
    words: "the file system is read-only",
    help: "choose a folder that can be written with `-o`",
  },
  ENAMETOOLONG: {
    code: "name-too-long",
    words: "the path is longer than this file system allows",
    help: "choose a shorter path",
  },
  EMFILE: {
    code: "too-many-open",
    words: "this process has too many open files",
    help: "raise the limit with `ulimit -n`",
  },
  ENFILE: { code: "too-many-open", words: "the machine has too many open files", help: "close other programs" },
  EXDEV: {
    code: "other-file-system",
    words: "source and target lie on different file systems",
    help: "keep the run folder on one file system, without mounts inside it",
  },
  EACCES: {
    code: "no-permission",
    words: "permission is denied",
    help: "change the permissions or choose another path",
  },
  EPERM: {
    code: "no-permission",
    words: "the operation is not permitted",
    help: "change the permissions or choose another path",
  },
  ENOENT: { code: "missing", words: "it does not exist" },
  EEXIST: { code: "exists", words: "something of that name exists already" },
  ENOTEMPTY: { code: "not-empty", words: "the folder holds other files" },
  ENOTDIR: { code: "not-a-folder", words: "a part of the path is not a folder" },
  EISDIR: { code: "is-a-folder", words: "it is a folder" },
  ELOOP: { code: "link-loop", words: "its symbolic links go round in a circle", help: "remove the link" },
  EFBIG: {
    code: "too-large",
    words: "the file would be larger than the system allows",
    help: "raise the limit with `ulimit -f`",
  },
  ENOTSUP: {
    code: "unsupported",
    words: "this file system does not support the operation",
    help: "choose a folder on a local file system with `-o`",
  },
  EOPNOTSUPP: {
    code: "unsupported",
    words: "this file system does not support the operation",
    help: "choose a folder on a local file system with `-o`",
  },
  EINVAL: {
    code: "unsupported",
    words: "this file system does not support the operation",
    help: "choose a folder on a local file system with `-o`",
  },
  ESTALE: {
    code: "lost",
    words: "the network file system has lost the file",
    help: "check the connection to the file server",
  },
};

/** The operating system refused `operation` on `path`. */
export function diskRefused(errno: string, operation: DiskOperation, path: string, cause?: unknown): DiskFault {
  const entry = errnoWords[errno];
  return new DiskFault(errno, operation, {
    code: `disk/${entry?.code ?? "refused"}`,
    kind: "environment",
    claim: `cannot ${operation} ${path}: ${entry === undefined ? errno : `${entry.words} (${errno})`}`,
    at: path,
    ...(entry?.help === undefined ? {} : { help: entry.help }),
    cause,
  });
}

/** A file became shorter than it was when it was opened. */
export function fileChanged(path: string, wanted: number, got: number): Fault {
  return new Fault({
    code: "disk/file-changed",
    kind: "environment",
    claim: "the file changed while it was being read",
    at: path,
    details: [`bytes up to ${wanted} were there when it was opened; now it ends at ${got}`],
    help: "stop what writes to it, then start again",
  });
}

/** A folder cannot hold a run: one of the operations that a save needs fails there. */
export function folderUnusable(folder: string, cause: DiskFault): Fault {
  return new Fault({
    code: "disk/unusable-folder",
    kind: "environment",
    claim: `the folder cannot hold checkpoints: ${cause.claim}`,
    at: folder,
    details: [
      "a run needs to create, write, sync, link, rename and delete files there, which is tried with small ones at its start",
    ],
    help: cause.help ?? "choose another folder with `-o`",
    cause,
  });
}
