// Training and generating as a user does: whole processes, with signals and kills.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whyNoSoftwareGpu } from "../devices/software-gpu.ts";
import { bin, mspecProcess, scratchFolder } from "./run-mspec.ts";

const scratch = scratchFolder();
const folder = join(scratch.path, "small");
const run = (args: readonly string[]) => mspecProcess(args, { cwd: folder });

const small = ["width=16", "layers=1", "attention.heads=2", "attention.kv_heads=1", "context=32"];
const settings = [
  ...small.map((key) => `model.${key}`),
  "train.sequence=32",
  "train.steps=400",
  "train.save_every=25",
  "train.evaluate_every=100",
  "train.sample_every=0",
];
const trainArgs = (out: string) => ["train", "model.yaml", "-o", out, ...settings.flatMap((key) => ["--set", key])];

/** Starts a training and waits until it has written so many lines of metrics. */
async function startTraining(out: string, extra: readonly string[] = [], steps = 1): Promise<ChildProcess> {
  const child = spawn(process.execPath, [bin, ...trainArgs(out), ...extra], { cwd: folder, stdio: "pipe" });
  const metrics = join(folder, out, "metrics.jsonl");
  while (!existsSync(metrics) || readFileSync(metrics, "utf8").split("\n").length <= steps) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return child;
}

async function ended(child: ChildProcess): Promise<{ status: number | null; stdout: string }> {
  let stdout = "";
  child.stdout?.on("data", (text) => {
    stdout += text;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stdout })));
}

const checkpoints = (out: string): string[] => readdirSync(join(folder, out, "checkpoints")).sort();
const weightsOf = (out: string): Buffer =>
  readFileSync(join(folder, out, "checkpoints", "step-000400", "parameters.safetensors"));

let whole: string;
beforeAll(() => {
  expect(mspecProcess(["init", "small"], { cwd: scratch.path }).status).toBe(0);
  const ran = run(trainArgs("runs/whole"));
  expect(ran).toMatchObject({ status: 0, stderr: "" });
  whole = ran.stdout;
});
afterAll(() => scratch.remove());

describe("training", () => {
  test("says what is trained and what it takes, how it goes, and what to do next", () => {
    // Embedding 256 x 16; q, k, v, out: 16x16 + 2 x 8x16 + 16x16; two norms and the last; gate, up, down of 16 x 64.
    expect(whole).toMatch(/embedding +4,096/);
    expect(whole).toMatch(/attention +768/);
    expect(whole).toMatch(/ffn +3,072/);
    expect(whole).toMatch(/norm +48/);
    expect(whole).toMatch(/all +7,984/);
    // 6 x 7,984 and, of attention, 2 products x 2 x 16 channels x 32 keys, forward and twice backward, half of them.
    expect(whole).toContain("6 * 7,984");
    expect(whole).toMatch(/optimizer +\d/);
    expect(whole).toMatch(/device: wasm, \d+ threads?, .*because/);
    expect(whole).toMatch(/step 400\/400 {2}loss [\d.]+ {2}validation [\d.]+ {2}[\d,]+ tokens\/s/);
    expect(whole).toContain("mspec generate runs/whole");
  });

  test.each([
    ["the root", "/", "output/root-folder"],
    ["a file", "model.yaml", "output/not-a-folder"],
    ["a compiled model", "generated/small", "output/holds-compiled-model"],
  ])("into %s is refused, and nothing is written", (_, out, code) => {
    if (out.startsWith("generated")) expect(run(["compile", "model.yaml"]).status).toBe(0);
    const { status, stdout, stderr } = run(trainArgs(out));
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(code);
    expect(existsSync(join(folder, out, "checkpoints"))).toBe(false);
  });

  test("H5: ends with the kernel of most work named where a GPU takes too long, and does not wait for it", {
    timeout: 120_000,
  }, ({ skip }) => {
    skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu);
    // 11.9 M weights, 6 FLOPs each, on 32,768 tokens: minutes at the few GFLOPS of a software adapter, which goes on until
    // the process ends.
    const wide = ["width=1024", "layers=1", "attention.heads=8", "attention.kv_heads=4", "context=512"];
    const long = ["train.sequence=512", "train.batch.sequences=64", "train.batch.micro=2"];
    const sets = [...wide.map((key) => `model.${key}`), ...long].flatMap((key) => ["--set", key]);
    const started = performance.now();
    const args = ["train", "model.yaml", "-o", "runs/hung", "--device", "webgpu:software", "--deadline", "1", ...sets];
    const { status, stderr } = run(args);
    expect(stderr.split("\n")).toEqual([
      expect.stringMatching(/^device\/hung: the GPU does not end .*SwiftShader.*training stopped behind step 0$/),
      expect.stringMatching(
        /at work on 1 run of derive, 32 of micro_step and 1 of update for 1 s; nothing of the kind/,
      ),
      expect.stringMatching(
        /most work is in kernel matmul_\w+, \d+ % of the planned FLOPs, in \d+ launches, .* at layers\[0\]/,
      ),
      expect.stringContaining("--deadline"),
      "  no checkpoint was saved before",
      "train again",
      "",
    ]);
    expect(status).toBe(3);
    expect(performance.now() - started).toBeLessThan(60_000);
  });

  test("is not mixed with a compiled model", () => {
    const before = readdirSync(join(folder, "runs/whole"));
    const { status, stderr } = run(["compile", "model.yaml", "-o", "runs/whole"]);
    expect(status).toBe(2);
    expect(stderr).toContain("output/holds-run");
    expect(readdirSync(join(folder, "runs/whole"))).toEqual(before);
  });

  test.each([
    ["--resume where nothing is", ["--resume"], "train/nothing-to-resume"],
    ["data that is not there", ["--data", "nowhere/*.txt"], "data/no-files"],
    ["a folder of weights", ["--weights", "corpus"], "model/not-a-file"],
    ["a folder as tokenizer", ["--set", "data.tokenizer=corpus"], "model/not-a-file"],
    ["too many threads", ["--threads", "1000"], "device/bad-threads"],
  ])("with %s ends with 2 and leaves no folder behind", (_, extra, code) => {
    const { status, stderr } = run([...trainArgs("deep/runs/none"), ...extra]);
    expect(stderr).toContain(code);
    expect(status).toBe(2);
    expect(existsSync(join(folder, "deep"))).toBe(false);
  });

  test("reads .txt and .jsonl files of corpus/, as the README of init says", () => {
    writeFileSync(join(folder, "corpus", "more.jsonl"), `${JSON.stringify({ text: "one more document" })}\n`);
    const ran = run([...trainArgs("runs/jsonl"), "--set", "train.steps=1"]);
    rmSync(join(folder, "corpus", "more.jsonl"));
    expect(ran.status).toBe(0);
    const state = readFileSync(join(folder, "runs/jsonl/checkpoints/step-000001/state.json"), "utf8");
    const paths = JSON.parse(state).files.map(({ path }: { path: string }) => path);
    expect(paths).toEqual(["corpus/lincoln-1862.txt", "corpus/more.jsonl"]);
  });

  test("into a folder that holds a run is refused with the way out", () => {
    const { status, stderr } = run(trainArgs("runs/whole"));
    expect(status).toBe(2);
    expect(stderr).toContain("--resume");
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s ends it behind its step with a checkpoint",
    async (signal) => {
      const out = `runs/${signal}`;
      const child = await startTraining(out);
      child.kill(signal);
      const { status, stdout } = await ended(child);
      expect(status).toBe(0);
      expect(stdout).toMatch(/stopped after step \d+ of 400; `--resume` goes on from there/);
      expect(checkpoints(out)).toHaveLength(1);
      expect(run([...trainArgs(out), "--resume"]).status).toBe(0);
      expect(weightsOf(out)).toEqual(weightsOf("runs/whole"));
    },
  );

  test("killed again and again, it resumes to the bits of a run that was never stopped", async () => {
    const out = "runs/killed";
    for (const [kill, steps] of [30, 80, 170].entries()) {
      const child = await startTraining(out, kill === 0 ? [] : ["--resume"], steps);
      child.kill("SIGKILL");
      await ended(child);
    }
    const { status } = run([...trainArgs(out), "--resume"]);
    expect(status).toBe(0);
    expect(weightsOf(out)).toEqual(weightsOf("runs/whole"));
    // Three kept, and nothing half written.
    expect(checkpoints(out)).toEqual(["step-000350", "step-000375", "step-000400"]);
  });

  test("whose log nobody reads any more goes on", async () => {
    const out = "runs/unread";
    const child = await startTraining(out);
    child.stdout?.destroy();
    child.stderr?.destroy();
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0);
    expect(weightsOf(out)).toEqual(weightsOf("runs/whole"));
  });

  test("of a folder that another process trains is refused", async () => {
    const out = "runs/shared";
    const child = await startTraining(out);
    const second = run([...trainArgs(out), "--resume"]);
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain(String(child.pid));
    child.kill("SIGKILL");
    await ended(child);
  });
});

describe("generating", () => {
  const generate = (...args: string[]) => run(["generate", "runs/whole", "--prompt", "We ", ...args]);

  test("continues the prompt, the same for the same seed, otherwise for another", () => {
    const [first, again, other] = [["3"], ["3"], ["4"]].map(([seed]) => generate("--seed", seed, "--max-tokens", "20"));
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(first.stdout).toMatch(/^We ./s);
    expect(again.stdout).toBe(first.stdout);
    expect(other.stdout).not.toBe(first.stdout);
  });

  test("stops where the context ends, and says so", () => {
    const { status, stderr } = generate("--max-tokens", "500");
    expect(status).toBe(0);
    expect(stderr).toContain("32");
  });

  test.each([
    ["--temperature", "-1"],
    ["--temperature", "hot"],
    ["--top-p", "2"],
    ["--min-p", "-0.5"],
    ["--top-k", "1.5"],
    ["--max-tokens", "0"],
    ["--seed", "x"],
  ])("refuses %s %s", (flag, value) => {
    const { status, stdout, stderr } = generate(flag, value);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(value);
  });

  test.each(["corpus", "nowhere", "README.md"])("from %s, which is no run, is refused", (path) => {
    const { status, stderr } = run(["generate", path]);
    expect(stderr).toContain(`there is no run in this folder\n  ${path}\n`);
    expect(status).toBe(2);
  });

  test("from a folder with a spec is refused without weights, and takes the run that lies there", () => {
    expect(run(["generate", "."]).stderr).toContain("there is no run in this folder");
    expect(run([...trainArgs("."), "--set", "train.steps=1"]).status).toBe(0);
    expect(run(["generate", ".", "--max-tokens", "3"])).toMatchObject({ status: 0, stderr: "" });
  });

  test.each(["--weights", "--tokenizer"])("%s, which a run has itself, is refused", (flag) => {
    const { status, stderr } = generate(flag, "nope");
    expect(stderr).toContain(`generate/not-for-runs: \`${flag}\``);
    expect(status).toBe(2);
  });

  test("without a prompt begins a document as a sample does, and 12 threads say nothing more", () => {
    const begun = run(["generate", "runs/whole", "--max-tokens", "20", "--threads", "12"]);
    expect(begun).toMatchObject({ status: 0, stderr: "" });
    // The line break that begins a document is not the user's, so it is not printed.
    const asked = run(["generate", "runs/whole", "--max-tokens", "20", "--prompt", "\n"]);
    expect(`\n${begun.stdout}`).toBe(asked.stdout);
  });

  test("from a run whose compiled files are damaged is refused with the file and the way out", () => {
    for (const [file, content] of [
      ["wasm/kernels.wasm", "junk"],
      ["manifest.json", '{"version":1}'],
    ]) {
      const path = join(folder, "runs/whole/compiled", file);
      const before = readFileSync(path);
      writeFileSync(path, content);
      const { status, stderr } = run(["generate", "runs/whole"]);
      writeFileSync(path, before);
      expect(stderr).toContain(`runs/whole/compiled/${file}`);
      expect(stderr).toContain("compile the spec again");
      expect(status).toBe(2);
    }
  });
});
