// Steps that are computed twice: the run's bits stay what they are without, and a bit that flips in between ends it by name.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile, compileFor, targets } from "../../compiler/compile.ts";
import { outputFiles } from "../../compiler/emit/output-files.ts";
import { memorySource } from "../../runtime/build-source.ts";
import type { Counts, Device, LaunchReport, ReadOptions, WantedTensor } from "../../runtime/device.ts";
import { Model } from "../../runtime/model.ts";
import { nodeHost } from "../../runtime/node-host.ts";
import { openModel } from "../../runtime/open-model.ts";
import type { TrainOptions } from "../../runtime/train/options.ts";
import { whyNoSoftwareGpu } from "../devices/software-gpu.ts";
import { specOf } from "../language/spec-text.ts";
import { openTiny, tinySpec } from "../runtime/tiny-model.ts";
import { MemoryDisk } from "../runtime-files/memory-disk.ts";
import { QueuedDevice } from "./queued-device.ts";
import { documents, stateHash } from "./run-setup.ts";

const corpus = documents(8);

/** A bit that flips in a tensor behind a run of `micro_step`; runs are counted from 1. */
interface Flip {
  readonly tensor: string;
  readonly element: number;
  readonly bit: number;
  readonly behindRun: number;
}

const flipped = (value: number, bit: number): number => {
  const word = new Uint32Array(Float32Array.of(value).buffer);
  word[0] ^= 1 << bit;
  return new Float32Array(word.buffer)[0];
};

/** A device whose memory may fail, and that counts its micro-batches. */
class FailingMemory implements Device {
  readonly #device: Device;
  readonly #flip: Flip | undefined;
  microBatches = 0;

  constructor(device: Device, flip?: Flip) {
    this.#device = device;
    this.#flip = flip;
  }

  get name() {
    return this.#device.name;
  }
  get manifest() {
    return this.#device.manifest;
  }
  get isQueued() {
    return this.#device.isQueued;
  }
  get description() {
    return this.#device.description;
  }
  get memoryBytes() {
    return this.#device.memoryBytes;
  }

  async run(program: string, counts?: Counts): Promise<void> {
    await this.#device.run(program, counts);
    if (program !== "micro_step" || ++this.microBatches !== this.#flip?.behindRun) return;
    const { tensor, element, bit } = this.#flip;
    const values = await this.#device.read(tensor);
    // By its bits: as a number, a NaN may lose them.
    new Uint32Array(values.buffer)[element] ^= 1 << bit;
    this.#device.write(tensor, values);
  }

  runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]> {
    return this.#device.runAndRead(program, counts, wanted);
  }
  runStepwise(program: string, counts: Counts, after: (launch: LaunchReport) => Promise<void> | void): Promise<void> {
    return this.#device.runStepwise(program, counts, after);
  }
  write(tensor: string, data: Float32Array | Int32Array, first?: number): void {
    this.#device.write(tensor, data, first);
  }
  read(tensor: string, options?: ReadOptions): Promise<Float32Array> {
    return this.#device.read(tensor, options);
  }
  close(): Promise<void> {
    return this.#device.close();
  }
}

interface Opened {
  readonly model: Model;
  readonly device: FailingMemory;
}

/** The model with its device behind another one. */
function behind(
  { manifest, source, device, tokenizer }: Model,
  change: (device: Device) => Device,
  flip?: Flip,
): Opened {
  const failing = new FailingMemory(change(device), flip);
  const host = { ...nodeHost, disk: new MemoryDisk() };
  return {
    model: new Model({ manifest, device: failing, source, host, tokenizer, tokenizerJson: undefined }),
    device: failing,
  };
}

const same = (device: Device): Device => device;
const queued = (device: Device): Device => new QueuedDevice(device, device.manifest);

describe("bits of a run", () => {
  const experts = readFileSync(new URL("../../specs/tiny-experts.mspec.yaml", import.meta.url), "utf8");

  async function outcome(spec: string, change: (device: Device) => Device, options: TrainOptions) {
    const overrides = ["train.steps=6", "train.evaluate_every=4"];
    const { model, device } = behind(await openTiny(spec, overrides), change);
    const reports: object[] = [];
    const observer = {
      onStep: ({ tokensPerSecond: _, ...report }: { tokensPerSecond: number }) => void reports.push(report),
    };
    const result = await model.train({ corpus, observer, ...options });
    const hash = await stateHash(model);
    await model.close();
    return { told: { hash, result, reports }, microBatches: device.microBatches };
  }

  it.each([
    // Four to eight sequences a step and two a micro-batch: as many again in the steps 2, 4 and 6.
    ["a dense model", tinySpec, same],
    ["a dense model behind a queue", tinySpec, queued],
    ["experts with balance losses and a bias, and one more token predicted", experts, same],
    ["experts behind a queue", experts, queued],
  ] as const)("of %s are equal with and without steps that are computed twice", async (_, spec, change) => {
    const plain = await outcome(spec, change, {});
    const rechecked = await outcome(spec, change, { recheckEvery: 2 });
    const all = await outcome(spec, change, { recheckEvery: 1 });
    expect(plain.told.reports).toHaveLength(6);
    expect(rechecked.told).toEqual(plain.told);
    expect(all.told).toEqual(plain.told);
    expect(all.microBatches).toBe(2 * plain.microBatches);
    expect(rechecked.microBatches).toBeGreaterThan(plain.microBatches);
    expect(rechecked.microBatches).toBeLessThan(all.microBatches);
  });
});

describe("H7: a bit that flips", () => {
  const overrides = ["train.steps=6", "train.save_every=2", "train.batch.sequences=4"];
  // Two micro-batches a step; steps 1 and 2 are computed once, step 3 is rechecked: its first computation is runs 5 and 6, its
  // second 7 and 8.
  const recheckEvery = 3;
  // Nine weights a layer, the table and the last norm, and the sum of losses.
  const numSums = 2 * 9 + 2 + 1;

  async function failure(
    flip: Flip,
    change: (device: Device) => Device = same,
  ): Promise<{ text: string; hash: string }> {
    const { model } = behind(await openTiny(tinySpec, overrides), change, flip);
    // A folder would ask for the kernels of the device that the queue stands for.
    const folder = change === same ? { folder: "/run" } : {};
    const text = await model.train({ corpus, ...folder, recheckEvery }).then(
      () => "",
      (error: unknown) => String(error),
    );
    const hash = await stateHash(model);
    await model.close();
    return { text, hash };
  }

  /** A gradient as step 3 has it, and the state behind step 2. */
  async function behindStepTwo(gradient: string): Promise<{ values: Float32Array; hash: string }> {
    const model = await openTiny(tinySpec, overrides);
    const stop = new AbortController();
    let hash = Promise.resolve("");
    const onStep = ({ step }: { step: number }) => {
      if (step === 2) hash = stateHash(model);
      if (step === 3) stop.abort();
    };
    await model.train({ corpus, observer: { onStep }, signal: stop.signal });
    const values = await model.device.read(gradient);
    await model.close();
    return { values, hash: await hash };
  }

  const gradient = { tensor: "gradient.layers.1.ffn.up.weight", element: 37 };

  it.each([
    ["before the second computation", 6, same],
    ["behind the second computation", 8, same],
    ["before the second computation, behind a queue", 6, queued],
  ] as const)("in a gradient %s ends the run by step, tensor and element", async (_, behindRun, change) => {
    const { values, hash } = await behindStepTwo(gradient.tensor);
    const good = values[gradient.element];
    const bad = flipped(good, 3);
    const told = await failure({ ...gradient, bit: 3, behindRun }, change);
    const [first, second] = behindRun === 6 ? [bad, good] : [good, bad];
    const hex = (value: number) => `0x${Buffer.from(Float32Array.of(value).buffer).reverse().toString("hex")}`;
    const ending =
      change === same
        ? ["  the last checkpoint is /run/checkpoints/step-000002", "go on behind the last checkpoint with `--resume`"]
        : ["  the run has no folder, so nothing of it is saved", "train again"];
    expect(told.text.split("\n")).toEqual([
      "Fault: device/results-differ: the device computed step 3 twice from the same numbers and did not get the same bits, and training stopped behind step 2",
      "  layers[1].ffn.up",
      `  1 of the ${28 * 20} elements of ${gradient.tensor} differ; of ${numSums} tensors 1 do`,
      `  element 37, the first, was ${hex(first)} (${first}) and then ${hex(second)} (${second})`,
      expect.stringContaining("nothing of the step was applied"),
      ...ending,
    ]);
    expect(told.hash).toBe(hash);
  });

  it("in a weight between the two computations ends the run; of the many gradients that differ one is named", async () => {
    const { text } = await failure({ tensor: "final_norm.weight", element: 3, bit: 21, behindRun: 6 });
    expect(text).toMatch(/device\/results-differ.*step 3 twice.*training stopped behind step 2\n/);
    const numUnequal = Number(/ elements of gradient\.\S+ differ; of 21 tensors (\d+) do\n/.exec(text)?.[1]);
    expect(numUnequal).toBeGreaterThan(numSums / 2);
    expect(text).toContain("the last checkpoint is /run/checkpoints/step-000002");
  });

  it("in a weight before both computations is not seen, and neither is one in a step that is computed once", async () => {
    for (const behindRun of [2, 4]) {
      const { text } = await failure({ tensor: "final_norm.weight", element: 3, bit: 21, behindRun });
      expect(text).toBe("");
    }
  });

  it("of what is no number is none, since engines choose those bits freely", async () => {
    const gradient = "gradient.final_norm.weight";
    const flip = { tensor: gradient, element: 3, bit: 2, behindRun: 2 };
    const opened = await openTiny(tinySpec, ["train.steps=1", "train.batch.sequences=2"]);
    await opened.initialize();
    opened.device.write("layers.1.ffn.up.weight", new Float32Array(560).fill(3e38));
    const { model } = behind(opened, same, flip);
    await model.setParameters([]);
    await expect(model.train({ corpus, recheckEvery: 1 })).resolves.toMatchObject({ steps: 1, skipped: 1 });
    expect((await model.device.read(gradient)).every(Number.isNaN)).toBe(true);
    await model.close();
  });

  it("on WebGPU is seen as well", async ({ skip }) => {
    skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu);
    const spec = specOf(tinySpec, ["model.layers=1", "train.steps=2", "train.batch.sequences=2"]);
    const build = compile(spec);
    const files = await outputFiles(build, [compileFor(targets["wgsl-soft"], spec, build.programs)]);
    const source = memorySource(new Map(files.map(({ path, content }) => [path, content])));
    const onGpu = await openModel(source, { device: "webgpu:software" });
    const flip = { tensor: "gradient.layers.0.ffn.up.weight", element: 5, bit: 0, behindRun: 3 };
    const { model } = behind(onGpu, same, flip);
    await expect(model.train({ corpus, recheckEvery: 2 })).rejects.toThrow(
      /device\/results-differ: the device computed step 2 twice.*behind step 1\n {2}layers\[0\]\.ffn\.up\n {2}1 of the 560 elements.*\n {2}element 5,/,
    );
    await model.close();
  }, 300_000);
});
