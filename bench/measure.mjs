// @ts-check
// The measurements of `npm run bench`: each returns rows of a table. Peers run in turns with mspec, in one session.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { graphTools, median, openGraphs, timeRuns } from "./model.mjs";
import { startPeer, torchVersion } from "./peer.mjs";

/** @param {string} path */
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const place = { path: "bench", direction: "fprop", classes: [], key: "" };

/** @param {number} value */
const fixed = (value, digits = 1) => value.toFixed(digits);

/** GF per core-second of square matmuls, packing included, beside PyTorch's on one thread; the best is the roof. */
export async function matmuls() {
  const { GraphBuilder, dim, tensor, emitterFor, ops } = await graphTools();
  const torch = torchVersion() && (await startPeer("python3", [here("torch_ops.py")]));
  const rows = [];
  let roof = 0;
  for (const n of [512, 1024]) {
    const builder = new GraphBuilder(`matmul${n}`);
    const size = (/** @type {string} */ name) => dim(name, n);
    const x = builder.give("x", tensor("f32", size("rows"), size("in")), "state");
    const w = builder.give("w", tensor("f32", size("out"), size("in")), "state");
    const [y] = emitterFor(builder).emit(ops.get("linear"), [x, w], { accumulates: false }, place);
    const device = await openGraphs([builder.build(new Map([["y", y]]))], { threads: 1 });
    const flops = 2 * n ** 3;
    const [own, peers] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    for (let round = 0; round < 5; round++) {
      own.push((await timeRuns(() => device.run(`matmul${n}`), 5)).cpu);
      if (torch) peers.push((await torch.ask(`${n} ${n} ${n}`)).cpu);
    }
    await device.close();
    const [ours, theirs] = [flops / median(own) / 1e9, peers.length > 0 ? flops / median(peers) / 1e9 : undefined];
    roof = Math.max(roof, ours);
    rows.push([
      `${n} x ${n} x ${n}`,
      fixed(ours),
      theirs ? fixed(theirs) : "no torch",
      theirs ? fixed(ours / theirs, 2) : "",
      "at least 0.36",
    ]);
  }
  if (torch) torch.stop();
  return { rows, roof };
}

/** Addition, RMS norm, its gradient and AdamW, each over matrices of one size. @param {number} rows @param {number} width */
async function formulaGraph(rows, width) {
  const { GraphBuilder, dim, tensor, emitterFor, ops } = await graphTools();
  const builder = new GraphBuilder("formulas");
  const emitter = emitterFor(builder);
  const matrix = tensor("f32", dim("rows", rows), dim("width", width));
  const give = (/** @type {string} */ name, type = matrix) => builder.give(name, type, "state");
  const [a, b, gain] = [give("a"), give("b"), give("gain", tensor("f32", dim("width", width)))];
  const scalars = ["lr", "scale", "c1", "c2", "finite"].map((name) => give(name, tensor("f32")));
  const [sum] = emitter.emit(ops.get("add"), [a, b], null, place);
  const normed = emitter.emit(ops.get("rms_norm"), [a, gain], { eps: 1e-5 }, place);
  const norm = builder.nodes[builder.nodes.length - 1];
  const dInputs = ops
    .get("rms_norm")
    .gradient.build({ node: norm, dOutputs: [b, undefined], wanted: [true, true], emitter });
  const state = ["w", "m", "v"].map((name) => give(name));
  const [w] = emitter.emit(
    ops.get("adamw"),
    [state[0], b, state[1], state[2], ...scalars],
    { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1 },
    place,
  );
  const results = new Map([
    ["sum", sum],
    ["y", normed[0]],
    ["dx", dInputs[0]],
    ["w", w],
  ]);
  return builder.build(results);
}

/** GB/s of the compulsory traffic of formula kernels without transcendentals, beside a copy, on one thread. */
export async function formulas() {
  const [rows, width] = [512, 1024];
  const device = await openGraphs([await formulaGraph(rows, width)], { threads: 1 });
  /** Matrices read and written per run. */
  const traffic = new Map([
    ["add", 3],
    ["rms_norm", 2],
    ["rms_norm_backward", 3],
    ["adamw", 7],
  ]);
  /** @type {Map<string, number[]>} */
  const times = new Map();
  const copies = [];
  const [from, to] = [new Float32Array(rows * width).fill(1), new Float32Array(rows * width)];
  for (let i = 0; i < 200; i++) {
    await device.runStepwise(
      "formulas",
      {},
      (/** @type {import("../runtime/device.ts").LaunchReport} */ { kernel, milliseconds }) => {
        const name = kernel.replace(/_w\d+.*$/, "");
        times.set(name, [...(times.get(name) ?? []), milliseconds]);
      },
    );
    const start = performance.now();
    for (let j = 0; j < 10; j++) to.set(from);
    copies.push((performance.now() - start) / 10);
  }
  await device.close();
  const bytes = rows * width * 4;
  const copy = (2 * bytes) / median(copies) / 1e6;
  const table = [["copy (TypedArray.set)", fixed(copy), "1.00", ""]];
  for (const [name, matrices] of traffic) {
    const speed = (matrices * bytes) / median(times.get(name) ?? [1]) / 1e6;
    table.push([name, fixed(speed), fixed(speed / copy, 2), "at least 0.25, goal 0.50"]);
  }
  return table;
}

/**
 * Training steps of a spec beside its PyTorch twin, in turns.
 * @param {string} path @param {Record<string, unknown>} facts @param {number} steps
 */
export async function training(path, facts, steps) {
  const threads = 2;
  const folder = mkdtempSync(join(tmpdir(), "mspec-bench-"));
  const factsPath = join(folder, "facts.json");
  writeFileSync(factsPath, JSON.stringify({ ...facts, threads }));
  const own = await startPeer(process.execPath, [here("steps.mjs"), path, String(threads)]);
  const twin = torchVersion() && (await startPeer("python3", [here("twin.py"), factsPath]));
  /** @type {import("./steps.mjs").Step[]} */
  const ours = [];
  /** @type {import("./steps.mjs").Step[]} */
  const theirs = [];
  for (let i = 0; i < steps + 3; i++) {
    const answer = await own.ask("step");
    const peer = twin ? await twin.ask("step") : undefined;
    if (i < 3) continue;
    ours.push(answer);
    if (peer) theirs.push(peer);
  }
  const shares = await own.ask("shares");
  own.stop();
  if (twin) twin.stop();
  rmSync(folder, { recursive: true });
  return { ours, theirs, shares };
}
