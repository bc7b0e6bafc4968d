import { describe, expect, it } from "vitest";
import { Fault } from "../../runtime/fault.ts";
import { takeRunFolder } from "../../runtime/files/run-folder.ts";
import { acquireRunLock, type LockOwner, type ProcessTable, type RunLock } from "../../runtime/files/run-lock.ts";
import { diskRefused } from "../../runtime/messages/disk.ts";
import { Killed, MemoryDisk } from "./memory-disk.ts";

const run = "/run";

/** Processes that live and die as a test says; every one describes itself with a fresh nonce. */
class Processes {
  readonly dead = new Set<number>();
  #nonces = 0;

  table(pid: number, host = "here"): ProcessTable {
    return {
      describeSelf: (): LockOwner => ({
        pid,
        host,
        boot: "b",
        started: "s",
        nonce: `a${this.#nonces++}`,
        takenAt: "now",
      }),
      judge: (owner) => (owner.host !== host ? "unknown" : this.dead.has(owner.pid) ? "dead" : "alive"),
    };
  }
}

function emptyRun(): MemoryDisk {
  const disk = new MemoryDisk();
  disk.plant("/run/spec.yaml", "mspec: 1\n");
  return disk;
}

const lockFiles = (disk: MemoryDisk): string[] => [...disk.files().keys()].filter((path) => path.includes("lock"));

describe("a run's lock", () => {
  it("is refused to others while its owner lives, and free after release", async () => {
    const disk = emptyRun();
    const processes = new Processes();
    const lock = await acquireRunLock(disk, processes.table(1), run);
    const second = acquireRunLock(disk, processes.table(2), run);
    await expect(second).rejects.toMatchObject({ code: "run/locked", kind: "environment", at: "/run/run.lock" });
    await expect(second).rejects.toThrow("process 1 on here, since now");
    await lock.release();
    await acquireRunLock(disk, processes.table(2), run);
    expect(lockFiles(disk)).toEqual(["/run/run.lock"]);
  });

  it("of a dead owner is taken over, and nothing of it stays", async () => {
    const disk = emptyRun();
    const processes = new Processes();
    for (let pid = 1; pid < 20; pid++) {
      await acquireRunLock(disk, processes.table(pid), run);
      expect(lockFiles(disk)).toEqual(["/run/run.lock"]);
      processes.dead.add(pid);
    }
  });

  it("of an owner that cannot be judged from here is left alone, with the way out", async () => {
    const disk = emptyRun();
    const processes = new Processes();
    await acquireRunLock(disk, processes.table(1, "elsewhere"), run);
    await expect(acquireRunLock(disk, processes.table(2), run)).rejects.toThrow(
      "make sure that nothing runs there on elsewhere, then delete /run/run.lock",
    );
  });

  it.each([
    ["nothing"],
    ["{}"],
    ['{"pid":"1","host":"here"}'],
    [`{"pid":1,"host":"here","boot":"","started":"","nonce":"../x","takenAt":""}`],
  ])("that holds %s is not mspec's and is left alone", async (text) => {
    const disk = emptyRun();
    disk.plant("/run/run.lock", text);
    await expect(acquireRunLock(disk, new Processes().table(1), run)).rejects.toMatchObject({ code: "run/bad-lock" });
  });

  it("of which a person made a copy under a claimed name does not send a starter round in a circle", async () => {
    const disk = emptyRun();
    const processes = new Processes();
    await acquireRunLock(disk, processes.table(1), run);
    processes.dead.add(1);
    await disk.link("/run/run.lock", "/run/run.lock.a0");
    await expect(acquireRunLock(disk, processes.table(2), run)).rejects.toMatchObject({ code: "run/bad-lock" });
  });

  it("that another holds by a person's doing is not released by the former owner", async () => {
    const disk = emptyRun();
    const processes = new Processes();
    const first = await acquireRunLock(disk, processes.table(1), run);
    await disk.unlink("/run/run.lock");
    await acquireRunLock(disk, processes.table(2), run);
    await first.release();
    expect(lockFiles(disk)).toEqual(["/run/run.lock"]);
  });
});

it("a starter whose file was tidied away before it was written writes it again", async () => {
  const disk = emptyRun();
  let isFirst = true;
  disk.onOperation = async (operation) => {
    if (operation !== "link" || !isFirst) return;
    isFirst = false;
    await disk.unlink("/run/run.lock.own-a0");
  };
  await acquireRunLock(disk, new Processes().table(1), run);
  expect(isFirst).toBe(false);
  expect(lockFiles(disk)).toEqual(["/run/run.lock"]);
});

/** Runs several starters against one disk and lets, before each operation, a lot say who moves next. */
class Race {
  readonly disk = emptyRun();
  readonly processes = new Processes();
  readonly holders = new Map<number, RunLock>();
  readonly refused = new Set<number>();
  readonly #waiting = new Map<number, { go: () => void; kill: () => void }>();
  #mover = 0;

  constructor() {
    this.disk.onOperation = () => {
      const pid = this.#mover;
      return new Promise<void>((resolve, reject) => {
        this.#waiting.set(pid, {
          go: () => {
            this.#mover = pid;
            resolve();
          },
          kill: () => reject(new Killed()),
        });
      });
    };
  }

  start(pid: number): void {
    this.#mover = pid;
    acquireRunLock(this.disk, this.processes.table(pid), run).then(
      (lock) => void this.holders.set(pid, lock),
      (error: unknown) => {
        if (error instanceof Fault && error.code === "run/locked") this.refused.add(pid);
        else if (!(error instanceof Killed)) throw error;
      },
    );
  }

  /** Those that wait before an operation. */
  get movers(): number[] {
    return [...this.#waiting.keys()];
  }

  async move(pid: number): Promise<void> {
    const turn = this.#waiting.get(pid);
    this.#waiting.delete(pid);
    turn?.go();
    // Everything up to the next operation runs without waiting for anything but promises.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** A killed process stops where it is; what it holds stays. */
  async kill(pid: number): Promise<void> {
    this.processes.dead.add(pid);
    this.holders.delete(pid);
    this.#mover = pid;
    this.#waiting.get(pid)?.kill();
    this.#waiting.delete(pid);
    await new Promise((resolve) => setImmediate(resolve));
    // Its `finally` clauses would still run; a killed process has none.
    this.#waiting.delete(pid);
  }
}

it("of starters that race in any order, with kills in between, never two hold the lock, and one can always get it", async () => {
  let state = 12345;
  const lot = (count: number): number => {
    state = (state * 48271) % 2147483647;
    return state % count;
  };
  let takeovers = 0;
  for (let round = 0; round < 1500; round++) {
    const race = new Race();
    let pid = 0;
    const starters = 2 + lot(3);
    for (let move = 0; move < 90; move++) {
      if (race.movers.length < starters && pid < 7) race.start(++pid);
      const movers = race.movers;
      if (movers.length === 0) break;
      const chosen = movers[lot(movers.length)];
      if (lot(14) === 0) await race.kill(chosen);
      else await race.move(chosen);
      expect(race.holders.size).toBeLessThanOrEqual(1);
      // Now and then the owner itself dies.
      const [owner] = race.holders.keys();
      if (owner !== undefined && lot(4) === 0) await race.kill(owner);
    }
    while (race.movers.length > 0) {
      await race.move(race.movers[0]);
      expect(race.holders.size).toBeLessThanOrEqual(1);
    }
    for (const owner of [...race.holders.keys()]) await race.kill(owner);
    race.disk.onOperation = () => {};
    await acquireRunLock(race.disk, race.processes.table(99), run);
    expect(lockFiles(race.disk)).toEqual(["/run/run.lock"]);
    takeovers++;
  }
  expect(takeovers).toBe(1500);
});

it("starters that race without a kill leave exactly one owner", async () => {
  let state = 777;
  for (let round = 0; round < 300; round++) {
    const race = new Race();
    await acquireDead(race);
    for (let pid = 1; pid <= 4; pid++) race.start(pid);
    while (race.movers.length > 0) {
      state = (state * 48271) % 2147483647;
      await race.move(race.movers[state % race.movers.length]);
    }
    expect(race.holders.size).toBe(1);
    expect(race.refused.size).toBe(3);
  }
});

/** Leaves the lock of a dead owner behind. */
async function acquireDead(race: Race): Promise<void> {
  const { onOperation } = race.disk;
  race.disk.onOperation = () => {};
  await acquireRunLock(race.disk, race.processes.table(50), run);
  race.processes.dead.add(50);
  race.disk.onOperation = onOperation;
}

it("taking a run folder makes it, locks it, cleans it and gives the lock back when it cannot be used", async () => {
  const disk = emptyRun();
  const processes = new Processes();
  disk.plant("/run/a/b/checkpoints/.saving-step-000100/state.json", "{}");
  const lock = await takeRunFolder(disk, processes.table(1), "/run/a/b");
  expect([...disk.files().keys()]).toEqual(["/run/spec.yaml", "/run/a/b/run.lock"]);
  await expect(takeRunFolder(disk, processes.table(2), "/run/a/b")).rejects.toMatchObject({ code: "run/locked" });
  await lock.release();
  const fresh = await takeRunFolder(disk, processes.table(3), "/run/new/deep");
  await fresh.release();
  expect(disk.crashed("power").files().has("/run/spec.yaml")).toBe(true);
  disk.plant("/run/a/b/.writable-probe-aside/foreign", "mine");
  await expect(takeRunFolder(disk, processes.table(4), "/run/a/b")).rejects.toMatchObject({
    code: "disk/unusable-folder",
  });
  expect(lockFiles(disk)).toEqual([]);
});

it("a file system without links, or one that is read-only, is told when a run folder is taken", async () => {
  for (const [operation, errno] of [
    ["link", "EPERM"],
    ["create", "EROFS"],
  ] as const) {
    const disk = emptyRun();
    disk.onOperation = (tried, path) => {
      if (tried === operation) throw diskRefused(errno, tried, path);
    };
    const taken = takeRunFolder(disk, new Processes().table(1), "/run/new");
    await expect(taken).rejects.toMatchObject({ code: "disk/unusable-folder", at: "/run/new", kind: "environment" });
    await expect(taken).rejects.toThrow(errno);
  }
});
