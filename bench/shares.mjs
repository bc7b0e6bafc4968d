// @ts-check
// Which kernels a training step spends its time on.

import { median } from "./model.mjs";

/**
 * Milliseconds and FLOPs by kernel template: medians of steps that run launch by launch.
 *
 * @param {import("../runtime/device.ts").Device} device @param {import("../runtime/contract.ts").Manifest} manifest
 */
export async function kernelShares(device, manifest) {
  /** @type {Awaited<ReturnType<typeof stepwise>>[]} */
  const steps = [];
  for (let i = 0; i < 5; i++) steps.push(await stepwise(device, manifest));
  const [first] = steps;
  return Object.fromEntries(
    Object.entries(first).map(([key, { flops }]) => {
      return [key, { milliseconds: median(steps.map((step) => step[key].milliseconds)), flops }];
    }),
  );
}

/**
 * @param {import("../runtime/device.ts").Device} device @param {import("../runtime/contract.ts").Manifest} manifest
 */
async function stepwise(device, manifest) {
  /** @type {Record<string, {milliseconds: number, flops: number}>} */
  const classes = {};
  for (const name of ["micro_step", "update"]) {
    const launches = manifest.programs.find((program) => program.name === name)?.waves.flat() ?? [];
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
