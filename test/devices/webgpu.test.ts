// The WebGPU device on a software adapter: memory, programs, counts, readings in flight.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { WebGpuDevice } from "../../runtime/devices/webgpu.ts";
import { openOnSoftwareGpu } from "./software-gpu.ts";
import { floodGroups, kernelTexts, tinyGpuModel } from "./tiny-gpu-model.ts";

let device: WebGpuDevice;
beforeAll(async () => {
  device = await openOnSoftwareGpu(tinyGpuModel, kernelTexts);
});
afterAll(() => device.close());

const numbers = (from: number, length: number) => Float32Array.from({ length }, (_, i) => from + i);

test("a program computes on as many elements as are live, with scalars by their place", async () => {
  device.write("x", numbers(1, 8));
  device.write("factor", Float32Array.of(10));
  await device.run("scale", { live: 8 });
  expect([...(await device.read("scale.y", { program: "scale" }))]).toEqual([10, 20, 30, 40, 50, 60, 70, 80]);
  device.write("factor", Float32Array.of(2));
  await device.run("scale", { live: 3 });
  expect([...(await device.read("scale.y", { program: "scale", count: 4 }))]).toEqual([2, 4, 6, 40]);
});

test("rows are written and read without their padding, some or all of them", async () => {
  device.write("padded", numbers(1, 9));
  expect([...(await device.read("padded"))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  device.write("padded", Float32Array.of(-4, -5), 1);
  expect([...(await device.read("padded"))]).toEqual([1, 2, 3, -4, -5, 6, 7, 8, 9]);
  expect([...(await device.read("padded", { first: 1, count: 4 }))]).toEqual([-4, -5, 6, 7]);
});

test("bf16 is rounded to even where it is written, and whole numbers stay whole", async () => {
  // 1 + 2^-8 is half way between two bf16 and 1 + 3 · 2^-8 too: one goes down, one goes up.
  device.write("halves", Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 3, 4, 5), 1);
  expect([...(await device.read("halves", { first: 1, count: 5 }))]).toEqual([1, 1 + 2 ** -6, 3, 4, 5]);
  device.write("odd", Float32Array.of(1, -2, 0.5));
  expect([...(await device.read("odd"))]).toEqual([1, -2, 0.5]);
  device.write("whole", Int32Array.of(1, -2, 3, 2 ** 24), 0);
  expect([...(await device.read("whole"))]).toEqual([1, -2, 3, 2 ** 24]);
});

test("an operand with an offset is the rest of its tensor", async () => {
  device.write("long", new Float32Array(128));
  device.write("x", numbers(1, 8));
  device.write("factor", Float32Array.of(3));
  device.write("halves", numbers(1, 20));
  await device.run("chunk");
  const long = await device.read("long");
  expect([...long.subarray(60, 74)]).toEqual([0, 0, 0, 0, 3, 6, 9, 12, 15, 18, 21, 24, 0, 0]);
  // Rows of five in words of two: the last of each row changes places with the padding.
  expect([...(await device.read("halves", { count: 5 }))]).toEqual([2, 1, 4, 3, 0]);
});

test("no workgroup is started where none is live, and more than 65,535 all are, each once", async () => {
  await device.run("flood", { groups: 0 });
  expect((await device.read("seen")).every((times) => times === 0)).toBe(true);
  await device.run("flood", { groups: floodGroups });
  expect((await device.read("seen")).every((times) => times === 1)).toBe(true);
});
