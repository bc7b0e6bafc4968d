// Training on a device with a queue: the host goes on while a step runs, and everything it tells and saves is what a device
// without one gives; a device that is lost leaves the last checkpoint; and a run may go on on another device.

import { describe, expect, it } from "vitest";
import type { BuildSource } from "../../runtime/build-source.ts";
import type { Manifest } from "../../runtime/contract.ts";
import { TokenStreamBuilder } from "../../runtime/data/token-stream.ts";
import { listSteps } from "../../runtime/files/checkpoint-folder.ts";
import { Model } from "../../runtime/model.ts";
import { nodeHost } from "../../runtime/node-host.ts";
import { openRunModel } from "../../runtime/open-run.ts";
import type { StepReport, TrainOptions } from "../../runtime/train/options.ts";
import { openTiny, sourceOf, tinySpec } from "../runtime/tiny-model.ts";
import { MemoryDisk } from "../runtime-files/memory-disk.ts";
import { QueuedDevice } from "./queued-device.ts";
import { documents, stateHash } from "./run-setup.ts";

function stream(count: number) {
  const builder = new TokenStreamBuilder(undefined);
  for (const document of documents(count)) builder.add(Int32Array.from(new TextEncoder().encode(document)));
  return builder.finish();
}
const corpus = { train: stream(8), validation: stream(1) };
const schedule = ["train.steps=9", "train.evaluate_every=4", "train.save_every=3", "train.sample_every=6"];

interface Opened {
  readonly model: Model;
  readonly device: QueuedDevice;
}

/** The model as it would be on a GPU: its kernels are others by name, and its device has a queue. */
async function openQueued(disk: MemoryDisk, overrides: readonly string[]): Promise<Opened> {
  const source = await sourceOf(tinySpec, overrides);
  const wasm = await openTiny(tinySpec, overrides);
  const { module: _, ...rest } = wasm.manifest;
  const kernels = rest.kernels.map((kernel) => ({ ...kernel, sha256: "0".repeat(64) }));
  const manifest: Manifest = { ...rest, target: "wgsl", kernels };
  const device = new QueuedDevice(wasm.device, manifest);
  const host = { ...nodeHost, disk };
  const tokenizer = wasm.tokenizer;
  const both = withFile(source, "manifest.wgsl.json", JSON.stringify(manifest));
  return { device, model: new Model({ manifest, device, source: both, host, tokenizer, tokenizerJson: undefined }) };
}

const withFile = (source: BuildSource, name: string, content: string): BuildSource => ({
  ...source,
  text: (path) => (path === name ? Promise.resolve(content) : source.text(path)),
  findText: (path) => (path === name ? Promise.resolve(content) : source.findText(path)),
});

interface Told {
  readonly reports: Omit<StepReport, "tokensPerSecond">[];
  readonly others: string[];
}

async function train(model: Model, options: TrainOptions = {}): Promise<Told> {
  const told: Told = { reports: [], others: [] };
  const observer = {
    onStep: ({ tokensPerSecond, ...report }: StepReport) => {
      expect(tokensPerSecond).toBeGreaterThan(0);
      told.reports.push(report);
    },
    onSample: (step: number, text: string) => void told.others.push(`sample ${step}: ${text}`),
    onSave: (step: number) => void told.others.push(`saved ${step}`),
    onWarning: (sentence: string) => void told.others.push(sentence),
  };
  const result = await model.train({ corpus, folder: "/run", observer, ...options });
  told.others.push(JSON.stringify(result));
  return told;
}

/** A checkpoint's bytes, by name. */
const checkpointOf = (disk: MemoryDisk, step: string): [string, string][] =>
  [...disk.files()]
    .filter(([path]) => path.includes(`/checkpoints/${step}/`) && path.endsWith(".safetensors"))
    .map(([path, content]) => [path, Buffer.from(content).toString("base64")]);

async function straightRun(overrides: readonly string[]) {
  const disk = new MemoryDisk();
  const model = await openTiny(tinySpec, overrides, { host: { disk } });
  const told = await train(model);
  const hash = await stateHash(model);
  await model.close();
  return { disk, told, hash };
}

describe("a run on a device with a queue", () => {
  it("tells and saves bit by bit what it does without one", async () => {
    const straight = await straightRun(schedule);
    const disk = new MemoryDisk();
    const { model } = await openQueued(disk, schedule);
    expect(await train(model)).toEqual(straight.told);
    expect(straight.told.others.filter((line) => line.startsWith("saved"))).toHaveLength(3);
    expect(await stateHash(model)).toBe(straight.hash);
    const saved = checkpointOf(disk, "step-000006");
    expect(saved).toHaveLength(2);
    expect(saved).toEqual(checkpointOf(straight.disk, "step-000006"));
    await model.close();
  });

  it("begins a step before the last one's numbers are back, one reading a step, and waits before it looks at the state", async () => {
    const overrides = ["train.steps=6", "train.evaluate_every=4", "train.save_every=0", "train.batch.sequences=2"];
    const { model, device } = await openQueued(new MemoryDisk(), overrides);
    await model.initialize();
    device.events.length = 0;
    await model.train({ corpus });
    const step = ["run micro_step", "run update"];
    const last = device.events.indexOf("run evaluate");
    // Steps 1 to 4, then the evaluation: the readings of 1 to 3 come one step late, that of 4 before the evaluation.
    const late = [...step, ...step, "read update", ...step, "read update", ...step, "read update", "read update"];
    expect(device.events.slice(0, last)).toEqual(late);
    const evaluation = device.events.slice(last, device.events.lastIndexOf("run micro_step") - 1);
    let inFlight = 0;
    const counts = evaluation.map((event) => (inFlight += event === "run evaluate" ? 1 : -1));
    expect(Math.max(...counts)).toBe(2);
    await model.close();
  });

  it("names the operation that makes steps fail as a device without one does", async () => {
    const overrides = ["train.steps=60", "train.save_every=3", "train.lr=1e-3 for 8 then 1e36"];
    const onWasm = await openTiny(tinySpec, overrides, { host: { disk: new MemoryDisk() } });
    const { model } = await openQueued(new MemoryDisk(), overrides);
    const errors = await Promise.all(
      [onWasm, model].map(async (each) => String(await train(each).catch((error: unknown) => error))),
    );
    expect(errors[0]).toMatch(/train\/not-finite: 10 steps in a row.*the kernel/s);
    expect(errors[1]).toBe(errors[0]);
    await onWasm.close();
    await model.close();
  });

  it("ends behind the step in progress when it is told to stop, with a checkpoint that resumes to the same bits", async () => {
    const straight = await straightRun(["train.steps=9", "train.save_every=0"]);
    const disk = new MemoryDisk();
    const { model } = await openQueued(disk, ["train.steps=9", "train.save_every=0"]);
    const stop = new AbortController();
    const observer = { onStep: ({ step }: StepReport) => void (step === 4 && stop.abort()) };
    const stopped = await model.train({ corpus, folder: "/run", signal: stop.signal, observer });
    // Step 5 had begun when step 4 was told of.
    expect(stopped).toMatchObject({ steps: 5, isStopped: true });
    expect(await listSteps(disk, "/run")).toEqual([5]);
    await model.train({ corpus, folder: "/run", resume: true });
    expect(await stateHash(model)).toBe(straight.hash);
    await model.close();
  });
});

describe("a device that warns (H5)", () => {
  it("is heard by the run's observer while the run lasts, and by whoever heard it before afterwards", async () => {
    const { model, device } = await openQueued(new MemoryDisk(), ["train.steps=2", "train.save_every=0"]);
    const before: string[] = [];
    device.onWarning = (sentence) => void before.push(sentence);
    const told: string[] = [];
    const observer = {
      onStep: ({ step }: StepReport) => device.onWarning(`late in step ${step + 1}`),
      onWarning: (sentence: string) => void told.push(sentence),
    };
    await model.train({ corpus, observer });
    device.onWarning("late behind the run");
    expect(told).toEqual(["late in step 2", "late in step 3"]);
    expect(before).toEqual(["late behind the run"]);
    await model.close();
  });
});

describe("a device that is lost (H2)", () => {
  const overrides = ["train.steps=4", "train.save_every=2", "train.sample_every=2", "train.batch.sequences=2"];

  it("at any moment ends the run with the last checkpoint named; it goes on there to the same bits", async () => {
    const straight = await straightRun(overrides);
    const whole = await openQueued(new MemoryDisk(), overrides);
    await train(whole.model);
    const { tasks } = whole.device;
    await whole.model.close();
    expect(tasks).toBeGreaterThan(300);
    const outcomes = new Set<string>();
    for (let task = 7; task < tasks; task += 23) {
      const disk = new MemoryDisk();
      const { model, device } = await openQueued(disk, overrides);
      device.tasksLeft = task;
      const error = String(await train(model).catch((failure: unknown) => failure));
      expect(error).toContain("device/lost: the device was lost");
      const saved = await listSteps(disk, "/run");
      const names = [...disk.files().keys()].filter((path) => path.includes("checkpoints/"));
      expect(names.filter((path) => !/checkpoints\/step-\d{6}\//.test(path))).toEqual([]);
      if (saved.length > 0) {
        outcomes.add(`saved ${saved[0]}`);
        expect(error).toContain(`the last checkpoint is /run/checkpoints/step-00000${saved[0]}`);
        expect(error).toContain("--resume");
        const next = await openQueued(disk, overrides);
        await train(next.model, { resume: true });
        expect(await stateHash(next.model)).toBe(straight.hash);
        await next.model.close();
      } else {
        outcomes.add("unsaved");
        expect(error).toContain("no checkpoint was saved before");
        expect(error).not.toContain("--resume");
      }
      await model.close();
    }
    expect([...outcomes].sort()).toEqual(["saved 2", "unsaved"]);
  });
});

describe("a run that goes on on another device (F5)", () => {
  it("loads what the first one saved, says so, and keeps the kernels of both", async () => {
    const straight = await straightRun(["train.steps=8", "train.save_every=4"]);
    const disk = new MemoryDisk();
    const onWasm = await openTiny(tinySpec, ["train.steps=8", "train.save_every=4"], { host: { disk } });
    const stop = new AbortController();
    const observer = { onStep: ({ step }: StepReport) => void (step === 4 && stop.abort()) };
    await onWasm.train({ corpus, folder: "/run", signal: stop.signal, observer });
    await expect(openRunModel("/run", { device: "webgpu", host: { disk } })).rejects.toThrow(
      /model\/not-compiled-for.*\/run\n.*target wgsl; the run holds wasm\n.*--resume --device webgpu/s,
    );
    await onWasm.close();

    const { model } = await openQueued(disk, ["train.steps=8", "train.save_every=4"]);
    const told = await train(model, { resume: true });
    expect(told.others[0]).toMatch(/saved by kernels for wasm and the run goes on with those for wgsl/);
    // Here both are the same kernels, so even the bits are.
    expect(await stateHash(model)).toBe(straight.hash);
    expect([...disk.files().keys()]).toContain("/run/compiled/manifest.wgsl.json");
    expect([...disk.files().keys()]).toContain("/run/compiled/manifest.json");
    expect([...disk.files().keys()]).toContain("/run/compiled/wasm/kernels.wasm");
    await model.close();
  });

  it("has the CPU's kernels too when it began on a GPU, and refuses kernels that are not those of its own target", async () => {
    const disk = new MemoryDisk();
    const { model } = await openQueued(disk, ["train.steps=3"]);
    await train(model);
    const onWasm = await openRunModel("/run", { host: { disk }, threads: 1 });
    expect(onWasm.device.name).toBe("wasm");
    await onWasm.close();
    const [kernel, ...others] = model.manifest.kernels;
    const manifest = { ...model.manifest, kernels: [{ ...kernel, sha256: "1".repeat(64) }, ...others] };
    const { device, source, host, tokenizer } = model;
    const edited = new Model({ manifest, device, source, host, tokenizer, tokenizerJson: undefined });
    await expect(train(edited, { resume: true })).rejects.toThrow(/train\/kernels-changed/);
    await model.close();
  });
});
