import { describe, expect, it } from "vitest";
import { findLatestCheckpoint } from "../../runtime/files/find-checkpoint.ts";
import { saveCheckpoint } from "../../runtime/files/save-checkpoint.ts";
import { diskRefused } from "../../runtime/messages/disk.ts";
import { contentOf, readNewest } from "./checkpoint-content.ts";
import { MemoryDisk } from "./memory-disk.ts";

const run = "/run";
const newest = "/run/checkpoints/step-000200";
/** 10,240 elements of f32: the file passes several boundaries of 4 KiB. */
const LENGTH = 10_240;

async function diskWith(steps: readonly number[], length = 12, keep = 99): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  disk.plant("/run/spec.yaml", "mspec: 1\n");
  for (const step of steps) await saveCheckpoint(disk, run, contentOf(step, length), { keep });
  return disk;
}

/** The newest checkpoint's files by name. */
function filesOf(disk: MemoryDisk): [string, Uint8Array][] {
  return [...disk.files()].filter(([path]) => path.startsWith(`${newest}/`));
}

/** Checks that the newest is skipped with a reason that names `path`, and that the one before loads. */
async function expectSkipped(disk: MemoryDisk, path: string): Promise<void> {
  const { step, damaged } = await readNewest(disk, run);
  expect(step).toBe(100);
  expect(damaged.map((one) => one.step)).toEqual([200]);
  expect(damaged[0].why.at).toContain(path);
}

describe("a damaged newest checkpoint is skipped, with which and why:", () => {
  it("one flipped bit at any byte of any file", async () => {
    const disk = await diskWith([100, 200]);
    let flips = 0;
    for (const [path, bytes] of filesOf(disk)) {
      for (let at = 0; at < bytes.length; at++, flips++) {
        bytes[at] ^= 1 << (at % 8);
        await expectSkipped(disk, path.endsWith("checkpoint.json") ? newest : path);
        bytes[at] ^= 1 << (at % 8);
      }
    }
    expect(flips).toBeGreaterThan(1000);
    expect((await readNewest(disk, run)).step).toBe(200);
  });

  it("any file truncated at any boundary of 4 KiB, at its first and before its last byte", async () => {
    const disk = await diskWith([100, 200], LENGTH);
    let cuts = 0;
    for (const [path, bytes] of filesOf(disk)) {
      const lengths = [0, 1, bytes.length - 1];
      for (let length = 4096; length < bytes.length; length += 4096) lengths.push(length);
      for (const length of lengths) {
        disk.plant(path, bytes.slice(0, length));
        await expectSkipped(disk, path);
        cuts++;
      }
      disk.plant(path, bytes);
    }
    expect(cuts).toBeGreaterThan(30);
    expect((await readNewest(disk, run)).step).toBe(200);
  });

  it("any file missing, or grown by a byte", async () => {
    const whole = await diskWith([100, 200]);
    for (const [path, bytes] of filesOf(whole)) {
      const without = whole.crashed("process");
      await without.unlink(path);
      await expectSkipped(without, path.endsWith("checkpoint.json") ? newest : path);
      const longer = whole.crashed("process");
      longer.plant(path, new Uint8Array([...bytes, 10]));
      await expectSkipped(longer, path);
    }
  });

  it.each([
    ["no JSON", "{"],
    ["an array", "[]"],
    ["another format", '{"format":2,"step":200,"files":[]}'],
    [
      "a path that leaves the folder",
      '{"format":1,"step":200,"files":[{"name":"../../spec.yaml","bytes":9,"sha256":"x"}]}',
    ],
    ["an absolute path", '{"format":1,"step":200,"files":[{"name":"/run/spec.yaml","bytes":9,"sha256":"x"}]}'],
    ["a length that is no number", '{"format":1,"step":200,"files":[{"name":"state.json","bytes":"9","sha256":"x"}]}'],
    ["__proto__", '{"format":1,"step":200,"files":[],"__proto__":{"polluted":1}}'],
  ])("a manifest that holds %s", async (_, text) => {
    const disk = await diskWith([100, 200]);
    disk.plant(`${newest}/checkpoint.json`, text);
    await expectSkipped(disk, `${newest}/checkpoint.json`);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("one that was renamed to another step", async () => {
    const disk = await diskWith([100, 200]);
    await disk.rename(newest, "/run/checkpoints/step-000900");
    const { step, damaged } = await readNewest(disk, run);
    expect([step, damaged[0].step, damaged[0].why.claim]).toEqual([
      100,
      900,
      "checkpoint.json is not as it was written: it is of step 200",
    ]);
  });

  it("one on a part of the device that cannot be read", async () => {
    const disk = await diskWith([100, 200]);
    disk.onOperation = (operation, path) => {
      if (operation === "read" && path.startsWith(newest)) throw diskRefused("EIO", operation, path);
    };
    await expectSkipped(disk, newest);
  });
});

it("permissions are no damage: the search stops and says so", async () => {
  const disk = await diskWith([100, 200]);
  disk.onOperation = (operation, path) => {
    if (operation === "open" && path.startsWith(newest)) throw diskRefused("EACCES", operation, path);
  };
  await expect(findLatestCheckpoint(disk, run)).rejects.toMatchObject({ code: "disk/no-permission" });
});

it("an empty run, temporary folders and planted pointers hold no checkpoint", async () => {
  const disk = await diskWith([]);
  expect((await readNewest(disk, run)).step).toBeUndefined();
  disk.plant("/run/checkpoints/.saving-step-000300/checkpoint.json", "{}");
  disk.plant("/run/checkpoints/step-000300.tmp/checkpoint.json", "{}");
  disk.plant("/run/checkpoints/step-300/checkpoint.json", "{}");
  disk.plant("/run/checkpoints/latest", "step-000300");
  expect(await readNewest(disk, run)).toMatchObject({ step: undefined, damaged: [] });
});

it("the newest is the one of the highest step, in whatever order they were written", async () => {
  const disk = await diskWith([]);
  for (const step of [300, 1_000_000, 20]) await saveCheckpoint(disk, run, contentOf(step), { keep: 9 });
  expect((await readNewest(disk, run)).step).toBe(1_000_000);
});

describe("retention", () => {
  const stepsOf = (disk: MemoryDisk): string[] => [
    ...new Set([...disk.files().keys()].map((path) => path.split("/")[3]).filter((name) => name !== undefined)),
  ];

  it("keeps the newest ones and deletes the others", async () => {
    const disk = await diskWith([10, 20, 30, 40], 12, 2);
    expect(stepsOf(disk)).toEqual(["step-000030", "step-000040"]);
  });

  it("never touches what it does not know", async () => {
    const disk = await diskWith([10]);
    disk.plant("/run/checkpoints/step-000010/notes.txt", "mine");
    disk.plant("/run/checkpoints/best/parameters.safetensors", "mine");
    disk.plant("/run/checkpoints/step-5/checkpoint.json", "mine");
    for (const step of [20, 30]) await saveCheckpoint(disk, run, contentOf(step), { keep: 1 });
    expect(stepsOf(disk).toSorted()).toEqual(["best", "step-000010", "step-000030", "step-5"]);
    expect(disk.files().has("/run/checkpoints/step-000010/parameters.safetensors")).toBe(true);
  });

  it("leaves checkpoints of later steps alone", async () => {
    const disk = await diskWith([10, 500]);
    await saveCheckpoint(disk, run, contentOf(20), { keep: 1 });
    expect(stepsOf(disk).toSorted()).toEqual(["step-000020", "step-000500"]);
  });
});

it("a part that was never saved is refused with what is there and the way out", async () => {
  const { latest } = await findLatestCheckpoint(await diskWith([100]), run);
  const fault = await latest?.readTensors("ema", async () => {}).catch((error: unknown) => error);
  expect(fault).toMatchObject({ code: "checkpoint/missing-part", kind: "input" });
  expect((fault as Error).message).toContain("--weights");
});

it("a checkpoint whose folder was copied elsewhere still loads by its checksums", async () => {
  const disk = await diskWith([100]);
  const copy = new MemoryDisk();
  for (const [path, bytes] of disk.files()) copy.plant(path.replace("/run/", "/copy/"), bytes);
  expect((await readNewest(copy, "/copy")).step).toBe(100);
});
