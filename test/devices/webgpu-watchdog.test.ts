// H5: a GPU that does not end what it is given: who is told of it, when, and what still ends then.

import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { create } from "webgpu";
import type { Manifest, ManifestLaunch } from "../../runtime/contract.ts";
import { openWebGpu, type WebGpuDevice } from "../../runtime/devices/webgpu.ts";
import { Watchdog } from "../../runtime/devices/webgpu-watchdog.ts";
import type { Submission } from "../../runtime/devices/webgpu-work.ts";
import { textsOf, whyNoSoftwareGpu } from "./software-gpu.ts";
import { kernelTexts, tinyGpuModel } from "./tiny-gpu-model.ts";

const gigaflop = 1e9;
const kernels = ["attention", "product"].map((name) => ({ ...tinyGpuModel.kernels[0], name }));
const manifest: Manifest = { ...tinyGpuModel, kernels };
const launch = (kernel: number, path: string, flops: number): ManifestLaunch => ({
  kernel,
  operands: [],
  tiles: 1,
  path,
  flops,
});
const submission = (name: string, ...launches: ManifestLaunch[]): Submission => ({
  name,
  launches,
  tensors: new Map(),
});

/** Two products are more than the attention, which is the largest launch. */
const microStep = submission(
  "micro_step",
  launch(0, "layers[0].attention", 40),
  launch(1, "layers[0].ffn.up", 25),
  launch(1, "layers[0].ffn.gate", 30),
);
const update = submission("update", launch(0, "optimizer", 5));

interface Watched {
  readonly watchdog: Watchdog;
  readonly warnings: string[];
  readonly failures: string[];
}

function watch({
  deadlineSeconds,
  isSoftware = true,
}: {
  deadlineSeconds?: number;
  isSoftware?: boolean;
} = {}): Watched {
  const watchdog = new Watchdog({ manifest, description: "a GPU", isSoftware, deadlineSeconds });
  const [warnings, failures]: string[][] = [[], []];
  watchdog.onWarning = (sentence) => void warnings.push(sentence);
  watchdog.onFailure = (error) => {
    failures.push(error.message);
    watchdog.stop(error);
  };
  return { watchdog, warnings, failures };
}

/** Work that ends when it is told to. */
function give({ watchdog }: Watched, ...submissions: readonly Submission[]) {
  for (const each of submissions) watchdog.gave(each);
  const { promise, resolve } = deferred();
  const guarded = watchdog.guard(promise);
  guarded.catch(() => {});
  return {
    guarded,
    end: async () => {
      resolve();
      await guarded;
    },
  };
}

function deferred() {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000);

describe("a watchdog", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  test("tells once behind a minute, and gives up behind ten, what never ran before, with the kernel of most work", async () => {
    const watched = watch();
    const { guarded } = give(watched, microStep, microStep, update);
    await seconds(59);
    expect(watched.warnings).toEqual([]);
    await seconds(540);
    // 2 · (25 + 30) of 2 · 95 + 5 are the products'; the attention has 2 · 40 + 5.
    const most =
      "most work is in kernel product, 56 % of the planned FLOPs, in 4 launches, the largest at layers[0].ffn.gate";
    expect(watched.warnings).toEqual([
      `a GPU has been at work on 2 runs of micro_step and 1 of update for 60 s: nothing of the kind was done before; ${most}; it is given up after 10 minutes`,
    ]);
    expect(watched.failures).toEqual([]);
    await seconds(1);
    expect(watched.failures).toHaveLength(1);
    expect(watched.failures[0].split("\n")).toEqual([
      "device/hung: the GPU does not end what it was given: a GPU",
      "  it has been at work on 2 runs of micro_step and 1 of update for 10 minutes; nothing of the kind was done before",
      `  ${most}`,
      expect.stringMatching(/^ {2}if that hangs again, make train\.batch\.micro .* smaller, .*`--deadline`$/),
      expect.stringMatching(/^resume from the last checkpoint, in a process of its own/),
    ]);
    await expect(guarded).rejects.toThrow("device/hung");
    expect(watched.watchdog.isHung).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("waits ten and thirty times as long as the longest of a kind, of which others say nothing", async () => {
    const watched = watch();
    for (const took of [30, 2]) {
      const { end } = give(watched, microStep);
      await seconds(took);
      await end();
    }
    give(watched, microStep);
    await seconds(299);
    expect(watched.warnings).toEqual([]);
    await seconds(1);
    expect(watched.warnings[0]).toMatch(
      /1 run of micro_step for 5 minutes: it took at most 30 s before;.*after 15 minutes$/,
    );
    await seconds(599);
    expect([watched.warnings.length, watched.failures.length]).toEqual([1, 0]);
    await seconds(1);
    expect(watched.failures[0]).toMatch(/1 run of micro_step for 15 minutes; it took at most 30 s before\n/);
  });

  test("allows the first of a kind what its FLOPs would take: on a software adapter more than on a GPU", async () => {
    const large = submission("micro_step", launch(1, "layers[0].ffn.up", 500 * gigaflop));
    const [software, hardware] = [watch(), watch({ isSoftware: false })];
    give(software, large);
    give(hardware, large);
    // A hundred seconds at 5 GFLOPS: told of behind ten times that, given up behind thirty. At 500 GFLOPS the floors count.
    await seconds(999);
    expect([software.warnings.length, hardware.warnings.length, hardware.failures.length]).toEqual([0, 1, 1]);
    await seconds(1);
    expect(software.warnings).toHaveLength(1);
    await seconds(1999);
    expect(software.failures).toEqual([]);
    await seconds(1);
    expect(software.failures).toHaveLength(1);
  });

  test("counts no time in which its own timer stood still: the machine slept", async () => {
    const watched = watch();
    const { end } = give(watched, microStep);
    await seconds(5);
    const awake = performance.now();
    vi.setSystemTime(Date.now() + 8 * 3600 * 1000);
    vi.spyOn(performance, "now").mockReturnValue(awake + 8 * 3600 * 1000);
    await seconds(1);
    expect(watched.warnings).toEqual([]);
    await end();
    vi.restoreAllMocks();
    // Those hours are in nobody's history either: seven seconds are, at most.
    give(watched, microStep);
    await seconds(100);
    expect(watched.warnings[0]).toMatch(/for 70 s: it took at most 7 s before/);
  });

  test("counts work from when what was before it has ended, and work that nobody awaits not at all", async () => {
    const watched = watch();
    const first = give(watched, microStep);
    const second = give(watched, update);
    await seconds(50);
    await first.end();
    await seconds(59);
    expect(watched.warnings).toEqual([]);
    await seconds(1);
    expect(watched.warnings[0]).toMatch(/1 run of update for 60 s/);
    await second.end();
    expect(vi.getTimerCount()).toBe(0);
    watched.watchdog.gave(microStep);
    await seconds(1000);
    expect([watched.warnings.length, watched.failures.length]).toEqual([1, 0]);
    expect(watched.watchdog.atWork?.text).toBe("1 run of micro_step");
  });

  test("gives up when it was told to, or never", async () => {
    const [short, never] = [watch({ deadlineSeconds: 7 }), watch({ deadlineSeconds: Number.POSITIVE_INFINITY })];
    give(short, microStep);
    give(never, microStep);
    await seconds(7);
    expect(short.failures).toHaveLength(1);
    await seconds(100_000);
    expect(never.warnings).toEqual([expect.stringMatching(/layers\[0\]\.ffn\.gate$/)]);
    expect(never.failures).toEqual([]);
    never.watchdog.stop(new Error("closed"));
  });

  test("fails with what whoever is warned throws", async () => {
    const watched = watch();
    watched.watchdog.onWarning = () => {
      throw new Error("enough");
    };
    const { guarded } = give(watched, microStep);
    await seconds(60);
    await expect(guarded).rejects.toThrow("enough");
    expect(watched.watchdog.isHung).toBe(false);
  });
});

describe("a device whose GPU hangs", () => {
  beforeEach(({ skip }) => skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu));

  /** Dawn without any GPU, whose answers stay away when told so. */
  async function openHanging(): Promise<{ device: WebGpuDevice; hang: () => void; numDestroyed: () => number }> {
    let hangs = false;
    let destroyed = 0;
    const gpu = create(["backend=null"]);
    const requestAdapter = gpu.requestAdapter.bind(gpu);
    gpu.requestAdapter = async (options) => {
      const adapter = await requestAdapter(options);
      if (adapter === null) return null;
      const requestDevice = adapter.requestDevice.bind(adapter);
      adapter.requestDevice = async (descriptor) => changed(await requestDevice(descriptor));
      return adapter;
    };
    const changed = (device: GPUDevice): GPUDevice => {
      const createBuffer = device.createBuffer.bind(device);
      device.createBuffer = (descriptor) => {
        const buffer = createBuffer(descriptor);
        const mapAsync = buffer.mapAsync.bind(buffer);
        buffer.mapAsync = (...given) => (hangs ? new Promise(() => {}) : mapAsync(...given));
        return buffer;
      };
      const done = device.queue.onSubmittedWorkDone.bind(device.queue);
      device.queue.onSubmittedWorkDone = () => (hangs ? new Promise(() => {}) : done());
      const destroy = device.destroy.bind(device);
      // Dawn's own would wait for a GPU that hangs; this one does not.
      device.destroy = () => void destroyed++;
      onTestFinished(destroy);
      return device;
    };
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const device = await openWebGpu(tinyGpuModel, textsOf(kernelTexts), { gpu, isSoftware: false });
    const hang = () => {
      hangs = true;
    };
    return { device, hang, numDestroyed: () => destroyed };
  }

  const tick = (device: WebGpuDevice) => device.runAndRead("tick", {}, [{ tensor: "total" }]);
  const outcomeOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => "done",
      (error: unknown) => String(error),
    );

  test("warns, then fails what is awaited, what waits in line, and every later call; closing waits for nothing", async () => {
    const { device, hang, numDestroyed } = await openHanging();
    const warnings: string[] = [];
    device.onWarning = (sentence) => void warnings.push(sentence);
    await tick(device);
    expect(vi.getTimerCount()).toBe(0);
    hang();
    // More than there are staging buffers.
    const calls = [...Array.from({ length: 8 }, () => tick(device)), device.read("x")].map(outcomeOf);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(warnings).toEqual([
      expect.stringMatching(
        /^webgpu, .* at work on 1 run of tick for 60 s: it took at most [\d.]+ s before; most work is in kernel tick/,
      ),
    ]);
    await vi.advanceTimersByTimeAsync(540_000);
    for (const outcome of await Promise.all(calls))
      expect(outcome).toMatch(/device\/hung.*1 run of tick.*at model\.tick/s);
    expect(vi.getTimerCount()).toBe(0);
    await expect(tick(device)).rejects.toThrow(/device\/hung/);
    await expect(device.read("x")).rejects.toThrow(/device\/hung/);
    expect(() => device.write("x", new Float32Array(8))).toThrow(/device\/hung/);
    await device.close();
    expect(numDestroyed()).toBe(0);
  });

  test("launch by launch names the launch that hangs", async () => {
    const { device, hang } = await openHanging();
    const after = ({ index }: { index: number }) => {
      if (index === 0) hang();
    };
    const outcome = outcomeOf(device.runStepwise("scale", { live: 8 }, after));
    // The first launch is awaited in earnest, between looks that are not.
    for (let look = 0; look < 20; look++) await new Promise((resolve) => setTimeout(resolve, 5));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await outcome).toMatch(
      /device\/hung.*1 run of launch 1 of scale, model\.tick for 10 minutes.*most work is in kernel tick, 100 % .* at model\.tick\n/s,
    );
  });

  test("is destroyed when it is closed before it was given up, which ends what is awaited and leaves no timer", async () => {
    const { device, hang, numDestroyed } = await openHanging();
    hang();
    const reading = outcomeOf(tick(device));
    expect(vi.getTimerCount()).toBe(1);
    await device.close();
    expect(await reading).toMatch(/device\/closed/);
    expect(numDestroyed()).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
