// The disk and the processes of this machine: real files, real locks, real kills.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { findLatestCheckpoint } from "../../runtime/files/find-checkpoint.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import { nodeProcesses } from "../../runtime/files/node-process.ts";
import { takeRunFolder } from "../../runtime/files/run-folder.ts";
import { acquireRunLock } from "../../runtime/files/run-lock.ts";
import { saveCheckpoint } from "../../runtime/files/save-checkpoint.ts";
import { contentOf, readNewest } from "./checkpoint-content.ts";
import { type CompiledRuntime, compileRuntime } from "./compiled-runtime.ts";

let runtime: CompiledRuntime;
let root: string;
let run: string;
let runs = 0;

beforeAll(async () => {
  runtime = await compileRuntime();
  root = await mkdtemp(join(tmpdir(), "mspec-disk-"));
});
afterAll(async () => {
  await runtime.remove();
  await rm(root, { recursive: true });
});
beforeEach(async () => {
  run = join(root, `run-${runs++}`);
  await mkdir(run);
});

describe("the disk of Node", () => {
  it("saves and finds checkpoints", async () => {
    for (const step of [100, 200, 300]) await saveCheckpoint(nodeDisk, run, contentOf(step, 4096), { keep: 2 });
    expect((await readdir(join(run, "checkpoints"))).toSorted()).toEqual(["step-000200", "step-000300"]);
    expect((await readNewest(nodeDisk, run)).step).toBe(300);
  });

  it("saves tensors that lie in memory shared between threads", async () => {
    const shared = new Float32Array(new SharedArrayBuffer(64)).fill(1.5);
    const file = {
      name: "parameters",
      tensors: [{ name: "w", dtype: "F32", shape: [16], read: () => new Uint8Array(shared.buffer) }],
    } as const;
    await saveCheckpoint(nodeDisk, run, { step: 1, files: [file], state: {} }, { keep: 1 });
    const { latest } = await findLatestCheckpoint(nodeDisk, run);
    const out = new Float32Array(new SharedArrayBuffer(64));
    await latest?.readTensors("parameters", (tensors) => tensors.readFloats("w", out));
    expect([...out]).toEqual(Array(16).fill(1.5));
  });

  it("ignores links, planted pointers and odd names among checkpoints", async () => {
    await saveCheckpoint(nodeDisk, run, contentOf(100), { keep: 1 });
    const folder = join(run, "checkpoints");
    await symlink("step-000100", join(folder, "latest"));
    await symlink("step-000100", join(folder, "step-000900"));
    await symlink("nowhere", join(folder, "step-000800"));
    await writeFile(join(folder, Buffer.from([0x73, 0xff]).toString("latin1")), "");
    expect(await readNewest(nodeDisk, run)).toMatchObject({ step: 100, damaged: [] });
  });

  it("says in words what the system refuses, with the path", async () => {
    const long = `${run}/${"x".repeat(300)}`;
    await expect(nodeDisk.create(long)).rejects.toMatchObject({ code: "disk/name-too-long", at: long });
    await expect(nodeDisk.openRead(`${run}/none`)).rejects.toMatchObject({ code: "disk/missing", errno: "ENOENT" });
    await expect(nodeDisk.openRead(run)).rejects.toMatchObject({ code: "disk/is-a-folder" });
    await expect(nodeDisk.createFolder(run)).rejects.toMatchObject({ code: "disk/exists" });
    await symlink("loop", join(run, "loop"));
    await expect(nodeDisk.openRead(`${run}/loop`)).rejects.toMatchObject({ code: "disk/link-loop" });
    expect(await nodeDisk.stat(`${run}/none`)).toBeUndefined();
    expect((await nodeDisk.list(run)).map((entry) => entry.kind)).toEqual(["link"]);
  });

  it("says so when the run folder is removed while a run goes on, and saves again once it is back", async () => {
    await rm(run, { recursive: true });
    const save = saveCheckpoint(nodeDisk, run, contentOf(100), { keep: 1 });
    await expect(save).rejects.toThrow(`cannot create ${run}/checkpoints: it does not exist (ENOENT)`);
    await mkdir(run);
    await saveCheckpoint(nodeDisk, run, contentOf(200), { keep: 1 });
    expect((await readNewest(nodeDisk, run)).step).toBe(200);
  });

  it("tells when a file is cut while it is read", async () => {
    await writeFile(join(run, "weights"), new Uint8Array(8192));
    const reader = await nodeDisk.openRead(`${run}/weights`);
    await truncate(join(run, "weights"), 5000);
    await expect(reader.read(4096, 4096)).rejects.toMatchObject({ code: "disk/file-changed" });
    await reader.close();
  });
});

/** Starts `source` as a process of its own; `disk`, `lock` and `processes` are imported for it. */
function child(source: string, options: { readonly limitKiB?: number } = {}): ChildProcess {
  const program = `
    import { nodeDisk } from ${JSON.stringify(runtime.url("files/node-disk.js"))};
    import { nodeProcesses } from ${JSON.stringify(runtime.url("files/node-process.js"))};
    import { acquireRunLock } from ${JSON.stringify(runtime.url("files/run-lock.js"))};
    import { saveCheckpoint } from ${JSON.stringify(runtime.url("files/save-checkpoint.js"))};
    const run = ${JSON.stringify(run)};
    ${source}`;
  const node = [process.execPath, "--input-type=module", "-e", program];
  const [command, ...args] =
    options.limitKiB === undefined ? node : ["sh", "-c", `ulimit -f ${options.limitKiB * 2}; exec "$0" "$@"`, ...node];
  return spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
}

/** The first line that a child prints. */
async function answer(process: ChildProcess): Promise<string> {
  let text = "";
  for await (const piece of process.stdout ?? []) {
    text += piece;
    if (text.includes("\n")) break;
  }
  return text.trim();
}

const holdLock = `
  try {
    await acquireRunLock(nodeDisk, nodeProcesses, run);
    console.log("owner");
    setInterval(() => {}, 1000);
  } catch (error) {
    console.log(error.code);
  }`;

describe("a run folder's lock", () => {
  it("belongs to a living process, also a stopped one, and is free after kill -9", async () => {
    const owner = child(holdLock);
    expect(await answer(owner)).toBe("owner");
    await expect(acquireRunLock(nodeDisk, nodeProcesses, run)).rejects.toMatchObject({ code: "run/locked" });
    owner.kill("SIGSTOP");
    await expect(acquireRunLock(nodeDisk, nodeProcesses, run)).rejects.toThrow(`process ${owner.pid} on`);
    owner.kill("SIGKILL");
    await once(owner, "exit");
    const lock = await acquireRunLock(nodeDisk, nodeProcesses, run);
    expect(await readdir(run)).toEqual(["run.lock"]);
    await lock.release();
    expect(await readdir(run)).toEqual([]);
  });

  it("of a process whose number was given to another is free", () => {
    const self = nodeProcesses.describeSelf();
    expect(nodeProcesses.judge(self)).toBe("alive");
    expect(nodeProcesses.judge({ ...self, boot: "another" })).toBe("dead");
    expect(nodeProcesses.judge({ ...self, host: "another" })).toBe("unknown");
    if (self.started !== "") expect(nodeProcesses.judge({ ...self, started: "1" })).toBe("dead");
  });

  it("goes to exactly one of six processes that start at once, over the lock of a dead one", async () => {
    const dead = child(holdLock);
    expect(await answer(dead)).toBe("owner");
    dead.kill("SIGKILL");
    await once(dead, "exit");
    const starters = Array.from({ length: 6 }, () => child(holdLock));
    const answers = await Promise.all(starters.map(answer));
    expect(answers.toSorted()).toEqual(["owner", ...Array(5).fill("run/locked")]);
    for (const starter of starters) starter.kill("SIGKILL");
  });

  it("is not left behind by 20 crashes in a row, and nothing else is", async () => {
    for (let round = 0; round < 20; round++) {
      // 20 processes would take seconds; one that is gone is told by its start.
      const gone = {
        ...nodeProcesses,
        describeSelf: () => ({ ...nodeProcesses.describeSelf(), boot: `gone-${round}` }),
      };
      await takeRunFolder(nodeDisk, gone, run);
    }
    expect(await readdir(run)).toEqual(["run.lock"]);
  });
});

it("a file size limit of the shell is told as such, and the checkpoint before it stays", async () => {
  await saveCheckpoint(nodeDisk, run, contentOf(100), { keep: 2 });
  const source = `
    const tensors = [{ name: "w", dtype: "U8", shape: [1 << 20], read: () => new Uint8Array(1 << 20) }];
    await saveCheckpoint(nodeDisk, run, { step: 200, files: [{ name: "parameters", tensors }], state: {} }, { keep: 2 })
      .catch((error) => console.log(error.message.replaceAll("\\n", " | ")));`;
  const text = await answer(child(source, { limitKiB: 64 }));
  expect(text).toContain("checkpoint/save-failed");
  expect(text).toContain("the file would be larger than the system allows (EFBIG)");
  expect(text).toContain("the last checkpoint before it is step-000100");
  expect((await readNewest(nodeDisk, run)).step).toBe(100);
  expect(await readdir(join(run, "checkpoints"))).toEqual(["step-000100"]);
});

const straceProbe = spawnSync("strace", ["-f", "-o", "/dev/null", "-e", "trace=fsync", "true"]);
const noStrace = straceProbe.status === 0 ? undefined : "strace is absent or may not trace here";

/** The calls by which a save changes the disk. */
const calls = ["write,pwrite64", "fsync", "rename", "unlink", "rmdir", "mkdir"];

describe("under strace", () => {
  /** Saves step 300 over 100 and 200 with one system call tampered with; 0 when the save ran through. */
  function saveTampered(tampering: string): { signal: boolean; output: string } {
    const source = `
      import { tensorFromArray } from ${JSON.stringify(runtime.url("files/safetensors-writer.js"))};
      import { nodeDisk } from ${JSON.stringify(runtime.url("files/node-disk.js"))};
      import { saveCheckpoint } from ${JSON.stringify(runtime.url("files/save-checkpoint.js"))};
      const weights = (step, length) => Float32Array.from({ length }, (_, i) => Math.fround(step + i / 7));
      const content = { step: 300, state: { step: 300, sequencesConsumed: 2400, variant: 0 }, files: [
        { name: "parameters", tensors: [tensorFromArray("embedding.weight", [3, 4], weights(300, 12)), tensorFromArray("layers.0.norm.gain", [4], weights(300, 4))] },
        { name: "optimizer", tensors: [tensorFromArray("m/embedding.weight", [12], weights(-300, 12))] }] };
      await saveCheckpoint(nodeDisk, ${JSON.stringify(run)}, content, { keep: 2 }).then(
        () => console.log("saved"), (error) => console.log(error.message));`;
    const args = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${calls.join(",")}`, "-e", `inject=${tampering}`];
    // One thread for the disk: strace counts calls per thread.
    const done = spawnSync("strace", [...args, process.execPath, "--input-type=module", "-e", source], {
      env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
      encoding: "utf8",
    });
    return { signal: done.signal !== null || done.status !== 0, output: done.stdout };
  }

  async function freshRun(): Promise<void> {
    run = join(root, `run-${runs++}`);
    await mkdir(run);
    for (const step of [100, 200]) await saveCheckpoint(nodeDisk, run, contentOf(step), { keep: 2 });
  }

  it.for(calls)(
    "a kill at any %s of a save leaves a checkpoint that loads, and the next start cleans up",
    async (call, { skip }) => {
      skip(noStrace !== undefined, noStrace);
      let kills = 0;
      for (let at = 1; ; at++) {
        await freshRun();
        const { signal, output } = saveTampered(`${call}:signal=KILL:when=${at}`);
        const lock = await takeRunFolder(nodeDisk, nodeProcesses, run);
        await lock.release();
        const { step, damaged } = await readNewest(nodeDisk, run);
        expect(damaged).toEqual([]);
        expect(output === "saved\n" ? [300] : [200, 300]).toContain(step);
        const names = await readdir(join(run, "checkpoints"));
        expect(names.filter((name) => !/^step-000[123]00$/.test(name))).toEqual([]);
        if (!signal) break;
        kills++;
      }
      expect(kills).toBeGreaterThanOrEqual({ fsync: 6, "write,pwrite64": 6, unlink: 4 }[call] ?? 1);
    },
  );

  it("an EIO of any fsync of a file is survived by writing anew, and one of the folder is told", async ({ skip }) => {
    skip(noStrace !== undefined, noStrace);
    let told = 0;
    for (let at = 1; at <= 8; at++) {
      await freshRun();
      const { output } = saveTampered(`fsync:error=EIO:when=${at}`);
      const { step } = await readNewest(nodeDisk, run);
      if (output === "saved\n") expect(step).toBe(300);
      else {
        told++;
        expect(output).toContain("the device reported an input/output error (EIO)");
        expect(output).toContain(`${run}/checkpoints`);
        expect([200, 300]).toContain(step);
      }
    }
    expect(told).toBe(1);
  });
});
