// @ts-check
// Trains the reference model of a fixture folder (config.json, init.safetensors, curve.csv) on its text, in its order and
// with its schedule, and prints how far losses part from the recorded ones.
// node bench/train-ref.mjs FOLDER TEXT [steps] [threads]

import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { exit } from "node:process";

const dist = new URL("../dist/", import.meta.url);
/** @param {string} path */
const load = (path) => import(new URL(path, dist).href);

const [folder, text, wanted = "300", threads = "2"] = process.argv.slice(2);
if (text === undefined) {
  process.stderr.write("node bench/train-ref.mjs FOLDER TEXT [steps] [threads]\n");
  exit(2);
}
const [vocab, sequence, sequences, steps] = [256, 256, 8, Number(wanted)];

const spec = `mspec: 1
name: train-ref
model:
  vocab: ${vocab}
  context: ${sequence}
  width: 256
  layers: 4
  norm: { eps: 1e-6 }
  attention: { kind: mla, heads: 8, kv_rank: 64, nope_dim: 32, rope_dim: 16, value_dim: 32, rope: { layout: interleaved } }
  ffn:
    { kind: moe, experts: 8, top_k: 2, shared: 1, intermediate: 256, router: { score: sigmoid(logit), normalize: true, bias_update: 0.01 } }
train:
  sequence: ${sequence}
  batch: { sequences: ${sequences} }
  steps: 300
  optimizer: { betas: [0.9, 0.95], eps: 1e-8, weight_decay: { all: 0.1, norm: 0 } }
  lr: warmup(20) to 1e-3 then cosine to 1e-4
  clip: 1
serve: { sequences: 1, tokens: 8, pages: 16 }
`;

/** The generator of the reference's batch order. @param {number} seed */
function mulberry32(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** @param {Uint8Array} bytes @param {number[]} offsets */
function batchOf(bytes, offsets) {
  const rows = offsets.length;
  const at = (/** @type {number} */ i) => offsets[Math.floor(i / sequence)] + (i % sequence);
  const fill = (/** @type {(i: number) => number} */ value) =>
    Int32Array.from({ length: rows * sequence }, (_, i) => value(i));
  return {
    rows,
    tokens: fill((i) => bytes[at(i)]),
    targets: fill((i) => bytes[at(i) + 1]),
    documents: fill(() => 0),
    positions: fill((i) => i % sequence),
  };
}

async function openModel() {
  const [{ readSpec }, { SourceText }, { compile }, { assemble }, { memorySource }, open] = await Promise.all([
    load("compiler/spec/read.js"),
    load("compiler/source/text.js"),
    load("compiler/compile.js"),
    load("compiler/emit/assemble.js"),
    load("runtime/build-source.js"),
    load("runtime/open-model.js"),
  ]);
  const read = readSpec(new SourceText("train-ref.mspec.yaml", spec));
  if (read.spec === undefined)
    throw new Error(read.diagnostics.map((/** @type {{claim: string}} */ d) => d.claim).join("\n"));
  const build = compile(read.spec);
  const files = new Map([["manifest.json", JSON.stringify(build.manifest)]]);
  for (const kernel of build.kernels) files.set(kernel.file, kernel.text);
  files.set(build.manifest.module, await assemble(build.kernels));
  return open.openModel(memorySource(files), { threads: Number(threads) });
}

const start = process.memoryUsage().rss;
const model = await openModel();
const { runStep, writeMicroBatch } = await load("runtime/train/step.js");
const { scheduleValue } = await load("runtime/schedule.js");
await model.loadWeights(`${folder}/model.safetensors`);
const bytes = readFileSync(text);
const split = Math.floor(bytes.length * 0.9);
const [train, held] = [bytes.subarray(0, split), bytes.subarray(split)];
const spread = Math.floor((held.length - sequence - 1) / 16);
const curve = readFileSync(`${folder}/curve.csv`, "utf8")
  .trim()
  .split("\n")
  .slice(1)
  .map((line) => line.split(",").map(Number));
const { device, manifest } = model;
const { training } = manifest;
if (training === undefined) throw new Error("the spec does not train");

async function validationLoss() {
  let sum = 0;
  for (let first = 0; first < 16; first += sequences) {
    const batch = batchOf(
      held,
      Array.from({ length: sequences }, (_, i) => (first + i) * spread),
    );
    writeMicroBatch(device, training, batch, 0, 0);
    await device.run("evaluate");
    sum += (await device.read("metrics.loss"))[0];
  }
  return sum / (16 * sequence);
}

/** @param {number[]} values */
const median = (values) => [...values].sort((x, y) => x - y)[values.length >> 1];

const random = mulberry32(1337);
const times = [];
for (let step = 0; step <= steps; step++) {
  const recorded = curve[step]?.[2];
  if (recorded) {
    const loss = await validationLoss();
    const off = (100 * (loss / recorded - 1)).toFixed(3);
    process.stdout.write(`step ${step}: validation ${loss.toFixed(4)}, recorded ${recorded.toFixed(4)} (${off} %)\n`);
  }
  if (step === steps) break;
  const offsets = Array.from({ length: sequences }, () =>
    Math.floor((random() * (train.length - sequence - 1)) / 2 ** 32),
  );
  const batch = batchOf(train, offsets);
  const now = { steps: step, tokens: step * sequences * sequence };
  const end = { steps: step + 1, tokens: (step + 1) * sequences * sequence };
  const settings = {
    learningRate: scheduleValue(training.learningRate, now, end),
    clip: 1,
    values: training.stepValues.map((/** @type {{ schedule: object }} */ value) =>
      scheduleValue(value.schedule, now, end),
    ),
  };
  const began = performance.now();
  const { loss } = await runStep(device, training, batch, settings);
  times.push(performance.now() - began);
  if (step < 3 || step % 50 === 0) {
    process.stdout.write(
      `step ${step}: loss ${loss.toFixed(6)}, recorded ${curve[step][1].toFixed(6)}, apart ${(loss - curve[step][1]).toExponential(1)}\n`,
    );
  }
}
const middle = median(times.slice(3));
process.stdout.write(
  `${((sequences * sequence * 1000) / middle).toFixed(0)} tokens/s (median step ${middle.toFixed(1)} ms, ${threads} threads)\n`,
);
process.stdout.write(
  `memory: ${((process.resourceUsage().maxRSS * 1024 - start) / 2 ** 20).toFixed(0)} MiB above start-up\n`,
);
await model.close();
