// @ts-check
// The whole road on one machine with Node and npm alone: compile a spec, train a tokenizer and the model, let it write.

import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const mspec = join(here, "..", "..", "bin", "mspec.mjs");
const runs = join(here, "runs");
const run = join(runs, "sotu");
const corpus = join(here, "..", "..", "node_modules", "@stdlib", "datasets-sotu", "data", "*.txt");
const prompts = ["The state of our Union is", "Fellow citizens of the Senate", "I ask the Congress to"];

/** Runs a verb as a person would and ends with its exit code where it fails. @param {readonly string[]} args */
function verb(...args) {
  const shown = args.map((arg) => (arg.startsWith(here) || arg === corpus ? relative(process.cwd(), arg) : arg));
  console.log(`\n$ mspec ${shown.map((arg) => (/[\s*]/.test(arg) ? JSON.stringify(arg) : arg)).join(" ")}`);
  const { status, signal } = spawnSync(process.execPath, [mspec, ...args], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? (signal === null ? 1 : 130));
}

const started = performance.now();
// The demo begins anew each time; what it made the last time is its own.
rmSync(run, { recursive: true, force: true });
verb("compile", join(here, "model.yaml"), "-o", join(runs, "compiled"));
verb("tokenizer", "train", "--vocab", "512", corpus, "-o", join(runs, "tokenizer.json"));
verb("train", join(here, "model.yaml"), "-o", run);
for (const [seed, prompt] of prompts.entries()) {
  verb("generate", run, "--prompt", prompt, "--seed", String(seed), "--max-tokens", "160");
}
const seconds = Math.round((performance.now() - started) / 1000);
console.log(`\nall of it took ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} minutes`);
