// @ts-check
// What `npm run bench -- --device webgpu` measures on the adapter that is here: copies, products, training steps, decoding.
// `webgpu:software` measures an adapter that computes on the CPU. `--peak GFLOPS` names the adapter's f32 peak, and
// `--peers FOLDER` a folder whose node_modules hold other systems for WebGPU: tfjs with its backend, onnxruntime-web.

import { execFileSync } from "node:child_process";
import { cpus, release, type } from "node:os";
import { fileURLToPath } from "node:url";
import { findAdapter } from "./model.mjs";
import { option } from "./options.mjs";
import { decodingInPage } from "./page-peers.mjs";
import { adapterTitle, say, table } from "./tables.mjs";
import { copies, products, rowProducts } from "./webgpu-ops.mjs";
import { tfjsSteps } from "./webgpu-peers.mjs";
import { decoding, trainingSteps } from "./webgpu-steps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const device = /** @type {import("./webgpu-ops.mjs").GpuName} */ (option("--device"));
const isSoftware = device === "webgpu:software";
const peak = Number(option("--peak") ?? Number.NaN);
const demo = `${root}examples/sotu/model.yaml`;

const percent = (/** @type {number} */ share) => (Number.isNaN(share) ? "" : `${(100 * share).toFixed(0)} %`);

const found = await findAdapter(device).catch((error) => {
  process.stderr.write(`nothing is measured: ${error.message}\n`);
  process.stderr.write("the software adapter is measured by `npm run bench -- --device webgpu:software`\n");
  process.exit(1);
});
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
say(`${adapterTitle}${found.description}`);
say();
say(
  `\`npm run bench -- --device ${device} --write\` at commit ${commit}; ${cpus().length} cores of ${cpus()[0].model.trim()}, ${type()} ${release().split("-")[0]}, Node ${process.version}. Operations are the fastest of repeated runs by the adapter's clock, steps are medians by the host's.`,
);
say();
if (isSoftware) {
  say(
    "This adapter computes on the CPU, and slower than wasm: its figures say how much the host does and makes, not how",
  );
  say("fast a GPU is.");
  say();
}
const copied = await copies(device);
const roof = Math.max(copied.driver, copied.kernel);
await operations();
await training();
await generation();
await peers();

async function operations() {
  say("### Operations");
  say();
  const rows = [
    [`copy of ${copied.size >> 20} MiB by the driver`, `${copied.driver.toFixed(1)} GB/s`, "", ""],
    [
      "the same by a kernel",
      `${copied.kernel.toFixed(1)} GB/s`,
      percent(copied.kernel / copied.driver),
      "driver's copy",
    ],
  ];
  for (const { size, own, best, tile } of await products(device, isSoftware ? [512, 1024] : [512, 1024, 2048, 4096])) {
    const name = `product of ${size} x ${size} x ${size}`;
    const of = `best of all tiles: ${best.toFixed(1)} with ${tile}`;
    rows.push([name, `${own.toFixed(1)} GFLOPS`, percent(own / best), of]);
    if (!Number.isNaN(peak))
      rows.push([`${name}, best tile`, `${best.toFixed(1)} GFLOPS`, percent(best / peak), `peak: ${peak}`]);
  }
  const shapes = /** @type {[number, number][]} */ ([
    [1024, 4096],
    [4096, 4096],
  ]);
  for (const { depth, columns, speed } of await rowProducts(device, shapes)) {
    const name = `1 x ${depth} . ${depth} x ${columns}`;
    rows.push([name, `${speed.toFixed(2)} GB/s of weights`, percent(speed / roof), "fastest copy"]);
  }
  table(["what", "speed", "share", "of"], rows);
}

/** A step that makes something on the GPU, or submits more than twice, is a fault: then nothing is written. */
async function training() {
  say("### Training steps of one micro-batch");
  say();
  const rows = [];
  const faults = [];
  const models = [
    { title: "examples/sotu: 0.9 M parameters, 4 x 256 tokens", path: demo },
    {
      title: "train-ref: 8.1 M, experts and latent attention, 8 x 256 tokens",
      path: `${root}bench/train-ref.mspec.yaml`,
    },
  ];
  for (const { title, path } of models) {
    const { made, host, milliseconds, tokens, launches, flops } = await trainingSteps(path, device);
    const counts = [made.submits, made.buffers, made.bindGroups, made.pipelines];
    if (counts.join() !== "2,0,0,0") faults.push(`${title}: ${counts.join(", ")}`);
    rows.push([
      title,
      milliseconds.toFixed(1),
      `${Math.round((1e3 * tokens) / milliseconds)}`,
      (flops / milliseconds / 1e6).toFixed(1),
      `${launches}`,
      counts.join(", "),
      host.toFixed(2),
      `${((100 * host) / milliseconds).toFixed(1)} %`,
    ]);
  }
  const made = "submits, new buffers, bind groups, pipelines";
  table(["model", "ms per step", "tokens/s", "GFLOPS", "dispatches", made, "host ms", "share"], rows);
  say("Host: writing inputs, encoding and submitting, on one thread.");
  say();
  if (faults.length > 0) throw new Error(`a step has 2 submits and makes nothing; but ${faults.join("; ")}`);
}

async function generation() {
  say("### Decoding, examples/sotu");
  say();
  const rows = [];
  for (const { sequences, speed, perToken, made } of await decoding(demo, device, [1, 8])) {
    const counts = [made.submits, made.buffers, made.bindGroups].map((count) => +count.toFixed(2)).join(", ");
    rows.push([
      `${sequences}`,
      speed.toFixed(1),
      (1e3 * perToken).toFixed(2),
      counts,
      made.encodeMilliseconds.toFixed(2),
    ]);
  }
  const made = "submits, new buffers, bind groups per token";
  table(["sequences", "tokens/s", "ms per token of all", made, "host ms per token of all"], rows);
}

async function peers() {
  say("### Peers");
  say();
  await tfjs();
  say();
  await onnxruntime();
  say();
}

async function tfjs() {
  const { missing, measured } = await tfjsSteps(option("--peers"), device);
  if (measured === undefined) say(`tfjs: ${missing}.`);
  else {
    const { milliseconds, host, speed } = measured;
    say("tfjs trains the model of examples/sotu, with Adam but without weight decay and clipping, step by step:");
    say(
      `${milliseconds.toFixed(1)} ms per step, of which ${host.toFixed(1)} ms are encoding on the host; ${speed.toFixed(1)} tokens/s.`,
    );
  }
}

/** In a page, where it is at home. */
async function onnxruntime() {
  if (!isSoftware) return say("onnxruntime-web: the browser that npm brings knows the software adapter only.");
  const { missing, measured } = await decodingInPage(option("--peers"));
  if (measured === undefined) return say(`onnxruntime-web: ${missing}.`);
  const { ours, theirs, equal, count } = measured;
  say("onnxruntime-web decodes the model of examples/sotu with the same weights, one sequence, in a page of headless");
  say(
    `Chromium: ${theirs.toFixed(1)} ms per token, where mspec takes ${ours.toFixed(1)} ms in the same page; ${equal} of ${count} greedy tokens are equal.`,
  );
}
