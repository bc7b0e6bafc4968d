// @ts-check
// Seconds and memory of `mspec compile` as a whole process, and of its text stages alone.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { median } from "./model.mjs";

/** A process that only reads a spec and makes the texts of kernels and manifest. */
const textScript = `
const { readSpecFile } = await import(process.argv[1] + "dist/compiler/spec/read.js");
const { compile } = await import(process.argv[1] + "dist/compiler/compile.js");
const build = compile(readSpecFile(process.argv[2]).spec);
if (JSON.stringify(build.manifest).length < 1000) process.exit(1);
process.stdout.write(String(process.resourceUsage().maxRSS));
`;

/** @param {string[]} args */
function time(args) {
  const runs = [];
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    runs.push({ seconds: (performance.now() - start) / 1e3, peak: Number(stdout) });
  }
  return { seconds: median(runs.map((r) => r.seconds)), peak: median(runs.map((r) => r.peak)) };
}

/** @param {string} root */
export function compileTimes(root) {
  const row = (
    /** @type {string} */ what,
    /** @type {{seconds: number, peak: number}} */ { seconds, peak },
    /** @type {string} */ bar,
  ) => [what, seconds.toFixed(2), peak > 0 ? `${Math.round(peak / 1024)} MiB` : "", bar];
  const text = (/** @type {string} */ path) => time(["--input-type=module", "-e", textScript, root, `${root}${path}`]);
  const folder = mkdtempSync(join(tmpdir(), "mspec-bench-"));
  const whole = (/** @type {string} */ path) =>
    time([`${root}bin/mspec.mjs`, "compile", `${root}${path}`, "-o", join(folder, "out")]);
  const [small, large] = ["examples/sotu/model.yaml", "test/language/fixtures/dense-61.mspec.yaml"];
  const rows = [
    row("text of the demo's kernels and manifest, whole process", text(small), "0.3 s"),
    row(
      "the same with model.ts, model.js, model.d.ts and kernels.wasm, written",
      { ...whole(small), peak: 0 },
      "0.8 s",
    ),
    row("text of a dense 61-layer spec of width 7168, whole process", text(large), "1 s, 300 MB"),
    row("the same, everything, written", { ...whole(large), peak: 0 }, ""),
  ];
  rmSync(folder, { recursive: true });
  return rows;
}
