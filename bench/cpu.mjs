// @ts-check
// What `npm run bench` measures on the CPU, beside peers where they are installed: one table per topic, the compiler and the
// demo included.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, release, tmpdir, type } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileTimes } from "./compile.mjs";
import { formulas, matmuls, training } from "./measure.mjs";
import { median } from "./model.mjs";
import { torchVersion } from "./peer.mjs";
import { say, table } from "./tables.mjs";
import { dense25m, sotu } from "./twins.mjs";

/** Folders of test/fixtures that hold more than a config. */
const references = [
  "deepseek_v2_lite",
  "deepseek_v3_fp8",
  "deepseek_v3_mtp",
  "deepseek_v3_noqlora_ragged",
  "gpt_oss",
  "llama_gqa_untied",
  "llama_tied_bf16",
  "mixtral",
  "olmoe",
  "qwen3_moe",
  "qwen3_tied",
  "stories260K",
];
const root = fileURLToPath(new URL("..", import.meta.url));

const mebibytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;

/** @param {number} roof GF per core-second */
async function trainings(roof) {
  for (const { title, path, facts, steps } of [sotu, dense25m]) {
    const { ours, theirs, shares } = await training(`${root}${path}`, facts, steps);
    const tokens = facts.sequence * facts.sequences;
    const flops = Object.values(shares).reduce((/** @type {number} */ sum, s) => sum + s.flops, 0);
    const row = (/** @type {string} */ name, /** @type {import("./steps.mjs").Step[]} */ steps_) => {
      const [wall, cpu] = [median(steps_.map((s) => s.seconds)), median(steps_.map((s) => s.cpu))];
      const memory = Math.max(...steps_.map((s) => s.memory));
      return [
        name,
        `${(1e3 * wall).toFixed(1)}`,
        `${(1e3 * cpu).toFixed(0)}`,
        `${Math.round(tokens / wall)}`,
        (flops / wall / 1e9).toFixed(1),
        mebibytes(memory),
      ];
    };
    say(`### ${title}`);
    say();
    const rows = [row("mspec, wasm, 2 threads", ours)];
    if (theirs.length > 0) rows.push(row(`PyTorch ${torchVersion()} eager, 2 threads`, theirs));
    table(["engine", "ms per step", "CPU ms", "tokens/s", "GF/s", "memory above start-up"], rows);
    const reached = flops / median(ours.map((s) => s.seconds)) / 1e9;
    say(`mspec reaches ${((100 * reached) / (2 * roof)).toFixed(0)} % of the matmul roof over whole steps.`);
    say();
    if (theirs.length > 0) {
      const ratio = (/** @type {"seconds" | "cpu"} */ key) =>
        (median(theirs.map((s) => s[key])) / median(ours.map((s) => s[key]))).toFixed(2);
      say(
        `Speed over PyTorch, steps in turns: ${ratio("seconds")} by wall time, ${ratio("cpu")} by CPU time (first bar 0.50, goal 0.75).`,
      );
      say();
    }
    const total = Object.values(shares).reduce((/** @type {number} */ sum, s) => sum + s.milliseconds, 0);
    const sorted = Object.entries(shares).sort((a, b) => b[1].milliseconds - a[1].milliseconds);
    const main = sorted
      .slice(0, 9)
      .map(([name, s]) => [
        name,
        s.milliseconds.toFixed(2),
        `${((100 * s.milliseconds) / total).toFixed(1)} %`,
        s.flops > 0 ? (s.flops / s.milliseconds / 1e6).toFixed(1) : "",
      ]);
    table(["kernel class", "ms of one step, launch by launch", "share", "GF/s"], main);
  }
}

const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
say("# Benchmarks");
say();
say("What `npm run bench -- --write` measured last. Medians; peers run in turns with mspec in the same minutes.");
say();
say(
  `${cpus().length} cores of ${cpus()[0].model.trim()}, ${type()} ${release().split("-")[0]}, Node ${process.version}, PyTorch ${torchVersion() ?? "not installed"}, commit ${commit}.`,
);
say();
say("## Matmul, GF per core-second, one thread, packing included");
say();
const { rows: matmulRows, roof } = await matmuls();
table(["size", "mspec", "PyTorch", "ratio", "bar"], matmulRows);
say(
  `The best of them on two threads, ${(2 * roof).toFixed(1)} GF/s, is the roof that training is held against below. PyTorch multiplies and adds`,
);
say("in one instruction of 256 or 512 bits; WebAssembly's vectors have 128, and two instructions for it.");
say();
say("## Formula kernels, GB/s of compulsory traffic, one thread, 512 x 1024");
say();
table(["kernel", "GB/s", "share of copy", "bar"], await formulas());
say("## Training steps");
say();
await trainings(roof);
const at = process.argv.indexOf("--train-ref");
if (at >= 0) {
  say("## A mixture of experts with latent attention beside its reference program");
  say();
  say(
    "8.1 M parameters, width 256, 4 layers, 8 experts of which 2 are chosen, one shared, 8 x 256 tokens, from the program's",
  );
  say("own weights and in its order: `npm run bench -- --train-ref FOLDER TEXT`.");
  say();
  say("```");
  const [folder, text] = process.argv.slice(at + 1);
  const run = [join(root, "bench", "train-ref.mjs"), folder, text];
  for (const line of execFileSync(process.execPath, run, { encoding: "utf8" }).trim().split("\n")) say(line);
  say("```");
  say();
}
say("## Compiling");
say();
table(["what", "seconds", "peak resident", "bar"], compileTimes(root));
say("## Agreement with PyTorch");
say();
say("`mspec import` and `mspec verify` on checkpoints and results of transformers, in float32 (test/fixtures).");
say();
for (const name of references) {
  say(`### ${name}`);
  say();
  say("```");
  for (const line of verified(name)) say(line);
  say("```");
  say();
}
say(
  "Gradients of every op and of a whole model against central differences at gradcheck's defaults, and every node of 50",
);
say("steps against the oracle, are tests: test/ops/gradients.test.ts, test/train/oracle-gradients.test.ts and");
say("test/train/node-by-node.test.ts.");
say();
say("## The demo");
say();
say("`npm run demo`, then `node examples/sotu/bars.mjs`.");
say();
for (const line of demo()) say(line);
say();

/** What `mspec verify` says of a fixture. @param {string} name */
function verified(name) {
  const folder = mkdtempSync(join(tmpdir(), "mspec-bench-"));
  const [fixture, model] = [`${root}test/fixtures/${name}`, join(folder, "model")];
  const run = (/** @type {string[]} */ ...args) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [`${root}bin/mspec.mjs`, ...args], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return stdout;
  };
  run("import", fixture, "-o", model);
  // The summary; tables per tensor follow it.
  const lines = run("verify", model, "--reference", fixture).trimEnd().split("\n\n")[0].split("\n");
  rmSync(folder, { recursive: true });
  return lines;
}

/** Trains the demo and measures what came out. */
function demo() {
  const start = performance.now();
  const trained = spawnSync(process.execPath, [`${root}examples/sotu/demo.mjs`], { encoding: "utf8" });
  const minutes = (performance.now() - start) / 6e4;
  if (trained.status !== 0) throw new Error(trained.stderr);
  const { stdout } = spawnSync(process.execPath, [`${root}examples/sotu/bars.mjs`], { encoding: "utf8" });
  return [
    `- ${minutes <= 4 ? "met" : "MISSED"}: all of it took ${minutes.toFixed(1)} minutes; at most 4`,
    ...stdout.trim().split("\n"),
  ];
}
