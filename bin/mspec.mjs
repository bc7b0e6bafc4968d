#!/usr/bin/env node
// Runs mspec from dist/, and builds dist/ first where it is missing or older than the sources: Node 20 runs no TypeScript.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { distFolder, hasSources, isFresh, packageRoot } from "./build.mjs";

const environmentFault = 3;
const main = join(distFolder, "compiler", "cli", "main.js");
const nothingToRun = `mspec: dist/ is missing, and typescript, which builds it, is not installed
  run \`npm ci --ignore-scripts\` in ${packageRoot}`;

/** @param {string} text */
function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(environmentFault);
}

function hasTypeScript() {
  try {
    createRequire(import.meta.url).resolve("typescript");
    return true;
  } catch {
    return false;
  }
}

function buildDist() {
  if (!hasTypeScript()) {
    if (!existsSync(main)) fail(nothingToRun);
    process.stderr.write("mspec: dist/ is older than the sources, and typescript, which builds it, is not installed\n");
    return;
  }
  process.stderr.write("mspec: building dist/ from the sources\n");
  const script = fileURLToPath(new URL("./build.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, "--to-run"], { encoding: "utf8" });
  const waiting = stderr.split("\n").filter((line) => line.startsWith("mspec:"));
  for (const line of waiting) process.stderr.write(`${line}\n`);
  if (status !== 0) fail(`mspec: dist/ cannot be built\n${stderr.split("\n", 10).join("\n").trimEnd()}`);
}

if (hasSources() && !isFresh()) buildDist();
const { run } = await import(pathToFileURL(main).href);
process.exitCode = await run(process.argv.slice(2));
