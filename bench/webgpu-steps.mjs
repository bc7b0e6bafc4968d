// @ts-check
// Training steps and decoding on an adapter of WebGPU: how fast, what the host does meanwhile, and what is made on the GPU.

import { performance } from "node:perf_hooks";
import { generator, graphTools, median, openModel } from "./model.mjs";

/** @typedef {import("../runtime/devices/webgpu.ts").WebGpuDevice} WebGpuDevice */
/** @typedef {import("./webgpu-ops.mjs").GpuName} GpuName */
/** What was made and submitted per step. @typedef {{ submits: number, buffers: number, bindGroups: number, pipelines: number, encodeMilliseconds: number }} Made */

const counters = /** @type {const} */ (["submits", "buffers", "bindGroups", "pipelines", "encodeMilliseconds"]);

/** @param {WebGpuDevice} device */
function countsOf({ statistics }) {
  const before = { ...statistics };
  /** What was added since, divided by a number of steps. @param {number} steps @returns {Made} */
  return (steps) => {
    const [submits, buffers, bindGroups, pipelines, encodeMilliseconds] = counters.map(
      (name) => (statistics[name] - before[name]) / steps,
    );
    return { submits, buffers, bindGroups, pipelines, encodeMilliseconds };
  };
}

/** Measured for so long, but at least `leastSteps`. */
const milliseconds = 20_000;
const leastSteps = 2;
const mostSteps = 100;

/** @param {import("../runtime/contract.ts").ManifestTraining} training @param {number} vocab */
function randomBatch({ micro, sequence }, vocab) {
  const random = generator();
  const tokens = Int32Array.from({ length: micro * sequence }, () => Math.floor((random() + 0.5) * vocab));
  return {
    rows: micro,
    tokens,
    targets: Int32Array.from(tokens, (_, i) => tokens[(i + 1) % tokens.length]),
    documents: new Int32Array(tokens.length),
    positions: Int32Array.from(tokens, (_, i) => i % sequence),
  };
}

/**
 * Steps of one micro-batch as `mspec train` takes them: the next one is given to the GPU before the last one has ended.
 * @param {string} path @param {GpuName} name
 */
export async function trainingSteps(path, name) {
  const { load } = await graphTools();
  const { startStep } = await load("runtime/train/step.js");
  const model = await openModel(path, { device: name });
  await model.initialize();
  const { training } = model.manifest;
  if (training === undefined) throw new Error(`${path} does not train`);
  const device = /** @type {WebGpuDevice} */ (model.device);
  const batch = randomBatch(training, model.manifest.model.vocab);
  let writing = 0;
  /** The same device, whose writes are timed. */
  const timed = {
    manifest: device.manifest,
    run: device.run.bind(device),
    runAndRead: device.runAndRead.bind(device),
    write: (/** @type {Parameters<WebGpuDevice["write"]>} */ ...args) => {
      const start = performance.now();
      device.write(...args);
      writing += performance.now() - start;
    },
  };
  const settings = { learningRate: 1e-3, clip: 1, values: training.stepValues.map(() => 0) };
  const begin = () => startStep(timed, training, batch, settings);
  await (await begin()).outcome;
  const since = countsOf(device);
  writing = 0;
  /** @type {number[]} */
  const ends = [];
  const start = performance.now();
  let running = await begin();
  for (let begun = 1; ; begun++) {
    const isLast = begun >= leastSteps && (begun >= mostSteps || performance.now() - start > milliseconds);
    const next = isLast ? undefined : await begin();
    await running.outcome;
    ends.push(performance.now());
    if (next === undefined) break;
    running = next;
  }
  const made = since(ends.length);
  const each = ends.map((end, i) => end - (ends[i - 1] ?? start));
  const launches = device.manifest.programs
    .filter((program) => ["micro_step", "update"].includes(program.name))
    .flatMap(({ waves }) => waves.flat());
  await model.close();
  const flops = launches.reduce((sum, launch) => sum + launch.flops, 0);
  const host = made.encodeMilliseconds + writing / ends.length;
  return { made, host, milliseconds: median(each), tokens: batch.tokens.length, launches: launches.length, flops };
}

/**
 * Tokens per second of prompts that are completed together, without their first tokens.
 * @param {string} path @param {GpuName} name @param {number[]} widths numbers of prompts
 */
export async function decoding(path, name, widths) {
  const model = await openModel(path, { device: name });
  await model.initialize();
  const device = /** @type {WebGpuDevice} */ (model.device);
  const maxTokens = name === "webgpu" ? 128 : 32;
  const results = [];
  for (const sequences of widths) {
    for (const isMeasured of [false, true]) {
      const times = /** @type {number[]} */ ([]);
      const prompts = Array.from({ length: sequences }, (_, i) => ({
        prompt: [1 + i, 2, 3, 4],
        maxTokens,
        temperature: 0,
        endTokens: [],
        onToken: () => void times.push(performance.now()),
      }));
      const since = countsOf(device);
      await model.generateAll(prompts);
      if (!isMeasured) continue;
      const seconds = (times[times.length - 1] - times[sequences - 1]) / 1e3;
      const steps = maxTokens - 1;
      results.push({
        sequences,
        speed: (sequences * steps) / seconds,
        perToken: seconds / steps,
        made: since(maxTokens),
      });
    }
  }
  await model.close();
  return results;
}
