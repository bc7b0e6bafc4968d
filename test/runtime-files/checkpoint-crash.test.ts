import { describe, expect, it } from "vitest";
import { stepOf, verifyCheckpoint } from "../../runtime/files/checkpoint-folder.ts";
import { removeLeftovers } from "../../runtime/files/checkpoint-leftovers.ts";
import { saveCheckpoint } from "../../runtime/files/save-checkpoint.ts";
import { contentOf, readNewest } from "./checkpoint-content.ts";
import { type Crash, Killed, MemoryDisk } from "./memory-disk.ts";

// Every test here enumerates: it ends a save at its first disk operation, at its second, … until the save runs through.

const run = "/run";

async function diskWith(steps: readonly number[]): Promise<MemoryDisk> {
  const disk = planted(new MemoryDisk());
  for (const step of steps) await saveCheckpoint(disk, run, contentOf(step), { keep: 99 });
  return disk.crashed("power");
}

function planted(disk: MemoryDisk): MemoryDisk {
  disk.plant("/run/spec.yaml", "mspec: 1\n");
  return disk;
}

/** Runs `work` and kills the process before its operation number `last` (from 0); tells whether it ran through. */
async function runsThrough(disk: MemoryDisk, last: number, work: () => Promise<unknown>): Promise<boolean> {
  let count = 0;
  disk.onOperation = () => {
    if (count++ >= last) throw new Killed();
  };
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Killed) return false;
    throw error;
  } finally {
    disk.onOperation = () => {};
  }
}

/** A lot that can be drawn again: the minimal standard generator. */
function lotFrom(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

const crashes: [string, Crash[]][] = [
  ["the process is killed", ["process"]],
  ["the power fails and everything unsynced is lost", ["power"]],
  ["the power fails and names survive but unsynced contents do not", ["power-keeps-names"]],
  [
    "the power fails and a random part of the unsynced survives",
    Array.from({ length: 12 }, (_, i) => ({ lot: lotFrom(i * 7919) })),
  ],
];

/** Folder names directly in checkpoints/. */
function checkpointFolders(disk: MemoryDisk): string[] {
  const names = [...disk.files().keys()].map((path) => /^\/run\/checkpoints\/([^/]+)\//.exec(path)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].toSorted();
}

describe.each(crashes)("when %s", (_, variants) => {
  it("at any operation of a save, the newest complete checkpoint loads and nothing is left over", async () => {
    let operations = 0;
    for (let last = 0, done = false; !done; last++, operations++) {
      for (const crash of variants) {
        const disk = await diskWith([100, 200]);
        done = await runsThrough(disk, last, () => saveCheckpoint(disk, run, contentOf(300), { keep: 2 }));
        const after = disk.crashed(crash);
        await removeLeftovers(after, run);
        const { step } = await readNewest(after, run);
        // A save that has returned is on the device; one that has not leaves the one before.
        if (done) expect(step).toBe(300);
        else expect([200, 300]).toContain(step);
        // What is being deleted is out of sight before the first of its files goes.
        for (const name of checkpointFolders(after)) {
          expect(name).toMatch(/^step-000[123]00$/);
          await verifyCheckpoint(after, `/run/checkpoints/${name}`, stepOf(name) ?? -1);
        }
      }
    }
    expect(operations).toBeGreaterThan(50);
  });

  it("at any operation of the first save, there is no checkpoint or the first one", async () => {
    for (let last = 0, done = false; !done; last++) {
      for (const crash of variants) {
        const disk = await diskWith([]);
        done = await runsThrough(disk, last, () => saveCheckpoint(disk, run, contentOf(50), { keep: 1 }));
        const after = disk.crashed(crash);
        await removeLeftovers(after, run);
        expect(done ? [50] : [undefined, 50]).toContain((await readNewest(after, run)).step);
      }
    }
  });

  it("at any operation of saving over a damaged checkpoint of the same step, a good one loads", async () => {
    for (let last = 0, done = false; !done; last++) {
      for (const crash of variants) {
        const disk = await diskWith([200, 300]);
        disk.plant("/run/checkpoints/step-000300/state.json", "damaged");
        done = await runsThrough(disk, last, () => saveCheckpoint(disk, run, contentOf(300), { keep: 2 }));
        const after = disk.crashed(crash);
        await removeLeftovers(after, run);
        expect(done ? [300] : [200, 300]).toContain((await readNewest(after, run)).step);
      }
    }
  });

  it("at any operation of saving over the only checkpoint, the old or the new one of that step loads", async () => {
    for (let last = 0, done = false; !done; last++) {
      for (const crash of variants) {
        const disk = await diskWith([300]);
        done = await runsThrough(disk, last, () => saveCheckpoint(disk, run, contentOf(300, 12, 1), { keep: 1 }));
        const after = disk.crashed(crash);
        await removeLeftovers(after, run);
        const { step, variant } = await readNewest(after, run);
        expect(step).toBe(300);
        if (done) expect(variant).toBe(1);
      }
    }
  });

  it("at any operation of removing leftovers after any crash of a save, the next start still succeeds", async () => {
    const crash = variants[0];
    for (let last = 0, done = false; !done; last += 3) {
      const disk = await diskWith([200, 300]);
      disk.plant("/run/checkpoints/step-000300/state.json", "damaged");
      done = await runsThrough(disk, last, () => saveCheckpoint(disk, run, contentOf(300), { keep: 1 }));
      const crashedOnce = disk.crashed(crash);
      for (let second = 0, cleaned = false; !cleaned; second++) {
        const again = crashedOnce.crashed("process");
        cleaned = await runsThrough(again, second, () => removeLeftovers(again, run));
        const after = again.crashed(crash);
        await removeLeftovers(after, run);
        expect([200, 300]).toContain((await readNewest(after, run)).step);
      }
    }
  });
});

it.each([
  ["complete", "damaged", 0],
  ["damaged", "complete", 1],
  ["complete", "complete", 1],
])(
  "of a replaced checkpoint that is %s and its successor that is %s the right one stays",
  async (old, successor, variant) => {
    const replaced = await diskWith([300]);
    const disk = new MemoryDisk();
    await saveCheckpoint(planted(disk), run, contentOf(300, 12, 1), { keep: 1 });
    for (const [path, bytes] of replaced.files())
      disk.plant(path.replace("/step-000300/", "/.replaced-step-000300/"), bytes);
    if (old === "damaged") disk.plant("/run/checkpoints/.replaced-step-000300/state.json", "damaged");
    if (successor === "damaged") disk.plant("/run/checkpoints/step-000300/state.json", "damaged");
    await removeLeftovers(disk, run);
    expect(await readNewest(disk, run)).toMatchObject({ step: 300, variant });
    expect(checkpointFolders(disk)).toEqual(["step-000300"]);
  },
);

it("a crash loop of 20 saves leaves no more behind than one crash", async () => {
  let disk = await diskWith([100]);
  const bytesAfter: number[] = [];
  for (let round = 0; round < 20; round++) {
    await removeLeftovers(disk, run);
    await runsThrough(disk, 20, () => saveCheckpoint(disk, run, contentOf(200), { keep: 2 }));
    disk = disk.crashed("process");
    bytesAfter.push([...disk.files().values()].reduce((sum, bytes) => sum + bytes.length, 0));
  }
  expect(new Set(bytesAfter).size).toBe(1);
});
