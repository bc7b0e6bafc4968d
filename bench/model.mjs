// @ts-check
// Opens graphs and specs on a device for measurements: weights and data are random, only time and memory matter.

import { performance } from "node:perf_hooks";

const dist = new URL("../dist/", import.meta.url);
/** @param {string} path */
const load = (path) => import(new URL(path, dist).href);

/** @param {number[]} values */
export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** A small generator: the same numbers in every run. */
export function generator(seed = 1) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
}

/**
 * Where something is measured.
 * @typedef {{ device?: import("../runtime/device.ts").DeviceName, threads?: number }} Where
 */

/**
 * @param {{ kernels: readonly { file: string, text: string }[], manifest: import("../runtime/contract.ts").Manifest }} build
 * @param {Where} where
 */
export async function openBuild({ kernels, manifest }, { device = "wasm", threads = 2 } = {}) {
  if (device === "wasm") {
    const [{ assemble }, { openWasm }] = await Promise.all([
      load("compiler/emit/assemble.js"),
      load("runtime/devices/wasm.js"),
    ]);
    return openWasm(manifest, await assemble(kernels), { threads });
  }
  const [{ openWebGpu }, { openDawn }] = await Promise.all([
    load("runtime/devices/webgpu.js"),
    load("runtime/devices/node-dawn.js"),
  ]);
  const isSoftware = device === "webgpu:software";
  const { kernelTexts } = await load("compiler/emit/kernel-files.js");
  const texts = new Map(
    kernelTexts(kernels).map((/** @type {{ file: string, text: string }} */ { file, text }) => [file, text]),
  );
  const readText = async (/** @type {string} */ file) => texts.get(file) ?? "";
  return openWebGpu(manifest, readText, { gpu: await openDawn({ isSoftware }), isSoftware });
}

/** An adapter's device without a model. @param {"webgpu" | "webgpu:software"} name @returns {Promise<GPUDevice>} */
export async function openNoModel(name) {
  const { requestDevice } = await load("runtime/devices/webgpu-adapter.js");
  return requestDevice((await findAdapter(name)).adapter, "bench");
}

/** @param {"webgpu" | "webgpu:software"} name @returns {Promise<import("../compiler/cli/choose-device.ts").FoundAdapter>} */
export async function findAdapter(name) {
  const found = await load("compiler/cli/choose-device.js");
  return found.findAdapter(name);
}

/** What a device's kernels are compiled for. @param {Where} where */
export async function targetOf({ device = "wasm" }) {
  const [{ targets }, { targetOfDevice }] = await Promise.all([
    load("compiler/kernels/targets.js"),
    load("runtime/device-targets.js"),
  ]);
  return targets[targetOfDevice[device]];
}

/** A checked spec. @param {string} path @param {string[]} overrides */
async function readSpec(path, overrides = []) {
  const { readSpecFile } = await load("compiler/spec/read.js");
  const { spec, diagnostics } = readSpecFile(path, overrides);
  if (spec === undefined) throw new Error(diagnostics.map((/** @type {{claim: string}} */ d) => d.claim).join("\n"));
  return spec;
}

/**
 * Compiles a spec and opens it as those do who train and generate with it; it has no weights yet.
 * @param {string} path @param {Where} where @param {string[]} overrides
 * @returns {Promise<import("../runtime/model.ts").Model>}
 */
export async function openModel(path, where, overrides = []) {
  const [spec, { compileInMemory }, { openModel: open }] = await Promise.all([
    readSpec(path, overrides),
    load("compiler/cli/compile-in-memory.js"),
    load("runtime/index.js"),
  ]);
  return open(await compileInMemory(spec, {}, where.device), where);
}

/**
 * What a page loads of a compiled spec for a device.
 * @param {string} path @param {Where} where @param {string[]} overrides
 * @returns {Promise<readonly { path: string, content: string | Uint8Array }[]>}
 */
export async function pageFiles(path, where, overrides = []) {
  const [spec, { compile, compileFor }, { textFiles }] = await Promise.all([
    readSpec(path, overrides),
    load("compiler/compile.js"),
    load("compiler/emit/output-files.js"),
  ]);
  const build = compile(spec);
  return textFiles(build, [compileFor(await targetOf(where), spec, build.programs)]);
}

/**
 * Compiles a spec and opens it with random weights and one random micro-batch.
 * @param {string} path @param {Where} where @param {string[]} overrides
 */
export async function openSpec(path, where, overrides = []) {
  const [spec, { compile }, { ropeTable }] = await Promise.all([
    readSpec(path, overrides),
    load("compiler/compile.js"),
    load("runtime/constants.js"),
  ]);
  const build = compile(spec, undefined, {}, await targetOf(where));
  const device = await openBuild(build, where);
  fillModel(device, build.manifest, ropeTable);
  await device.run("derive");
  return { device, manifest: build.manifest };
}

/**
 * @param {import("../runtime/device.ts").Device} device @param {import("../runtime/contract.ts").Manifest} manifest
 * @param {typeof import("../runtime/constants.ts").ropeTable} ropeTable
 */
function fillModel(device, manifest, ropeTable) {
  const random = generator();
  for (const { name, dims } of manifest.parameters) {
    const count = dims.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    device.write(
      name,
      Float32Array.from({ length: count }, () => (dims.length === 1 ? 1 : 0.07 * random())),
    );
  }
  const tensors = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor]));
  for (const { tensor: name, rule } of manifest.constants) {
    const tensor = tensors.get(name);
    if (tensor) device.write(name, ropeTable(rule, tensor));
  }
  if (manifest.training === undefined) throw new Error("the spec has no `train`");
  const { micro, sequence } = manifest.training;
  const tokens = Int32Array.from({ length: micro * sequence }, () =>
    Math.floor((random() + 0.5) * manifest.model.vocab),
  );
  device.write("tokens", tokens);
  device.write(
    "targets",
    Int32Array.from(tokens, (_, i) => tokens[(i + 1) % tokens.length]),
  );
  device.write("documents", new Int32Array(tokens.length));
  device.write(
    "positions",
    Int32Array.from(tokens, (_, i) => i % sequence),
  );
  const step = { inverse_targets: 1 / tokens.length, first: 1, never: 0, learning_rate: 1e-3, clip: 1 };
  for (const [name, value] of Object.entries(step)) {
    if (tensors.has(`step.${name}`)) device.write(`step.${name}`, Float32Array.of(value));
  }
}

/**
 * Opens graphs of single operations; their given tensors get random values.
 * @param {import("../compiler/graph/graph.ts").Graph[]} graphs @param {Where} where
 * @param {{ rows: number, columns: number, depth: number }} [tile]
 */
export async function openGraphs(graphs, where, tile) {
  const [{ planTarget }, { renderKernels }, { targetManifest }] = await Promise.all([
    load("compiler/kernels/program.js"),
    load("compiler/emit/kernel-files.js"),
    load("compiler/emit/manifest.js"),
  ]);
  const target = await targetOf(where);
  const tileOf = () => ({ tile: tile ?? target.defaultTile, key: undefined });
  const plan = planTarget({ target, graphs, updates: new Set(), tileOf });
  const kernels = renderKernels(plan, "bench");
  const manifest = { ...targetManifest(plan, kernels), name: "bench", parameters: [] };
  const device = await openBuild({ kernels: kernels.files, manifest }, where);
  const random = generator();
  for (const { name, dims, arena, dtype } of manifest.tensors) {
    if (arena === "working" || dtype === "i32") continue;
    const count = dims.reduce((/** @type {number} */ a, /** @type {{size: number}} */ d) => a * d.size, 1);
    device.write(
      name,
      Float32Array.from({ length: count }, () => random() + 0.6),
    );
  }
  await device.run("derive");
  return device;
}

/** What single-operation graphs are made with. */
export async function graphTools() {
  const [{ GraphBuilder }, { dim, tensor }, { emitterFor, ops }] = await Promise.all([
    load("compiler/graph/graph.js"),
    load("compiler/graph/types.js"),
    load("compiler/ops/index.js"),
  ]);
  return { GraphBuilder, dim, tensor, emitterFor, ops, load };
}

/**
 * Seconds of wall and CPU time of repeated runs.
 * @param {() => Promise<void>} run @param {number} repeats
 */
export async function timeRuns(run, repeats) {
  const wall = [];
  const cpu = [];
  for (let i = 0; i < repeats + 2; i++) {
    const before = process.cpuUsage();
    const start = performance.now();
    await run();
    const seconds = (performance.now() - start) / 1e3;
    const { user, system } = process.cpuUsage(before);
    if (i < 2) continue;
    wall.push(seconds);
    cpu.push((user + system) / 1e6);
  }
  return { wall: median(wall), cpu: median(cpu), best: Math.min(...wall) };
}
