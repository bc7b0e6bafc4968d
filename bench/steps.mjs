// @ts-check
// Training steps on request: prints `ready`, then one JSON line per line of input. The counterpart of twin.py.

import { createInterface } from "node:readline";
import { openSpec } from "./model.mjs";
import { kernelShares } from "./shares.mjs";

/**
 * What a peer answers to `step`: seconds of wall and CPU time, loss, bytes resident above start-up.
 * @typedef {{ seconds: number, cpu: number, loss: number, memory: number }} Step
 */

const [path, threads, ...overrides] = process.argv.slice(2);
const { performance } = globalThis;
// Loading the compiler is start-up, as importing torch is for the twin.
await import(new URL("../dist/compiler/compile.js", import.meta.url).href);
const start = process.memoryUsage.rss();
const { device, manifest } = await openSpec(path, { threads: Number(threads) }, overrides);
const tokens = manifest.training.micro * manifest.training.sequence;
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "shares") {
    console.log(JSON.stringify(await kernelShares(device, manifest)));
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
