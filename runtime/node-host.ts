// The machine that the runtime works on when it runs in Node: its files and its processes.

import type { BuildSource } from "./build-source.ts";
import type { Disk } from "./files/disk.ts";
import { readText } from "./files/disk.ts";
import { nodeDisk } from "./files/node-disk.ts";
import { nodeProcesses } from "./files/node-process.ts";
import type { ProcessTable } from "./files/run-lock.ts";
import { buildFileTooLarge } from "./messages/model.ts";

/** What the runtime needs of the machine besides a device; tests put a disk that fails in its place. */
export interface Host {
  readonly disk: Disk;
  readonly processes: ProcessTable;
}

export const nodeHost: Host = { disk: nodeDisk, processes: nodeProcesses };

/** A manifest of 61 layers has some 2 MiB. */
const textLimit = 1 << 28;

/** The compiled model in a folder: what `mspec compile` writes, or `compiled/` of a run. */
export function folderSource(folder: string, disk: Disk = nodeDisk): BuildSource {
  return {
    place: folder,
    text: async (path) => {
      const text = await readText(disk, `${folder}/${path}`, textLimit);
      if (text === undefined) throw buildFileTooLarge(`${folder}/${path}`, textLimit);
      return text;
    },
    bytes: async (path) => {
      const reader = await disk.openRead(`${folder}/${path}`);
      try {
        return await reader.read(0, reader.bytes);
      } finally {
        await reader.close();
      }
    },
  };
}
