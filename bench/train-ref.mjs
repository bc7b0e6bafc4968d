// @ts-check
// Trains the reference model of a fixture folder (config.json, init.safetensors, train_ref.py, curve.csv) on its text, in its
// order and with its schedule: how far losses part from the recorded ones, and speed and memory beside the program itself,
// steps in turns where python3 has torch.
// node bench/train-ref.mjs FOLDER TEXT [steps] [threads] [device]

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { exit } from "node:process";
import { fileURLToPath } from "node:url";
import { median, openModel } from "./model.mjs";
import { startPeer, torchVersion } from "./peer.mjs";
import { kernelShares } from "./shares.mjs";

const dist = new URL("../dist/", import.meta.url);
/** @param {string} path */
const load = (path) => import(new URL(path, dist).href);

const [folder, text, wanted = "300", threads = "2", where = "wasm"] = process.argv.slice(2);
if (text === undefined) {
  process.stderr.write("node bench/train-ref.mjs FOLDER TEXT [steps] [threads] [device]\n");
  exit(2);
}
/** As in train-ref.mspec.yaml. */
const [sequence, sequences, steps] = [256, 8, Number(wanted)];

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

async function openReference() {
  const path = fileURLToPath(new URL("train-ref.mspec.yaml", import.meta.url));
  return openModel(path, {
    device: /** @type {import("../runtime/device.ts").DeviceName} */ (where),
    threads: Number(threads),
  });
}

/** The start weights under our names. */
function importWeights() {
  const made = mkdtempSync(join(tmpdir(), "mspec-train-ref-"));
  copyFileSync(join(folder, "config.json"), join(made, "config.json"));
  copyFileSync(join(folder, "init.safetensors"), join(made, "model.safetensors"));
  const mspec = fileURLToPath(new URL("../bin/mspec.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [mspec, "import", made, "-o", join(made, "ours")], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return made;
}

const made = importWeights();
const version = torchVersion();
const program = fileURLToPath(new URL("./train_ref_peer.py", import.meta.url));
const peer =
  version === undefined ? undefined : await startPeer("python3", [program, join(folder, "train_ref.py"), text]);
const start = process.memoryUsage().rss;
const model = await openReference();
const { runStep, writeMicroBatch } = await load("runtime/train/step.js");
const { scheduleValue } = await load("runtime/schedule.js");
await model.loadWeights(join(made, "ours", "model.safetensors"));
rmSync(made, { recursive: true });
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

const random = mulberry32(1337);
/** @type {{ ms: number, cpu: number }[]} */
const ours = [];
/** @type {{ ms: number, cpu: number, peak: number }[]} */
const theirs = [];
/** Enough for a median; the rest of the run goes on alone. */
const measured = 40;
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
  const [began, used] = [performance.now(), process.cpuUsage()];
  const { loss } = await runStep(device, training, batch, settings);
  if (step < measured) {
    ours.push({ ms: performance.now() - began, cpu: process.cpuUsage(used).user / 1000 });
    if (peer !== undefined) theirs.push(await peer.ask("step"));
  }
  if (step < 3 || step % 50 === 0) {
    process.stdout.write(
      `step ${step}: loss ${loss.toFixed(6)}, recorded ${curve[step][1].toFixed(6)}, apart ${(loss - curve[step][1]).toExponential(1)}\n`,
    );
  }
}
peer?.stop();
/** @param {{ ms: number, cpu: number }[]} list */
const medians = (list) => ({
  ms: median(list.slice(3).map(({ ms }) => ms)),
  cpu: median(list.slice(3).map(({ cpu }) => cpu)),
});
/** @param {string} name @param {{ ms: number, cpu: number }} times @param {number} memory */
function printSpeed(name, { ms, cpu }, memory) {
  const speed = ((sequences * sequence * 1000) / ms).toFixed(0);
  process.stdout.write(
    `${name}: ${ms.toFixed(1)} ms and ${cpu.toFixed(1)} ms of CPU per step, ${speed} tokens/s, ${memory.toFixed(0)} MiB above start-up\n`,
  );
}
if (ours.length <= 3) {
  await model.close();
  exit(0);
}
const own = medians(ours);
printSpeed(`mspec, ${device.description}`, own, (process.resourceUsage().maxRSS * 1024 - start) / 2 ** 20);
if (theirs.length > 3) {
  const other = medians(theirs);
  printSpeed(`PyTorch ${version}, 2 threads`, other, theirs[theirs.length - 1].peak);
  process.stdout.write(
    `speed over PyTorch: ${(other.ms / own.ms).toFixed(2)} by wall time, ${(other.cpu / own.cpu).toFixed(2)} by CPU time\n`,
  );
}
const shares = Object.entries(await kernelShares(device, manifest)).sort(
  (a, b) => b[1].milliseconds - a[1].milliseconds,
);
const total = shares.reduce((sum, [, { milliseconds }]) => sum + milliseconds, 0);
for (const [name, { milliseconds, flops }] of shares.slice(0, 10)) {
  const share = ((100 * milliseconds) / total).toFixed(1).padStart(5);
  const speed = flops > 0 ? `, ${(flops / milliseconds / 1e6).toFixed(1)} GF/s` : "";
  process.stdout.write(`${share} % ${name}: ${milliseconds.toFixed(2)} ms${speed}\n`);
}
await model.close();
