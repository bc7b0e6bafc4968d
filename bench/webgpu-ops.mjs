// @ts-check
// Single operations on an adapter of WebGPU, by its own clock where it has one: copies, products, and products of one row.

import { performance } from "node:perf_hooks";
import { graphTools, openGraphs, openNoModel } from "./model.mjs";

/** @typedef {"webgpu" | "webgpu:software"} GpuName */
/** @typedef {{ rows: number, columns: number, depth: number }} Tile */

/** So long is measured, unless a run takes longer; at least `leastRuns`. */
const milliseconds = 1500;
const leastRuns = 5;
const mostRuns = 50;

/**
 * The fastest of repeated measurements in turns, one for each of several candidates: what else a machine does only adds.
 * @param {(() => Promise<number>)[]} candidates
 */
async function inTurns(candidates) {
  const times = candidates.map(() => /** @type {number[]} */ ([]));
  for (const candidate of candidates) await candidate();
  const start = performance.now();
  for (let run = 0; run < mostRuns; run++) {
    if (run >= leastRuns && performance.now() - start > milliseconds * candidates.length) break;
    for (const [i, candidate] of candidates.entries()) times[i].push(await candidate());
  }
  return times.map((list) => Math.min(...list));
}

/** Four vectors per thread. */
const copyKernel = `
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;
@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = (group.x + group.y * groups.x) * 1024 + thread;
  for (var i = first; i < min(first + 1024, arrayLength(&copied)); i += 256) { copied[i] = source[i]; }
}`;

/** GB/s that are read and written by the driver's own copy and by a kernel. @param {GpuName} device */
export async function copies(device) {
  const gpu = await openNoModel(device);
  const bytes = device === "webgpu" ? 2 ** 28 : 2 ** 25;
  const size = Math.min(bytes, gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize);
  // Storage and both ends of a copy.
  const [from, to] = [0, 1].map(() => gpu.createBuffer({ size, usage: 0x80 | 0x4 | 0x8 }));
  const pipeline = gpu.createComputePipeline({
    layout: "auto",
    compute: { module: gpu.createShaderModule({ code: copyKernel }), entryPoint: "copy" },
  });
  const entries = [from, to].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const numGroups = Math.ceil(size / 16 / 1024);
  const high = Math.ceil(numGroups / 65535);
  /** Enough of them that beginning and waiting do not count. */
  const repeats = device === "webgpu" ? 40 : 4;
  /** @param {(encoder: GPUCommandEncoder) => void} encode */
  const timed = (encode) => async () => {
    const start = performance.now();
    const encoder = gpu.createCommandEncoder();
    for (let i = 0; i < repeats; i++) encode(encoder);
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
    return (performance.now() - start) / repeats;
  };
  const times = await inTurns([
    timed((encoder) => encoder.copyBufferToBuffer(from, 0, to, 0, size)),
    timed((encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(Math.ceil(numGroups / high), high);
      pass.end();
    }),
  ]);
  gpu.destroy();
  const [driver, kernel] = times.map((time) => (2 * size) / time / 1e6);
  return { driver, kernel, size };
}

/** One launch of a product [rows, depth] · [columns, depth]ᵀ. @param {GpuName} device @param {number[]} sizes @param {Tile} [tile] */
async function openProduct(device, [rows, depth, columns], tile) {
  const { GraphBuilder, dim, tensor, emitterFor, ops } = await graphTools();
  const builder = new GraphBuilder("product");
  const x = builder.give("x", tensor("f32", dim("rows", rows), dim("in", depth)), "state");
  const w = builder.give("w", tensor("f32", dim("out", columns), dim("in", depth)), "state");
  const place = { path: "bench", direction: "fprop", classes: [], key: "" };
  const [y] = emitterFor(builder).emit(ops.get("linear"), [x, w], { accumulates: false }, place);
  const opened = await openGraphs([builder.build(new Map([["y", y]]))], { device }, tile);
  const time = async () => {
    let sum = 0;
    await opened.runStepwise("product", {}, (/** @type {import("../runtime/device.ts").LaunchReport} */ launch) => {
      sum += launch.milliseconds;
    });
    return sum;
  };
  return { time, kernel: opened.manifest.kernels[0].name, close: () => opened.close() };
}

/** What a spec may say for `tiles`; in software a tile's depth says nothing. @param {GpuName} device @returns {Promise<Tile[]>} */
async function legalTiles(device) {
  const { load } = await graphTools();
  const { deepestTile, mostThreads, threadsOf } = await load("compiler/targets/wgsl/limits.js");
  const edges = [32, 64, 128];
  const depths = device === "webgpu" ? [8, 16, 32] : [16];
  const all = edges.flatMap((rows) => edges.flatMap((columns) => depths.map((depth) => ({ rows, columns, depth }))));
  return all
    .map((tile) => ({ ...tile, depth: Math.min(tile.depth, deepestTile(tile)) }))
    .filter((tile, i, list) => {
      const first = list.findIndex((t) => axes.every((axis) => t[axis] === tile[axis]));
      return first === i && threadsOf(tile) <= mostThreads;
    });
}

const axes = /** @type {const} */ (["rows", "columns", "depth"]);
const nameOf = (/** @type {Tile} */ tile) => axes.map((axis) => tile[axis]).join("x");

/**
 * GFLOPS of square products with the tile that is taken where a spec says nothing, and with the best of all tiles.
 * @param {GpuName} device @param {number[]} sizes
 */
export async function products(device, sizes) {
  const tiles = await legalTiles(device);
  const results = [];
  for (const size of sizes) {
    const opened = [await openProduct(device, [size, size, size])];
    const others = [];
    for (const tile of tiles) {
      const other = await openProduct(device, [size, size, size], tile);
      // A tile that ends at the matrix, or is the default, makes a kernel that is there already.
      if (opened.some(({ kernel }) => kernel === other.kernel)) await other.close();
      else {
        others.push(tile);
        opened.push(other);
      }
    }
    const [own, ...speeds] = (await inTurns(opened.map(({ time }) => time))).map((ms) => (2 * size ** 3) / ms / 1e6);
    for (const { close } of opened) await close();
    const best = Math.max(own, ...speeds);
    results.push({ size, own, best, tile: best === own ? "default" : nameOf(others[speeds.indexOf(best)]) });
  }
  return results;
}

/** GB/s of weights that products of one row read. @param {GpuName} device @param {[depth: number, columns: number][]} shapes */
export async function rowProducts(device, shapes) {
  const results = [];
  for (const [depth, columns] of shapes) {
    const { time, close } = await openProduct(device, [1, depth, columns]);
    const [ms] = await inTurns([time]);
    await close();
    results.push({ depth, columns, speed: (4 * depth * columns) / ms / 1e6 });
  }
  return results;
}
