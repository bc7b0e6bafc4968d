// What each verb prints, and which exit code a user gets for what.

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bin, mspec, mspecProcess, scratchFolder } from "./run-mspec.ts";

const scratch = scratchFolder();
const inScratch = (name: string) => join(scratch.path, name);
const tiny = "specs/tiny.mspec.yaml";

beforeAll(() => {
  writeFileSync(
    inScratch("two-faults.yaml"),
    readFileSync(tiny, "utf8").replace("heads: 2", "heads: 3").replace("width:", "widht:"),
  );
});
afterAll(() => scratch.remove());

describe("usage", () => {
  test.each([
    [["compil"], "cli/unknown-command: unknown command 'compil'\n  Did you mean compile?"],
    [["check", tiny, "--sett", "a=1"], "cli/unknown-option: unknown option '--sett'\n  Did you mean --set?"],
    [["check"], "cli/missing-argument: missing required argument 'spec'"],
    [["check", tiny, "--device", "cuda"], "cli/invalid-argument: option '--device <name>' argument 'cuda' is invalid"],
    [["dump", tiny, "--after", "fus"], "cli/invalid-argument: option '--after <pass>' argument 'fus' is invalid"],
    [["dump", tiny], "cli/missing-mandatory-option-value: required option '--after <pass>' not specified"],
    [["check", tiny, tiny], "cli/excess-arguments"],
  ])("%j is refused with exit code 2 and the way out", async (args, message) => {
    const { status, stderr, stdout } = await mspec(args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/`mspec.* --help` says what there is\n$/);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  test("help and version go to the standard output with exit code 0", async () => {
    const help = await mspec(["--help"]);
    expect(help.status).toBe(0);
    for (const verb of ["init", "check", "compile", "explain", "dump", "normalize", "schema"]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${verb} `, "m"));
    }
    expect(await mspec(["--version"])).toEqual({ status: 0, stdout: "0.1.0\n", stderr: "" });
  });

  test("a device that the environment names is checked like a flag", async () => {
    expect(mspecProcess(["check", tiny], { env: { MSPEC_DEVICE: "abacus" } }).status).toBe(2);
  });
});

describe("a standard output that takes nothing more", () => {
  test("ends schema, normalize and check with 3 and a message, not with a stack", ({ skip }) => {
    skip(!existsSync("/dev/full"), "there is no /dev/full");
    for (const args of [["schema"], ["normalize", tiny], ["check", tiny], ["--help"]]) {
      const full = openSync("/dev/full", "w");
      const command = [bin, ...args];
      const { status, stderr } = spawnSync(process.execPath, command, {
        stdio: ["ignore", full, "pipe"],
        encoding: "utf8",
      });
      closeSync(full);
      expect(stderr.replace(/^mspec: .*\n/gm, ""), args.join(" ")).toMatch(
        /^disk\/no-space: cannot write the standard output: no space is left on the device \(ENOSPC\)\n/,
      );
      expect(stderr).not.toContain("    at ");
      expect(status, args.join(" ")).toBe(3);
    }
  });
});

describe("tokenizer train", () => {
  test("refuses files without text, and names its own flag and its own help", async () => {
    writeFileSync(inScratch("empty.txt"), "");
    writeFileSync(inScratch("bad.jsonl"), "{bad\n");
    const [empty, bad, lacking] = [
      await mspec(["tokenizer", "train", "empty.txt", "--vocab", "300"], scratch.path),
      await mspec(["tokenizer", "train", "bad.jsonl", "--vocab", "300"], scratch.path),
      await mspec(["tokenizer", "train", "empty.txt"], scratch.path),
    ];
    expect([empty.status, bad.status, lacking.status]).toEqual([2, 2, 2]);
    expect(empty.stderr).toContain("tokenizer/no-text");
    expect(existsSync(inScratch("tokenizer.json"))).toBe(false);
    expect(bad.stderr).toContain("--skip-bad-lines");
    expect(lacking.stderr).toContain("`mspec tokenizer train --help`");
  });
});

test("check tells what a model asks of a GPU, by the limit that it goes beyond", async () => {
  const check = (spec: string) => mspec(["check", `specs/${spec}.mspec.yaml`, "--device", "webgpu"]);
  expect((await check("tiny")).stdout).toMatch(/webgpu: .*; asks for no more than every adapter grants\n/);
  // The embedding, 128,256 rows of 4,096 numbers, has 2,004 MiB, and what reads it takes it in pieces; the keys of a layer in
  // 4,096 pages of 16 have 1,024 numbers each, and attention takes them whole.
  expect((await check("llama-3.1-8b")).stdout).toContain(
    "asks for an adapter with maxBufferSize of 2.0 GiB, and every adapter grants 256 MiB only; maxStorageBufferBindingSize of 256 MiB, and every adapter grants 128 MiB only",
  );
  // Weights of eight experts, 14,336 rows of 4,096 numbers each, have 1,792 MiB in one buffer, and products take a part of one
  // expert's 224 MiB at a time.
  expect((await check("mixtral-8x7b")).stdout).toContain(
    "asks for an adapter with maxBufferSize of 1.8 GiB, and every adapter grants 256 MiB only\n",
  );
});

test("generate --help tells one default of the prompt", async () => {
  const { stdout } = await mspec(["generate", "--help"]);
  expect(
    stdout
      .split("--prompt")[1]
      .split("--temperature")[0]
      .match(/default/g),
  ).toHaveLength(1);
});

describe("faults of the user", () => {
  test("every fault of a spec is told with its frame, and the exit code is 2", async () => {
    const { status, stderr, stdout } = await mspec(["check", inScratch("two-faults.yaml")]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("key/unknown");
    expect(stderr).toMatch(/^ +\d+ \| {3}widht: 32\n +\| {3}\^{5}/m);
  });

  test("a spec that is not there is no fault of the environment", async () => {
    const { status, stderr } = await mspec(["compile", inScratch("missing.yaml")]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^file\/not-found: /);
  });

  test("an override is validated like the file, at its place", async () => {
    const { status, stderr } = await mspec(["check", tiny, "--set", "model.layers=0"]);
    expect(status).toBe(2);
    expect(stderr).toContain("--set:1:14");
  });

  test("a rule that does nothing is a warning, and the exit code is 0", async () => {
    const { status, stderr, stdout } = await mspec(["check", tiny, "--set", "precision=[{norm: f32}, {all: f32}]"]);
    expect(stderr).toMatch(/^warning selector\/shadowed/);
    expect(status).toBe(0);
    expect(stdout).toContain("no errors");
  });
});

describe("check", () => {
  test("says what a model takes by class", async () => {
    expect((await mspec(["check", tiny])).stdout).toMatch(
      /^specs\/tiny\.mspec\.yaml: no errors; 26,784 parameters, 5 programs, \d+ kernels\n {2}wasm: [\d.]+ MiB of 4 GiB \(parameters /,
    );
  });

  test("refuses what does not fit the device that is asked for, with the arithmetic; without one it is a note", async () => {
    const large = [tiny, "--set", "model.width=32768", "--set", "model.layers=8"];
    const refused = await mspec(["check", ...large, "--device", "wasm"]);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(
      /^device\/does-not-fit: wasm has 4 GiB of memory, and this model needs [\d.]+ GiB\n {2}parameters .* \* 4 GiB\n {2}make /,
    );
    const noted = await mspec(["check", ...large]);
    expect(noted.status).toBe(0);
    expect(noted.stdout).toContain("it compiles but does not run there");
  });
});

describe("normalize, schema, dump, explain", () => {
  test("normalize prints a spec that normalises to itself", async () => {
    const { stdout } = await mspec(["normalize", "specs/tiny-formulas.mspec.yaml"]);
    writeFileSync(inScratch("normal.yaml"), stdout);
    expect(stdout).toContain("squared_relu");
    expect((await mspec(["normalize", inScratch("normal.yaml")])).stdout).toBe(stdout);
  });

  test("schema prints what is committed, and -o writes it to a file", async () => {
    const committed = readFileSync("specs/mspec.schema.json", "utf8");
    expect((await mspec(["schema"])).stdout).toBe(committed);
    expect((await mspec(["schema", "-o", inScratch("deep/schema.json")])).stdout).toBe("");
    expect(readFileSync(inScratch("deep/schema.json"), "utf8")).toBe(committed);
  });

  test("dump says (unchanged) where a pass changes nothing, and what it made where it does", async () => {
    expect((await mspec(["dump", tiny, "--after", "assign-precision"])).stdout).toBe("(unchanged)\n");
    expect((await mspec(["dump", tiny, "--after", "choose-recompute"])).stdout).toBe("(unchanged)\n");
    expect((await mspec(["dump", tiny, "--after", "choose-recompute", "--set", "recompute=[norm]"])).stdout).toMatch(
      /^graph micro_step\n(.|\n)*# layers\[1\]\.ffn\.norm fprop(.|\n)*graph update\n/,
    );
    expect((await mspec(["dump", tiny, "--after", "accumulate-loss"])).stdout).toContain("graph evaluate\n");
    const model = (await mspec(["dump", tiny, "--after", "model"])).stdout;
    expect(model).toMatch(/^graph sequence\ngiven\n/);
    expect(model).toContain(
      "layers[0].attention.q.y: f32[tokens 64, heads*head_dim 32] = linear(layers[0].attention.norm.y, layers.0.attention.q.weight)  # layers[0].attention.q fprop: ",
    );
    expect((await mspec(["dump", tiny, "--after", "schedule"])).stdout).toMatch(
      /^program micro_step\nwave 0\n {2}gather_w32\(/,
    );
    expect((await mspec(["dump", tiny, "--after", "plan-memory"])).stdout).toMatch(/^arena \w+ \d+\n +0 +\d+ {2}\S+/);
  });

  test("explain tells an operation once for all layers that are alike", async () => {
    const { stdout } = await mspec(["explain", tiny, "ffn.up"]);
    expect(stdout).toMatch(/^layers\[0\.\.1\]\.ffn\.up\n/);
    for (const topic of ["computes", "precision", "kernel", "tile", "memory"])
      expect(stdout).toContain(`\n  ${topic.padEnd(9)}  `);
  });

  test("explain tells apart layers that differ, and what is computed again", async () => {
    const { stdout } = await mspec(["explain", "specs/tiny-formulas.mspec.yaml", "ffn.activation"]);
    expect(stdout).toMatch(/^layers\[0\]\.ffn\.activation\n/);
    expect(stdout).toMatch(/^layers\[1\]\.ffn\.activation\n/m);
    expect(stdout).toMatch(/recompute +computed again in the backward pass/);
  });

  test("a selector that matches nothing names the nearest paths", async () => {
    const { status, stderr } = await mspec(["explain", tiny, "attention.qq"]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/selector\/matches-nothing(.|\n)*nearest: `attention\.q`/);
  });
});

describe("init", () => {
  test("writes a model that checks and compiles, and overwrites nothing", async () => {
    const made = await mspec(["init", "my-first"], scratch.path);
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const folder = inScratch("my-first");
    expect(await mspec(["check", "model.yaml", "--device", "wasm"], folder)).toMatchObject({
      status: 0,
      stderr: "",
    });
    expect(readFileSync(join(folder, "model.yaml"), "utf8")).toContain("name: my-first\n");
    expect((await mspec(["compile", "model.yaml"], folder)).status).toBe(0);
    expect(existsSync(join(folder, "generated/my-first/model.js"))).toBe(true);
    writeFileSync(join(folder, "README.md"), "mine");
    const again = await mspec(["init", "my-first"], scratch.path);
    expect(again.status).toBe(2);
    expect(again.stderr).toMatch(/^init\/exists: /);
    expect(readFileSync(join(folder, "README.md"), "utf8")).toBe("mine");
  });

  test.each(["My Model", "1st", "a".repeat(64), "-"])("%j is not a name for a model", async (name) => {
    const { status, stderr } = await mspec(["init", "-o", inScratch("x"), "--", name], scratch.path);
    expect(stderr).toMatch(/^init\/bad-name: /);
    expect(status).toBe(2);
    expect(existsSync(inScratch("x"))).toBe(false);
  });
});
