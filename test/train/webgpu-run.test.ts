// A run on WebGPU, on SwiftShader: it repeats bit by bit, survives the loss of its device, and changes devices.

import { beforeAll, expect, it } from "vitest";
import { compile, compileFor, targets } from "../../compiler/compile.ts";
import { outputFiles } from "../../compiler/emit/output-files.ts";
import { type BuildSource, memorySource } from "../../runtime/build-source.ts";
import type { DeviceName } from "../../runtime/device.ts";
import type { WebGpuDevice } from "../../runtime/devices/webgpu.ts";
import { listSteps } from "../../runtime/files/checkpoint-folder.ts";
import type { Model } from "../../runtime/model.ts";
import { openModel } from "../../runtime/open-model.ts";
import { openRun } from "../../runtime/open-run.ts";
import type { StepReport, TrainOptions } from "../../runtime/train/options.ts";
import { specOf } from "../language/spec-text.ts";
import { tinySpec } from "../runtime/tiny-model.ts";
import { MemoryDisk } from "../runtime-files/memory-disk.ts";
import { documents, stateHash } from "./run-setup.ts";

const corpus = documents(6);
const overrides = ["train.steps=6", "train.save_every=2", "train.batch.sequences=4", "data.validation=0.2"];

/** Opening compiles every kernel for a CPU: seconds, and several times as long where others work too. */
const patience = 300_000;
const disk = new MemoryDisk();
let source: BuildSource;

beforeAll(async () => {
  const spec = specOf(tinySpec, overrides);
  const build = compile(spec);
  const files = await outputFiles(build, [compileFor(targets["wgsl-soft"], spec, build.programs)]);
  source = memorySource(new Map(files.map(({ path, content }) => [path, content])));
});

const open = (device: DeviceName): Promise<Model> => openModel(source, { device, host: { disk } });

async function train(model: Model, folder: string, more: TrainOptions = {}) {
  const losses: number[] = [];
  const warnings: string[] = [];
  const observer = {
    onStep: ({ loss }: StepReport) => void losses.push(loss),
    onWarning: (sentence: string) => void warnings.push(sentence),
  };
  await model.train({ corpus, folder, observer, ...more });
  return { losses, warnings, hash: await stateHash(model) };
}

it(
  "repeats bit by bit; a lost device ends it with its last checkpoint named, and there it goes on to the same bits (H2)",
  async () => {
    const model = await open("webgpu:software");
    const straight = await train(model, "/straight");
    const { gpuDevice } = model.device as WebGpuDevice;
    await model.initialize();
    const onStep = ({ step }: StepReport) => void (step === 5 && gpuDevice.destroy());
    // Step 6 was asked for before step 5 is told of, and may be done when the GPU goes.
    await expect(train(model, "/lost", { observer: { onStep } })).rejects.toThrow(
      /^device\/lost: .*training stopped behind step [56]\n.*the last checkpoint is \/lost\/checkpoints\/step-000004\n.*--resume/s,
    );
    await model.close();
    expect(await listSteps(disk, "/lost")).toEqual([4, 2]);
    const next = await open("webgpu:software");
    const resumed = await train(next, "/lost", { resume: true });
    expect(resumed).toEqual({ losses: straight.losses.slice(4), warnings: [], hash: straight.hash });
    await goOnFromTheCpu(next);
    await next.close();
  },
  patience,
);

/** The rest of a run that began on the CPU (F5); its kernels are compiled already. */
async function goOnFromTheCpu(onGpu: Model): Promise<void> {
  const onCpu = await open("wasm");
  const straight = await train(onCpu, "/cpu");
  await onCpu.initialize();
  const stop = new AbortController();
  const onStep = ({ step }: StepReport) => void (step === 4 && stop.abort());
  await train(onCpu, "/run", { signal: stop.signal, observer: { onStep } });
  await onCpu.close();
  const rest = await train(onGpu, "/run", { resume: true });
  expect(rest.warnings.join()).toMatch(/saved by kernels for wasm and the run goes on with those for wgsl-soft/);
  expect(rest.losses).toHaveLength(2);
  // Equal weights, sums in another order; see the bound of test/page/training.test.ts.
  for (const [i, loss] of rest.losses.entries()) {
    expect(Math.abs(loss / straight.losses[4 + i] - 1)).toBeLessThan(1e-4 * (i + 1));
  }
  const { model, step } = await openRun("/run", { device: "wasm", host: { disk } });
  expect([step, model.device.name]).toEqual([6, "wasm"]);
  const given = { prompt: "the ", maxTokens: 12, temperature: 0 };
  const { text } = await model.generate(given);
  expect(text).toHaveLength(12);
  expect(text).toBe((await onGpu.generate(given)).text);
  await model.close();
}
