// The machine that the runtime works on when it runs in Node: its files and its processes.

import type { BuildSource } from "./build-source.ts";
import type { Disk } from "./files/disk.ts";
import { readText } from "./files/disk.ts";
import { nodeDisk } from "./files/node-disk.ts";
import { nodeProcesses } from "./files/node-process.ts";
import type { Host } from "./host.ts";
import { buildFileTooLarge } from "./messages/model.ts";

/** Devices and the report are loaded when they are asked for. */
export const nodeHost = {
  disk: nodeDisk,
  processes: nodeProcesses,
  openWasm: async (...given) => (await import("./devices/wasm.ts")).openWasm(...given),
  gpu: async (isSoftware) => (await import("./devices/node-dawn.ts")).openDawn({ isSoftware }),
  writeReport: async (...given) => (await import("./report/write-report.ts")).writeReport(...given),
} as const satisfies Host;

/** A manifest of 61 layers has some 2 MiB. */
const textLimit = 1 << 28;

/** The compiled model in a folder: what `mspec compile` writes, or `compiled/` of a run. */
export function folderSource(folder: string, disk: Disk = nodeDisk): BuildSource {
  const textOf = async (path: string): Promise<string> => {
    const text = await readText(disk, path, textLimit);
    if (text === undefined) throw buildFileTooLarge(path, textLimit);
    return text;
  };
  return {
    place: folder,
    text: (path) => textOf(`${folder}/${path}`),
    findText: async (path) =>
      (await disk.stat(`${folder}/${path}`)) === undefined ? undefined : textOf(`${folder}/${path}`),
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
