// The wasm device: what it does when kernels trap, threads die, or a model does not fit; and that it computes alike on
// any number of threads.

import { createRequire, syncBuiltinESMExports } from "node:module";
import { performance } from "node:perf_hooks";
import type { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/graph/graph.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import { add } from "../../compiler/ops/add.ts";
import { emitterFor } from "../../compiler/ops/index.ts";
import { linear } from "../../compiler/ops/linear.ts";
import type { Manifest } from "../../runtime/contract.ts";
import { openWasm } from "../../runtime/devices/wasm.ts";
import { Fault } from "../../runtime/fault.ts";
import { manifestOf } from "../ops/on-device.ts";

const place = { path: "case", direction: "fprop", classes: [], key: "" } as const;

/** c = a · bᵀ + a, large enough to run for a while. */
async function product(size: number): Promise<{ manifest: Manifest; module: Uint8Array }> {
  const builder = new GraphBuilder("product");
  const square = tensor("f32", dim("rows", size), dim("in", size));
  const [a, b] = ["a", "b"].map((name) => builder.give(name, square, "state"));
  const emitter = emitterFor(builder);
  const [y] = emitter.emit(linear, [a, b], { accumulates: false }, place);
  const [z] = emitter.emit(add, [y, y], null, place);
  return manifestOf([builder.build(new Map([["z", z]]))]);
}

/** Worker threads that were started while this file runs. */
const started: Worker[] = [];
const threads = createRequire(import.meta.url)("node:worker_threads") as { Worker: typeof Worker };
const original = threads.Worker;

beforeAll(() => {
  threads.Worker = class extends original {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      started.push(this);
    }
  };
  syncBuiltinESMExports();
});
afterAll(() => {
  threads.Worker = original;
  syncBuiltinESMExports();
});

test("a kernel that traps ends the run with a fault that names the thread, and the device refuses to go on", async () => {
  const { manifest, module } = await product(64);
  const broken: Manifest = {
    ...manifest,
    tensors: manifest.tensors.map((t) => (t.name === "b" ? { ...t, offset: 2 ** 31 } : t)),
  };
  const device = await openWasm(broken, module, { threads: 2 });
  await expect(device.run("product")).rejects.toThrow(/device\/kernel-failed.*thread \d/s);
  await expect(device.run("product")).rejects.toThrow(Fault);
  await device.close();
});

test("a thread that dies ends the run within a second", async () => {
  const { manifest, module } = await product(1500);
  started.length = 0;
  const device = await openWasm(manifest, module, { threads: 2 });
  const run = device.run("product");
  const before = performance.now();
  setTimeout(() => void started[1].terminate(), 20);
  await expect(run).rejects.toThrow(/device\/thread-died/);
  expect(performance.now() - before).toBeLessThan(1000);
  await device.close();
});

test("a model beyond 4 GiB is refused with both numbers before anything is allocated", async () => {
  const { manifest, module } = await product(64);
  const large: Manifest = { ...manifest, arenas: { ...manifest.arenas, state: 5 * 2 ** 30 } };
  await expect(openWasm(large, module, { threads: 1 })).rejects.toThrow(
    /device\/does-not-fit.*5,1\d\d MiB.*4,096 MiB/s,
  );
});

test("values beyond a tensor are refused: behind it lies another one", async () => {
  const { manifest, module } = await product(6);
  const device = await openWasm(manifest, module, { threads: 1 });
  expect(() => device.write("a", new Float32Array(37))).toThrow(/37 values from row 0 on are beyond tensor a.*36/);
  expect(() => device.write("a", new Float32Array(7), 5)).toThrow(/7 values from row 5 on/);
  device.write("a", new Float32Array(6).fill(2), 5);
  expect([...(await device.read("a", { first: 5, count: 6 }))]).toEqual([2, 2, 2, 2, 2, 2]);
  await device.close();
});

test("two runs at once are refused, not interleaved", async () => {
  const { manifest, module } = await product(600);
  const device = await openWasm(manifest, module, { threads: 2 });
  const first = device.run("product");
  await expect(device.run("product")).rejects.toThrow(/already running/);
  await first;
  await device.close();
});

test.each([1, 2, 3, 8])("%i threads give the same bits as one", async (count) => {
  const { manifest, module } = await product(203);
  const results: Float32Array[] = [];
  for (const n of [1, count]) {
    const device = await openWasm(manifest, module, { threads: n });
    device.write(
      "a",
      Float32Array.from({ length: 203 * 203 }, (_, i) => Math.sin(i)),
    );
    device.write(
      "b",
      Float32Array.from({ length: 203 * 203 }, (_, i) => Math.cos(i * 0.7)),
    );
    await device.run("product");
    results.push(await device.read("case.sum", { program: "product" }));
    await device.close();
  }
  expect(results[0].some((value) => value !== 0)).toBe(true);
  expect(results[1]).toEqual(results[0]);
});

test("a closed device leaves no thread behind", async () => {
  const { manifest, module } = await product(64);
  started.length = 0;
  const device = await openWasm(manifest, module, { threads: 3 });
  expect(started.length).toBe(3);
  await device.close();
  expect(started.every((worker) => worker.threadId === -1)).toBe(true);
});

test("many threads put no listeners on the process's streams, and more than 256 are refused", async () => {
  const { manifest, module } = await product(64);
  const listeners = () =>
    [process.stdout, process.stderr].flatMap((stream) => stream.eventNames().map((name) => stream.listenerCount(name)));
  const before = listeners();
  const device = await openWasm(manifest, module, { threads: 12 });
  expect(listeners()).toEqual(before);
  await device.close();
  started.length = 0;
  for (const count of [257, 1000, 0, 1.5, Number.NaN]) {
    await expect(openWasm(manifest, module, { threads: count })).rejects.toMatchObject({
      kind: "input",
      code: "device/bad-threads",
    });
  }
  expect(started).toEqual([]);
});
