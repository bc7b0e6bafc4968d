// `npm run golden [-- NAME ...]`: writes the goldens anew, all or those named, from what the compiler makes now.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build as buildDist } from "../../bin/build.mjs";
import { goldenFiles, goldens, notCommitted } from "./goldens.mjs";

const root = dirname(dirname(import.meta.dirname));
const folder = join(root, "generated");

process.stderr.write(await buildDist("to run"));
const dist = new URL("../../dist/compiler/", import.meta.url);
const { readSpecFile } = await import(new URL("spec/read.js", dist).href);
const compiler = await import(new URL("compile.js", dist).href);
const emit = await import(new URL("emit/output-files.js", dist).href);

const asked = process.argv.slice(2);
/** Kernels of every op, which a test of its own writes. */
const ops = "ops";
const unknown = asked.filter((name) => name !== ops && !Object.hasOwn(goldens, name));
if (unknown.length > 0) {
  process.stderr.write(
    `no golden is called ${unknown.join(", ")}; there are ${[...Object.keys(goldens), ops].join(", ")}\n`,
  );
  process.exit(2);
}

for (const name of asked.length > 0 ? asked.filter((name) => name !== ops) : Object.keys(goldens)) {
  const { spec, diagnostics } = readSpecFile(join(root, goldens[name].spec));
  if (spec === undefined) throw new Error(`${goldens[name].spec} has ${diagnostics.length} errors`);
  const files = await goldenFiles(name, spec, compiler, emit);
  const numChanged = [...files].filter(([path, text]) => replace(join(folder, path), text)).length;
  const removed = stale(name, files);
  for (const path of removed) rmSync(join(folder, path));
  process.stdout.write(`${name}: ${files.size} files, ${numChanged} changed, ${removed.length} removed\n`);
}

if (asked.length === 0 || asked.includes(ops)) {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const args = [vitest, "run", "test/golden/ops.test.ts", "--update", "--reporter=dot"];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}

/**
 * @param {string} path
 * @param {string} text
 */
function replace(path, text) {
  try {
    if (readFileSync(path, "utf8") === text) return false;
  } catch {}
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return true;
}

/**
 * Committed files of a golden that it does not have any more.
 *
 * @param {string} name
 * @param {ReadonlyMap<string, string>} files
 */
function stale(name, files) {
  if (goldens[name].holds === "kernels") return [];
  const existing = readdirSync(join(folder, name), { recursive: true, withFileTypes: true });
  const paths = existing
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return paths.filter((path) => !files.has(path) && !notCommitted.has(path.slice(name.length + 1)));
}
