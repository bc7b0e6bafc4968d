// @ts-check
// Training steps on request: prints `ready`, then one JSON line per line of input. The counterpart of twin.py.

import { createInterface } from "node:readline";
import { median, openSpec } from "./model.mjs";

/**
 * What a peer answers to `step`: seconds of wall and CPU time, loss, bytes resident above start-up.
 * @typedef {{ seconds: number, cpu: number, loss: number, memory: number }} Step
 */

const [path, threads, ...overrides] = process.argv.slice(2);
const { performance } = globalThis;
// Loading the compiler is start-up, as importing torch is for the twin.
await import(new URL("../dist/compiler/compile.js", import.meta.url).href);
const start = process.memoryUsage.rss();
const { device, manifest } = await openSpec(path, Number(threads), overrides);
const tokens = manifest.training.micro * manifest.training.sequence;
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "shares") {
    console.log(JSON.stringify(await shares()));
    continue;
  }
  const before = process.cpuUsage();
  const began = performance.now();
  await device.run("micro_step");
  await device.run("update");
  const seconds = (performance.now() - began) / 1e3;
  const { user, system } = process.cpuUsage(before);
  const memory = process.resourceUsage().maxRSS * 1024 - start;
  const loss = (await device.read("metrics.loss"))[0] / tokens;
  console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6, loss, memory }));
}
await device.close();

/** Milliseconds and FLOPs by kernel template: medians of steps that run launch by launch. */
async function shares() {
  /** @type {Awaited<ReturnType<typeof stepwise>>[]} */
  const steps = [];
  for (let i = 0; i < 5; i++) steps.push(await stepwise());
  const [first] = steps;
  return Object.fromEntries(
    Object.entries(first).map(([key, { flops }]) => {
      return [key, { milliseconds: median(steps.map((step) => step[key].milliseconds)), flops }];
    }),
  );
}

async function stepwise() {
  /** @type {Record<string, {milliseconds: number, flops: number}>} */
  const classes = {};
  for (const name of ["micro_step", "update"]) {
    const launches = manifest.programs.find((/** @type {{name: string}} */ p) => p.name === name).waves.flat();
    await device.runStepwise(name, {}, (/** @type {import("../runtime/device.ts").LaunchReport} */ launch) => {
      const kernel = manifest.kernels[launches[launch.index].kernel];
      const key = kernel.template === "formula" ? `formula ${kernel.name.replace(/_w\d+.*$/, "")}` : kernel.template;
      classes[key] ??= { milliseconds: 0, flops: 0 };
      classes[key].milliseconds += launch.milliseconds;
      classes[key].flops += launches[launch.index].flops;
    });
  }
  return classes;
}
