// The WebGPU device on a software adapter: memory, programs, counts, readings in flight.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LaunchReport } from "../../runtime/device.ts";
import type { WebGpuDevice } from "../../runtime/devices/webgpu.ts";
import { openOnSoftwareGpu, whyNoSoftwareGpu } from "./software-gpu.ts";
import { floodGroups, kernelTexts, largeCount, tinyGpuModel } from "./tiny-gpu-model.ts";

let device: WebGpuDevice;
beforeAll(async () => {
  if (whyNoSoftwareGpu === undefined) device = await openOnSoftwareGpu(tinyGpuModel, kernelTexts);
});
beforeEach(({ skip }) => skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu));
afterAll(() => device?.close());

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

test("values beyond a tensor, or within a pair of bf16, are refused and nothing is written", async () => {
  device.write("halves", numbers(1, 20));
  expect(() => device.write("padded", new Float32Array(10))).toThrow(
    /10 values from row 0 on are beyond tensor padded/,
  );
  expect(() => device.write("padded", new Float32Array(4), 2)).toThrow(/4 values from row 2 on/);
  expect(() => device.write("halves", new Float32Array(8), 1)).toThrow(/8 values end within a pair of tensor halves/);
  await expect(device.read("padded", { first: 2, count: 4 })).rejects.toThrow(RangeError);
  expect([...(await device.read("halves"))]).toEqual([...numbers(1, 20)]);
  device.write("halves", Float32Array.of(-1, -2), 3);
  expect([...(await device.read("halves", { first: 3, count: 5 }))]).toEqual([-1, -2, 18, 19, 20]);
});

test("what is not there is refused by name", async () => {
  await expect(device.run("absent")).rejects.toThrow(/has no program absent/);
  await expect(device.run("scale")).rejects.toThrow(/no count is called live/);
  await expect(device.read("absent")).rejects.toThrow(/has no tensor absent/);
  await expect(device.read("scale.y")).rejects.toThrow(/has no tensor scale.y/);
  await expect(device.runAndRead("tick", {}, [{ tensor: "absent" }])).rejects.toThrow(/has no tensor absent/);
  expect(() => device.write("absent", new Float32Array(1))).toThrow(/has no tensor absent/);
});

describe("readings in flight", () => {
  const tickAndRead = () => device.runAndRead("tick", {}, [{ tensor: "total" }, { tensor: "x" }, { tensor: "factor" }]);

  test("several runs are under way at once, and each reads what it left", async () => {
    device.write("total", Float32Array.of(0));
    device.write("factor", Float32Array.of(7));
    device.write("x", numbers(1, 8));
    const settled: number[] = [];
    const runs = [0, 1, 2].map(async (i) => {
      const [total, x, factor] = await tickAndRead();
      settled.push(i);
      return [total[0], x[7], factor[0]];
    });
    expect(await Promise.all(runs)).toEqual([
      [1, 8, 7],
      [2, 8, 7],
      [3, 8, 7],
    ]);
    expect(settled).toEqual([0, 1, 2]);
  });

  test("beyond the staging buffers runs, writes and readings wait in line", async () => {
    device.write("total", Float32Array.of(0));
    const value = new Float32Array(8);
    const runs = Array.from({ length: 20 }, (_, i) => {
      device.write("x", value.fill(i));
      return tickAndRead();
    });
    const read = await Promise.all(runs);
    expect(read.map(([total, x]) => [total[0], x[0]])).toEqual(Array.from({ length: 20 }, (_, i) => [i + 1, i]));
  });

  test("a reading in pieces is of one moment: what is run after it does not show in it", async () => {
    const values = numbers(0, largeCount);
    device.write("large", values);
    const before = device.read("large");
    const wiped = device.runAndRead("wipe", {}, [{ tensor: "large" }, { tensor: "factor" }]);
    device.write(
      "large",
      values.map((value) => -value),
    );
    const after = device.read("large");
    // The test runner takes seconds to compare so many numbers one by one.
    expect((await before).every((value, i) => value === i)).toBe(true);
    expect((await wiped)[0].every((value) => value === 0)).toBe(true);
    expect((await after)[largeCount - 1]).toBe(1 - largeCount);
  });

  test("a run that reads nothing runs all the same", async () => {
    device.write("total", Float32Array.of(5));
    expect(await device.runAndRead("tick", {}, [])).toEqual([]);
    expect([...(await device.read("total"))]).toEqual([6]);
  });
});

test("after opening nothing is made any more, and a run is one submit", async () => {
  const { buffers, bindGroups, pipelines, submits } = device.statistics;
  // Arenas, staging, parameters and the clock; `tick` has one bind group in two programs.
  expect({ buffers, bindGroups, pipelines }).toEqual({ buffers: 4 + 4 + 1 + 1, bindGroups: 6, pipelines: 5 });
  const { createBuffer, createBindGroup } = device.gpuDevice;
  let made = 0;
  device.gpuDevice.createBuffer = (...args) => {
    made++;
    return createBuffer.apply(device.gpuDevice, args);
  };
  device.gpuDevice.createBindGroup = (...args) => {
    made++;
    return createBindGroup.apply(device.gpuDevice, args);
  };
  for (let i = 0; i < 10; i++) {
    device.write("x", numbers(i, 8));
    await device.run("scale", { live: i % 8 });
    await device.runAndRead("flood", { groups: i }, [{ tensor: "total" }]);
  }
  expect(made).toBe(0);
  expect(device.statistics).toMatchObject({ buffers, bindGroups, pipelines, submits: submits + 20 });
  expect(device.statistics.encodeMilliseconds).toBeGreaterThan(0);
});

test("the host sleeps while the GPU computes, once it knows for how long", async () => {
  const run = () => device.runAndRead("wipe", {}, [{ tensor: "factor" }]);
  for (let i = 0; i < 4; i++) await run();
  const before = performance.eventLoopUtilization();
  for (let i = 0; i < 4; i++) await run();
  // Asking all the time it is busy for all of it.
  expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.9);
});

test("programs that share counts each keep up with them", async () => {
  device.write("x", numbers(1, 8));
  device.write("factor", Float32Array.of(1));
  const live = async (count: number) => {
    device.write("long", new Float32Array(128));
    const [y] = await device.runAndRead("scale", { live: count }, [{ tensor: "scale.y" }]);
    return y[7];
  };
  await live(8);
  device.write("x", numbers(101, 8));
  expect(await live(7)).toBe(8);
  await device.run("chunk");
  expect(await live(8)).toBe(108);
});

test("launch by launch, what each one left can be read, and nothing else runs meanwhile", async () => {
  device.write("x", numbers(1, 8));
  device.write("factor", Float32Array.of(4));
  device.write("total", Float32Array.of(0));
  const reports: LaunchReport[] = [];
  const totals: number[] = [];
  await device.runStepwise("scale", { live: 8 }, async (report) => {
    reports.push(report);
    totals.push((await device.read("total"))[0]);
    await expect(device.run("tick")).rejects.toThrow(/already running/);
  });
  expect(totals).toEqual([0, 1]);
  expect(reports.map(({ index, kernel, path, operands }) => ({ index, kernel, path, operands }))).toEqual([
    { index: 0, kernel: "scale", path: "model.scale", operands: ["x", "scale.y", "factor"] },
    { index: 1, kernel: "tick", path: "model.tick", operands: ["total"] },
  ]);
  for (const { milliseconds } of reports) {
    expect(milliseconds).toBeGreaterThanOrEqual(0);
    expect(milliseconds).toBeLessThan(1000);
  }
  expect([...(await device.read("scale.y", { program: "scale" }))]).toEqual([4, 8, 12, 16, 20, 24, 28, 32]);
});
