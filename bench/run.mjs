// @ts-check
// `npm run bench [-- --device webgpu|webgpu:software]`: measures mspec on this machine and prints one table per topic.
// With --write the tables go into docs/benchmarks.md, beside what was measured on other devices.

import { option } from "./options.mjs";
import { writeSections } from "./tables.mjs";

const device = option("--device") ?? "wasm";
if (!["wasm", "webgpu", "webgpu:software"].includes(device)) {
  process.stderr.write(`npm run bench measures wasm, webgpu and webgpu:software, not ${device}\n`);
  process.exit(2);
}
if (device === "wasm") await import("./cpu.mjs");
else await import("./webgpu.mjs");
if (process.argv.includes("--write")) writeSections();
