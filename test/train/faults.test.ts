// What a run does when numbers, disks or the process fail: it skips, goes on or stops, and never loses what it saved.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { batchAt } from "../../runtime/data/batches.ts";
import { TokenStreamBuilder } from "../../runtime/data/token-stream.ts";
import { listSteps } from "../../runtime/files/checkpoint-folder.ts";
import type { DiskOperation } from "../../runtime/files/disk.ts";
import { findLatestCheckpoint } from "../../runtime/files/find-checkpoint.ts";
import { readMetrics } from "../../runtime/files/metrics-log.ts";
import type { LockOwner } from "../../runtime/files/run-lock.ts";
import { diskRefused } from "../../runtime/messages/disk.ts";
import { Model } from "../../runtime/model.ts";
import { nodeHost } from "../../runtime/node-host.ts";
import { findNonFinite } from "../../runtime/train/find-non-finite.ts";
import type { TrainOptions } from "../../runtime/train/options.ts";
import { runStep } from "../../runtime/train/step.ts";
import { openTiny, tinySpec } from "../runtime/tiny-model.ts";
import { type Crash, Killed, MemoryDisk } from "../runtime-files/memory-disk.ts";
import { documents, stateHash } from "./run-setup.ts";

const encoder = new TextEncoder();

/** A stream of the small corpus, a byte a token. */
function stream(count: number) {
  const builder = new TokenStreamBuilder(undefined);
  for (const document of documents(count)) builder.add(Int32Array.from(encoder.encode(document)));
  return builder.finish();
}
const corpus = { train: stream(8), validation: stream(1) };

const everyTensor = (model: Model): string[] =>
  model.manifest.parameters.flatMap(({ name, moments }) => [name, ...(moments ?? [])]);

async function bits(model: Model): Promise<string[]> {
  const all = await Promise.all(everyTensor(model).map((name) => model.device.read(name)));
  return all.map((values) => Buffer.from(values.buffer).toString("base64"));
}

describe("numbers that are not finite (H6)", () => {
  let model: Model;
  beforeAll(async () => {
    model = await openTiny();
  });
  afterAll(async () => {
    await model.close();
  });

  const batch = batchAt(corpus.train, 24, [0, 24, 48, 72]);
  const settings = { learningRate: 1e-2, clip: 1 };

  async function trainedModel(): Promise<NonNullable<Model["manifest"]["training"]>> {
    await model.initialize();
    await model.train({ corpus });
    const { training } = model.manifest;
    if (training === undefined) throw new Error("the tiny spec trains");
    return training;
  }

  /** Sets the gain of a norm, so that what follows it is that much larger. */
  async function amplify(name: string, gain: number): Promise<() => Promise<void>> {
    const values = await model.parameter(name);
    await model.setParameters([[name, values.map(() => gain)]]);
    return () => model.setParameters([[name, values]]);
  }

  it("a step with such gradients changes no bit of parameters and moments, and is counted", async () => {
    const training = await trainedModel();
    const restore = await amplify("layers.1.ffn.norm.weight", 3e38);
    const before = await bits(model);
    const outcome = await runStep(model.device, training, batch, settings);
    expect(outcome.isSkipped).toBe(true);
    expect(Number.isFinite(outcome.gradientNorm)).toBe(false);
    expect(await bits(model)).toEqual(before);
    expect([...(await model.device.read("optimizer.skipped"))]).toEqual([1]);
    await restore();
    expect((await runStep(model.device, training, batch, settings)).isSkipped).toBe(false);
    expect(await bits(model)).not.toEqual(before);
  });

  it("the operation that first computes one is named, and in a healthy step none is", async () => {
    const training = await trainedModel();
    expect(await findNonFinite(model.device, training, batch)).toBeUndefined();
    // Values of about 1 times the gain overflow at once; 1e25 overflows where two of its multiples meet.
    for (const [name, gain, path] of [
      ["layers.0.attention.norm.weight", 3e38, "layers[0].attention.norm"],
      ["layers.1.attention.norm.weight", 1e25, "layers[1].attention.core"],
      ["layers.1.ffn.norm.weight", 1e25, "layers[1].ffn.activation"],
      ["final_norm.weight", 3e38, "final_norm"],
    ] as const) {
      const restore = await amplify(name, gain);
      expect((await runStep(model.device, training, batch, settings)).isSkipped).toBe(true);
      const found = await findNonFinite(model.device, training, batch);
      expect(found?.path, `${name}: ${JSON.stringify(found)}`).toBe(path);
      expect(found?.kernel).toBeDefined();
      await restore();
    }
    // Once something is back in order, nothing of the failed steps is blamed.
    expect(await findNonFinite(model.device, training, batch)).toBeUndefined();
  });

  it("ten such steps in a row end the run with the operation and the last checkpoint named", async () => {
    const disk = new MemoryDisk();
    const overrides = ["train.steps=40", "train.save_every=4", "train.batch.sequences=4"];
    const broken = await openTiny(tinySpec, overrides, { host: { disk, processes: anotherProcess(1) } });
    const observer = {
      onStep: ({ step }: { step: number }) => {
        if (step === 6) broken.device.write("layers.0.ffn.norm.weight", new Float32Array(20).fill(3e38));
      },
    };
    const error = String(await broken.train({ corpus, folder: "/run", observer }).catch((e: unknown) => e));
    expect(error).toContain("train/not-finite: 10 steps in a row");
    expect(error).toMatch(/layers\[0\]\.ffn\.\w+\n {2}in step 16 the first such value is written to/);
    // Steps 8 and 12 were skipped, so a save then would hold nothing new.
    expect(error).toContain("the last checkpoint is /run/checkpoints/step-000004");
    expect((await findLatestCheckpoint(disk, "/run")).latest?.step).toBe(4);
    await broken.close();
  });

  it("a run that diverges keeps the checkpoints from before, however often it saves", async () => {
    const disk = new MemoryDisk();
    const overrides = ["train.steps=60", "train.save_every=3", "train.lr=1e-3 for 8 then 1e36"];
    const broken = await openTiny(tinySpec, overrides, { host: { disk, processes: anotherProcess(1) } });
    await expect(broken.train({ corpus, folder: "/run" })).rejects.toThrow(/train\/not-finite/);
    // Step 9 is the first with the huge rate: its gradient is still that of good weights.
    expect(await listSteps(disk, "/run")).toEqual([9, 6, 3]);
    await broken.close();
  });

  it("an end among skipped steps can be resumed and pushes out no checkpoint that learnt something", async () => {
    const disk = new MemoryDisk();
    const overrides = ["train.steps=40", "train.save_every=2", "train.batch.sequences=4"];
    const broken = await openTiny(tinySpec, overrides, { host: { disk, processes: anotherProcess(1) } });
    const stop = new AbortController();
    const warnings: string[] = [];
    const observer = {
      onStep: ({ step }: { step: number }) => {
        if (step === 4) broken.device.write("layers.0.ffn.norm.weight", new Float32Array(20).fill(3e38));
        if (step === 9) stop.abort();
      },
      onWarning: (sentence: string) => void warnings.push(sentence),
    };
    const stopped = await broken.train({ corpus, folder: "/run", observer, keep: 1, signal: stop.signal });
    expect(stopped).toMatchObject({ steps: 9, skipped: 5, isStopped: true });
    expect(warnings.join()).toContain("the last 5 of 9 steps were skipped");
    expect(warnings.join()).toContain("nothing was learnt since step 4");
    expect(await listSteps(disk, "/run")).toEqual([9, 4]);
    const error = String(await broken.train({ corpus, folder: "/run", resume: true }).catch((e: unknown) => e));
    expect(error).toMatch(/10 steps in a row.*in step 14 the first/s);
    await broken.close();
  });

  it("a run in which every step was skipped says that nothing was learnt, and where it goes wrong", async () => {
    const broken = await openTiny(tinySpec, ["train.steps=5"]);
    await broken.initialize();
    await broken.setParameters([["layers.1.ffn.norm.weight", new Float32Array(20).fill(3e38)]]);
    const before = await bits(broken);
    const warnings: string[] = [];
    const onWarning = (sentence: string) => void warnings.push(sentence);
    expect(await broken.train({ corpus, observer: { onWarning } })).toMatchObject({ steps: 5, skipped: 5 });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/5 of 5 steps were skipped.*nothing was learnt; layers\[1\]\.ffn\.\w+: in step 5/);
    expect(await bits(broken)).toEqual(before);
    await broken.close();
  });

  it("a state that holds one is never saved", async () => {
    const disk = new MemoryDisk();
    const broken = await openTiny(tinySpec, ["train.save_every=4"], { host: { disk, processes: anotherProcess(1) } });
    const observer = {
      onStep: ({ step }: { step: number }) => {
        if (step === 8) broken.device.write("final_norm.weight", Float32Array.of(1, 2, Number.NaN));
      },
    };
    await expect(broken.train({ corpus, folder: "/run", observer })).rejects.toThrow(
      /train\/non-finite-state.*final_norm\n {2}final_norm\.weight holds NaN at element 2\n {2}the last checkpoint is \S+000004\n.*--weights/s,
    );
    expect((await findLatestCheckpoint(disk, "/run")).latest?.step).toBe(4);
    await broken.close();
  });

  it("without a checkpoint nobody is sent to one", async () => {
    const host = { disk: new MemoryDisk(), processes: anotherProcess(1) };
    const broken = await openTiny(tinySpec, ["train.save_every=4"], { host });
    const onStep = ({ step }: { step: number }) => {
      if (step === 2) broken.device.write("final_norm.weight", new Float32Array(20).fill(3e38));
      if (step === 4) broken.device.write("final_norm.weight", Float32Array.of(Number.NaN));
    };
    // Step 4 is skipped and not saved; step 8, the end, is.
    const error = String(await broken.train({ corpus, folder: "/run", observer: { onStep } }).catch((e: unknown) => e));
    expect(error).toMatch(/train\/non-finite-state.*no checkpoint was saved before\n.*train again/s);
    expect(error).not.toContain("--weights");
    await broken.close();
  });
});

describe("a sample that cannot be written", () => {
  async function samplesOf(overrides: readonly string[]): Promise<{ samples: string[]; warnings: string[] }> {
    const model = await openTiny(tinySpec, [...overrides, "train.steps=4", "train.sample_every=1"]);
    const samples: string[] = [];
    const warnings: string[] = [];
    const observer = {
      onSample: (_: number, text: string) => void samples.push(text),
      onWarning: (sentence: string) => void warnings.push(sentence),
    };
    expect(await model.train({ corpus, observer })).toMatchObject({ steps: 4, isStopped: false });
    await model.close();
    return { samples, warnings };
  }

  it("is as long as the cache holds", async () => {
    // 3 pages of 4 tokens: one for the line break that it begins with, 11 that are new.
    const { samples, warnings } = await samplesOf(["serve.pages=3", "serve.sequences=1"]);
    expect(warnings).toEqual([]);
    expect(samples).toHaveLength(4);
  });

  it("is left out where there is no room for a token, which is told once, and the run goes on", async () => {
    const { samples, warnings } = await samplesOf(["model.context=1", "train.sequence=1"]);
    expect(samples).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/no sample is written.*no room for a new token.*context holds 1/);
  });
});

/** A process table in which this process has a number and every other one is dead. */
function anotherProcess(pid: number) {
  const self = { pid, host: "here", boot: "", started: "", nonce: `${pid}`, takenAt: "" };
  const judge = (owner: LockOwner): "alive" | "dead" => (owner.pid === pid ? "alive" : "dead");
  return { describeSelf: () => self, judge };
}

describe("a disk that fails", () => {
  const overrides = ["train.steps=4", "train.save_every=2", "train.sample_every=2", "train.batch.sequences=2"];
  let shared: Model;
  let straight: string;
  let straightLines: number;
  let operations: number;
  beforeAll(async () => {
    shared = await openTiny(tinySpec, overrides);
    const disk = new MemoryDisk();
    let count = 0;
    disk.onOperation = () => void count++;
    await train(disk, { folder: "/run" });
    operations = count;
    straight = await stateHash(shared);
    straightLines = (await readMetrics(disk, "/run/metrics.jsonl")).length;
  });
  afterAll(async () => {
    await shared.close();
  });

  let pid = 0;
  /** A run of a process of its own on the one device; a new run begins with the spec's first weights. */
  async function train(disk: MemoryDisk, options: TrainOptions): Promise<string[]> {
    const { manifest, device, source } = shared;
    const host = { ...nodeHost, disk, processes: anotherProcess(++pid) };
    const tokenizer = shared.tokenizer;
    const model = new Model({ manifest, device, source, host, tokenizer, tokenizerJson: undefined });
    const warnings: string[] = [];
    const observer = { onWarning: (sentence: string) => void warnings.push(sentence) };
    await model.train({ corpus, observer, ...options });
    return warnings;
  }

  /** Operation `index` and, if told so, all later ones of its kind on the run's files end with this errno. */
  function failing(disk: MemoryDisk, index: number, errno: string, lasts: boolean): void {
    let count = 0;
    let kind: DiskOperation | undefined;
    disk.onOperation = (operation, path) => {
      if (count++ === index) kind = operation;
      else if (!lasts || operation !== kind) return;
      throw diskRefused(errno, operation, path);
    };
  }

  it("once, at any operation of a run: the run goes on or stops with path and errno, and what was saved resumes", async () => {
    const outcomes = { wentOn: 0, stopped: 0, leftNothing: 0 };
    for (let index = 0; index < operations; index += 7) {
      const disk = new MemoryDisk();
      failing(disk, index, index % 2 === 0 ? "ENOSPC" : "EIO", false);
      let steps = 0;
      const onStep = () => void steps++;
      try {
        await train(disk, { folder: "/run", observer: { onStep } });
        outcomes.wentOn++;
      } catch (error) {
        expect(String(error), `operation ${index}`).toMatch(/\/run.*(ENOSPC|EIO)|(ENOSPC|EIO).*\/run/s);
        outcomes.stopped++;
        if (steps === 0) outcomes.leftNothing += await leftNothing(disk, `operation ${index}`);
      }
      disk.onOperation = () => {};
      await resumeToTheEnd(disk, `operation ${index}`);
    }
    expect(outcomes.wentOn).toBeGreaterThan(20);
    expect(outcomes.stopped).toBeGreaterThan(20);
    expect(outcomes.leftNothing).toBeGreaterThan(20);
  });

  /** Where nothing was trained, neither a file nor the run's folder may stay. */
  async function leftNothing(disk: MemoryDisk, what: string): Promise<number> {
    disk.onOperation = () => {};
    expect([...disk.files().keys()], what).toEqual([]);
    expect(await disk.stat("/run"), what).toBeUndefined();
    return 1;
  }

  it("that is full before the first step leaves no file and no folder behind", async () => {
    let numFull = 0;
    for (let free = 0; free < 40; free++) {
      const disk = new MemoryDisk();
      let writes = 0;
      disk.onOperation = (operation, path) => {
        if (operation === "write" && writes++ >= free) throw diskRefused("ENOSPC", operation, path);
      };
      let steps = 0;
      const observer = { onStep: () => void steps++ };
      await expect(train(disk, { folder: "/run", observer })).rejects.toThrow(/ENOSPC/);
      if (steps === 0) numFull += await leftNothing(disk, `${free} writes`);
      // Where steps were made, metrics say so; nothing stands there half written.
      else expect([...disk.files().keys()].filter((path) => path.endsWith(".new"))).toEqual([]);
    }
    expect(numFull).toBeGreaterThan(10);
  });

  it("by a fault of the data, or by resuming where nothing is, a run leaves others' files and no folder", async () => {
    const disk = new MemoryDisk();
    const short = { tokens: new Int32Array(3), documentStarts: Int32Array.of(0) };
    await expect(train(disk, { folder: "/a/b", corpus: { ...corpus, train: short } })).rejects.toThrow(
      /too-few-tokens/,
    );
    await expect(train(disk, { folder: "/a/b", resume: true })).rejects.toThrow(/nothing-to-resume/);
    expect(await disk.stat("/a")).toBeUndefined();
    disk.plant("/a/b/notes.txt", "mine");
    disk.plant("/a/b/spec.yaml", "mine as well");
    await expect(train(disk, { folder: "/a/b", corpus: { ...corpus, train: short } })).rejects.toThrow(
      /too-few-tokens/,
    );
    expect([...disk.files().keys()]).toEqual(["/a/b/notes.txt", "/a/b/spec.yaml"]);
  });

  it("on which every checkpoint is damaged: nothing is begun over it, and its whole weights are offered", async () => {
    const disk = new MemoryDisk();
    await train(disk, { folder: "/run" });
    const [step2, step4] = ["000002", "000004"].map((step) => `/run/checkpoints/step-${step}`);
    await disk.unlink(`${step2}/optimizer.safetensors`);
    disk.plant(`${step4}/parameters.safetensors`, "no tensors");
    const before = [...disk.files().keys()];
    for (const options of [{ resume: true }, {}]) {
      const error = String(await train(disk, { folder: "/run", ...options }).catch((e: unknown) => e));
      expect(error).toMatch(options.resume === true ? /nothing-to-resume/ : /run-exists.*every checkpoint.*damaged/s);
      expect(error).toContain(
        `-o\`, from the weights that are still whole: \`--weights ${step2}/parameters.safetensors`,
      );
      expect(error).not.toContain("leave out");
      expect([...disk.files().keys()]).toEqual(before);
    }
  });

  /** Goes on from what is there, or from the start, and must end with the bits of a run without faults. */
  async function resumeToTheEnd(disk: MemoryDisk, what: string): Promise<void> {
    const { latest } = await findLatestCheckpoint(disk, "/run");
    await train(disk, { folder: "/run", resume: latest !== undefined });
    expect(await stateHash(shared), what).toBe(straight);
    expect((await readMetrics(disk, "/run/metrics.jsonl")).length, what).toBe(straightLines);
  }

  it("for a while: steps go on, and checkpoint and metrics catch up when it works again", async () => {
    const disk = new MemoryDisk();
    let isFull = false;
    disk.onOperation = (operation, path) => {
      const isMine = path.includes("/checkpoints") || path.endsWith("metrics.jsonl");
      if (isFull && isMine && (operation === "write" || operation === "create")) {
        throw diskRefused("ENOSPC", operation, path);
      }
    };
    const warnings: string[] = [];
    const observer = {
      onStep: ({ step }: { step: number }) => {
        isFull = step === 2 || step === 3;
      },
      onWarning: (sentence: string) => void warnings.push(sentence),
    };
    await train(disk, { folder: "/run", observer });
    expect(warnings.some((sentence) => /metrics\.jsonl cannot be written.*ENOSPC.*1 lines wait/.test(sentence))).toBe(
      true,
    );
    expect(warnings.some((sentence) => /step 2 could not be saved.*ENOSPC.*training goes on/.test(sentence))).toBe(
      true,
    );
    expect((await readMetrics(disk, "/run/metrics.jsonl")).map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect((await findLatestCheckpoint(disk, "/run")).latest?.step).toBe(4);
    expect(await stateHash(shared)).toBe(straight);
  });

  it("at the last save: the run ends with the fault and the checkpoint before it", async () => {
    const disk = new MemoryDisk();
    let step = 0;
    disk.onOperation = (operation, path) => {
      if (step === 4 && path.includes(".saving-")) throw diskRefused("EDQUOT", operation, path);
    };
    const observer = {
      onStep: (report: { step: number }) => {
        step = report.step;
      },
    };
    await expect(train(disk, { folder: "/run", observer })).rejects.toThrow(
      /step 4 could not be saved.*EDQUOT.*the last checkpoint before it is step-000002/s,
    );
    disk.onOperation = () => {};
    await resumeToTheEnd(disk, "after the quota was raised");
  });

  it.each(["process", "power"] as const)(
    "that survives a process killed at any operation, by %s, resumes to the same bits (J2, J6)",
    async (crash: Crash) => {
      const { kernels, module } = shared.manifest;
      const model = ["manifest.json", module, ...kernels.map(({ file }) => file)].map(
        (file) => `/run/compiled/${file}`,
      );
      let resumed = 0;
      for (let index = crash === "power" ? 3 : 0; index < operations; index += 11) {
        const disk = new MemoryDisk();
        let count = 0;
        disk.onOperation = () => {
          if (count++ >= index) throw new Killed();
        };
        await expect(train(disk, { folder: "/run" })).rejects.toThrow(Killed);
        const after = disk.crashed(crash);
        // The process that resumes is killed as well, a little later than the first.
        count = 0;
        after.onOperation = () => {
          if (count++ >= (index * 13) % operations) throw new Killed();
        };
        const { latest } = await findLatestCheckpoint(disk.crashed(crash), "/run");
        // With a checkpoint the run needs nothing from outside.
        if (latest !== undefined)
          expect([...disk.crashed(crash).files().keys()]).toEqual(expect.arrayContaining(model));
        await train(after, { folder: "/run", resume: latest !== undefined }).catch((error: unknown) => {
          if (!(error instanceof Killed)) throw error;
        });
        if (latest !== undefined) resumed++;
        await resumeToTheEnd(after.crashed(crash), `operation ${index}`);
      }
      expect(resumed).toBeGreaterThan(10);
    },
  );

  it("holds one trainer at a time (F6)", async () => {
    const disk = new MemoryDisk();
    disk.plant("/run/run.lock", JSON.stringify({ ...anotherProcess(pid + 1).describeSelf(), takenAt: "now" }));
    await expect(train(disk, { folder: "/run" })).rejects.toThrow(/run\/locked.*another mspec works/s);
  });

  it("is found at the start when it cannot hold a run, before any text is read (F10)", async () => {
    const disk = new MemoryDisk();
    disk.onOperation = (operation, path) => {
      if (operation === "link") throw diskRefused("ENOTSUP", operation, path);
    };
    await expect(train(disk, { folder: "/run" })).rejects.toThrow(/disk\/unusable-folder/);
  });
});

describe("too little text (E1)", () => {
  it("is refused with the length that is needed", async () => {
    const model = await openTiny();
    const short = { tokens: new Int32Array(24), documentStarts: Int32Array.of(0) };
    const empty = { tokens: new Int32Array(0), documentStarts: new Int32Array(0) };
    await expect(model.train({ corpus: { ...corpus, train: short } })).rejects.toThrow(
      /24 tokens; a sequence of 24.*take 25/,
    );
    const one = { tokens: new Int32Array(1), documentStarts: Int32Array.of(0) };
    await expect(model.train({ corpus: { ...corpus, validation: one } })).rejects.toThrow(
      /data\.validation.*1 tokens/s,
    );
    await expect(model.train({ corpus: { ...corpus, validation: empty } })).resolves.toMatchObject({
      validationLoss: undefined,
    });
    await model.close();
  });
});
