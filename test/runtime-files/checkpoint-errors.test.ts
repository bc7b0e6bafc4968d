import { describe, expect, it } from "vitest";
import { Fault } from "../../runtime/fault.ts";
import type { DiskOperation } from "../../runtime/files/disk.ts";
import { checkWritable } from "../../runtime/files/run-folder.ts";
import { saveCheckpoint } from "../../runtime/files/save-checkpoint.ts";
import { diskRefused } from "../../runtime/messages/disk.ts";
import { contentOf, readNewest } from "./checkpoint-content.ts";
import { MemoryDisk } from "./memory-disk.ts";

const run = "/run";

const errnos: readonly [string, string][] = [
  ["ENOSPC", "no space is left on the device"],
  ["EIO", "the device reported an input/output error"],
  ["EDQUOT", "the disk quota of this user is used up"],
  ["EROFS", "the file system is read-only"],
  ["ENAMETOOLONG", "longer than this file system allows"],
  ["EMFILE", "too many open files"],
  ["EXDEV", "different file systems"],
  ["EACCES", "permission is denied"],
  ["EFBIG", "larger than the system allows"],
];

async function diskWith(steps: readonly number[]): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  disk.plant("/run/spec.yaml", "mspec: 1\n");
  for (const step of steps) await saveCheckpoint(disk, run, contentOf(step), { keep: 99 });
  return disk.crashed("power");
}

/** Refuses operation number `at` (from 0), and with `lasting` every one of its kind after it. */
function refuse(
  disk: MemoryDisk,
  errno: string,
  at: number,
  lasting = false,
): { operation?: DiskOperation; path?: string } {
  let count = 0;
  const refused: { operation?: DiskOperation; path?: string } = {};
  disk.onOperation = (operation, path) => {
    const hits = count++ === at || (lasting && count > at && operation === refused.operation);
    if (!hits) return;
    refused.operation = operation;
    refused.path = path;
    throw diskRefused(errno, operation, path);
  };
  return refused;
}

async function outcomeOf(work: Promise<{ notRemoved: Fault | undefined }>): Promise<Fault | undefined> {
  try {
    return (await work).notRemoved;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

describe.each(errnos)("%s at any operation of a save", (errno, words) => {
  it("names path and reason, leaves the earlier checkpoints whole, and the next save succeeds", async () => {
    let told = 0;
    for (let at = 0; ; at++) {
      const disk = await diskWith([100, 200]);
      const refused = refuse(disk, errno, at);
      const fault = await outcomeOf(saveCheckpoint(disk, run, contentOf(300), { keep: 2 }));
      disk.onOperation = () => {};
      if (refused.path === undefined) break;
      if (fault !== undefined) {
        told++;
        expect(fault.kind).toBe("environment");
        expect(fault.message).toContain(words);
        expect(fault.message).toContain(errno);
        expect(fault.message).toContain(refused.path);
        expect(fault.message).not.toContain("[object");
      }
      if (fault?.code === "checkpoint/save-failed" && fault.message.includes("step-0002")) {
        expect(fault.message).toContain("the last checkpoint before it is step-000200");
      }
      const step = (await readNewest(disk, run)).step;
      expect(fault === undefined || fault.code === "checkpoint/old-not-removed" ? [300] : [200, 300]).toContain(step);
      expect((await saveCheckpoint(disk, run, contentOf(400), { keep: 2 })).notRemoved).toBeUndefined();
      expect((await readNewest(disk, run)).step).toBe(400);
    }
    expect(told).toBeGreaterThan(errno === "EIO" ? 10 : 40);
  });

  it("that lasts leaves the earlier checkpoints whole, also after the power fails", async () => {
    for (let at = 0; ; at++) {
      const disk = await diskWith([100, 200]);
      const refused = refuse(disk, errno, at, true);
      const fault = await outcomeOf(saveCheckpoint(disk, run, contentOf(300), { keep: 1 }));
      disk.onOperation = () => {};
      if (refused.path === undefined) break;
      expect(fault).toBeDefined();
      expect([200, 300]).toContain((await readNewest(disk.crashed("power"), run)).step);
    }
  });
});

it("a file whose sync failed is never synced again: all is written anew, and that save holds", async () => {
  const clean = await diskWith([100]);
  let syncs = 0;
  clean.onOperation = (operation) => {
    if (operation === "sync") syncs++;
  };
  await saveCheckpoint(clean, run, contentOf(200), { keep: 2 });
  for (let failing = 0; failing < syncs; failing++) {
    const disk = await diskWith([100]);
    const events: string[] = [];
    let count = 0;
    disk.onOperation = (operation, path) => {
      if (operation === "sync" || operation === "create") events.push(`${operation} ${path}`);
      if (operation === "sync" && count++ === failing) throw diskRefused("EIO", operation, path);
    };
    const fault = await outcomeOf(saveCheckpoint(disk, run, contentOf(200), { keep: 2 }));
    disk.onOperation = () => {};
    const failed = events.filter((event) => event.startsWith("sync"))[failing];
    const path = failed.slice("sync ".length);
    const later = events.slice(events.indexOf(failed) + 1);
    const again = later.indexOf(failed);
    // Synced again only after it was created again.
    if (again >= 0) expect(later.slice(0, again)).toContain(`create ${path}`);
    // The checkpoints folder itself cannot be written anew; that failure is told.
    if (path === "/run/checkpoints") expect(fault?.code).toMatch(/save-failed|old-not-removed/);
    else expect(fault).toBeUndefined();
    if (fault === undefined) expect((await readNewest(disk.crashed("power"), run)).step).toBe(200);
  }
  expect(syncs).toBeGreaterThan(5);
});

it("a checkpoint that reads back wrongly is told, and nothing older is deleted", async () => {
  const disk = await diskWith([100, 200]);
  let renamed = false;
  disk.onOperation = (operation, path) => {
    if (operation === "rename") renamed = true;
    // The device loses a bit between the sync and the reading back.
    if (renamed && operation === "open" && path.endsWith("step-000300/parameters.safetensors")) {
      const bytes = disk.files().get(path) ?? new Uint8Array();
      bytes[bytes.length - 1] ^= 1;
    }
  };
  const fault = await outcomeOf(saveCheckpoint(disk, run, contentOf(300), { keep: 1 }));
  disk.onOperation = () => {};
  expect(fault?.code).toBe("checkpoint/damaged-on-save");
  expect(fault?.message).toContain("step-000300/parameters.safetensors");
  expect((await readNewest(disk, run)).step).toBe(200);
  expect([...disk.files().keys()].some((path) => path.includes("step-000100"))).toBe(true);
});

it("tensors of another length than their shape are told when they are saved, and nothing older is deleted", async () => {
  const disk = await diskWith([100, 200]);
  const tensors = [{ name: "w", dtype: "F32", shape: [3], read: () => new Uint8Array(8) }] as const;
  const save = saveCheckpoint(
    disk,
    run,
    { step: 300, files: [{ name: "parameters", tensors }], state: {} },
    { keep: 1 },
  );
  expect(await outcomeOf(save)).toMatchObject({ code: "checkpoint/damaged-on-save" });
  expect(await readNewest(disk, run)).toMatchObject({ step: 200, damaged: [{ step: 300 }] });
});

describe("at the start of a run", () => {
  it.each(errnos)(
    "%s at any operation of the check is told with the folder and the operation",
    async (errno, words) => {
      for (let at = 0; ; at++) {
        const disk = await diskWith([]);
        const refused = refuse(disk, errno, at);
        const fault = await outcomeOf(checkWritable(disk, run).then(() => ({ notRemoved: undefined })));
        disk.onOperation = () => {};
        if (refused.path === undefined) break;
        expect(fault?.code).toBe("disk/unusable-folder");
        expect(fault?.message).toContain(words);
        await checkWritable(disk, run);
        expect([...disk.files().keys()]).toEqual(["/run/spec.yaml"]);
      }
    },
  );
});
