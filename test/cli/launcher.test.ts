// bin/mspec.mjs: builds dist/ when it must, never twice at once, and says what is missing where it can do neither. And
// what the command line itself is made of: verbs that load what they need, and faults of mspec's own.

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bin, mspecProcess, repository, scratchFolder } from "./run-mspec.ts";

const scratch = scratchFolder();
const copy = join(scratch.path, "mspec");
afterAll(() => scratch.remove());

/** Runs the copy's launcher; several may run at once. */
function launch(args: readonly string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(copy, "bin/mspec.mjs"), ...args], { cwd: copy });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stdout, stderr })));
}

const building = "mspec: building dist/ from the sources\n";

describe("the launcher", () => {
  beforeAll(() => {
    mkdirSync(copy);
    for (const name of [
      "bin",
      "compiler",
      "runtime",
      "templates",
      "package.json",
      "tsconfig.json",
      "tsconfig.build.json",
    ]) {
      cpSync(join(repository, name), join(copy, name), { recursive: true, preserveTimestamps: true });
    }
  });

  test("without dist/ and without typescript it says so, with exit code 3", async () => {
    const { status, stdout, stderr } = await launch(["--version"]);
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(stderr).toBe(
      `mspec: dist/ is missing, and typescript, which builds it, is not installed\n  run \`npm ci --ignore-scripts\` in ${copy}\n`,
    );
  });

  test("three that start at once build once, and all run", async () => {
    symlinkSync(join(repository, "node_modules"), join(copy, "node_modules"));
    const ran = await Promise.all([launch(["--version"]), launch(["schema"]), launch(["--version"])]);
    expect(ran.map(({ status }) => status)).toEqual([0, 0, 0]);
    for (const { stderr } of ran) expect(stderr.startsWith(building)).toBe(true);
    expect(ran[0].stdout).toBe("0.1.0\n");
    expect(existsSync(join(copy, ".build-lock"))).toBe(false);
    expect((await launch(["--version"])).stderr).toBe("");
  });

  test("sources that are newer, new or gone are built again, whatever the lock of a process that is gone says", async () => {
    const extra = (...folders: string[]) => join(copy, ...folders, "compiler/cli/extra");
    const stray = join(copy, "dist/compiler/cli/stray.js");
    writeFileSync(stray, "");
    writeFileSync(`${extra()}.ts`, "export const extra = 1;\n");
    writeFileSync(join(copy, ".build-lock"), "999999999");
    expect(await launch(["--version"])).toEqual({ status: 0, stdout: "0.1.0\n", stderr: building });
    expect([existsSync(stray), existsSync(`${extra("dist")}.js`), existsSync(join(copy, ".build-lock"))]).toEqual([
      false,
      true,
      false,
    ]);
    rmSync(`${extra()}.ts`);
    rmSync(join(copy, "dist/compiler/cli/schema.js"));
    expect((await launch(["--version"])).stderr).toBe(building);
    expect([existsSync(`${extra("dist")}.js`), existsSync(join(copy, "dist/compiler/cli/schema.js"))]).toEqual([
      false,
      true,
    ]);
  });

  test("sources that do not parse are told, with exit code 3", async () => {
    writeFileSync(join(copy, "compiler/cli/broken.ts"), "export const = 1;\n");
    const { status, stderr } = await launch(["--version"]);
    expect(status).toBe(3);
    expect(stderr).toContain("mspec: dist/ cannot be built\ncompiler/cli/broken.ts(1,14): error TS1134");
  });
});

describe("what a verb loads", () => {
  /** Every module that a command loads, as the module loader is asked for it. */
  function loaded(args: readonly string[]): string[] {
    const log = join(scratch.path, "loaded.txt");
    const hook = `import { appendFileSync } from "node:fs";
      export function load(url, context, next) {
        appendFileSync(${JSON.stringify(log)}, url + "\\n");
        return next(url, context);
      }`;
    const register = join(scratch.path, "register.mjs");
    const target = `data:text/javascript,${encodeURIComponent(hook)}`;
    // What is loaded through require is in its cache at the end.
    writeFileSync(
      register,
      `import { createRequire, register } from "node:module";
      import { appendFileSync } from "node:fs";
      register(${JSON.stringify(target)});
      const { cache } = createRequire(import.meta.url);
      process.on("exit", () => appendFileSync(${JSON.stringify(log)}, Object.keys(cache).join("\\n")));`,
    );
    rmSync(log, { force: true });
    const { status } = mspecProcess(args, { node: ["--import", register] });
    expect(status).toBe(0);
    return readFileSync(log, "utf8").split("\n");
  }

  const spec = "specs/tiny.mspec.yaml";
  const heavy = ["/ts-morph/", "/typescript/", "/wabt/", "/zod/", "/dist/runtime/devices/", "/dist/runtime/data/"];
  const heavyIn = (modules: readonly string[]) => heavy.filter((part) => modules.some((name) => name.includes(part)));

  test("check, normalize, dump and explain load neither ts-morph nor wabt, nor zod, nor a device", () => {
    const commands = [
      ["check", spec],
      ["normalize", spec],
      ["dump", spec, "--after", "fuse"],
      ["explain", spec, "loss"],
    ];
    for (const args of commands) {
      const modules = loaded(args);
      expect(modules.length).toBeGreaterThan(50);
      expect([args[0], heavyIn(modules)]).toEqual([args[0], []]);
    }
  });

  test("schema loads zod and no compiler; compile loads what assembles and binds", () => {
    const schema = loaded(["schema"]);
    expect(heavyIn(schema)).toEqual(["/zod/"]);
    expect(schema.some((name) => name.includes("/dist/compiler/graph/"))).toBe(false);
    expect(heavyIn(loaded(["compile", spec, "-o", join(scratch.path, "out")]))).toEqual(["/ts-morph/", "/wabt/"]);
  });
});

describe("mspec's own faults", () => {
  test("end with exit code 70, a file that repeats them, and no stack unless asked for", () => {
    const sabotage = join(scratch.path, "sabotage.mjs");
    writeFileSync(sabotage, 'Number.prototype.toLocaleString = () => { throw new TypeError("sabotaged"); };');
    const ran = mspecProcess(["check", "specs/tiny.mspec.yaml"], {
      node: ["--import", sabotage],
      env: { TMPDIR: scratch.path },
    });
    expect(ran.status).toBe(70);
    const [, file] = /repro: (.*)\n/.exec(ran.stderr) ?? [];
    expect(ran.stderr).toBe(
      `mspec/internal-fault: this is mspec's fault, not yours: TypeError: sabotaged\n  version 0.1.0, repro: ${file}\n  report it with that file; MSPEC_DEBUG=1 shows the stack\n`,
    );
    const repro = readFileSync(file, "utf8");
    expect(repro).toContain('mspec "check" "specs/tiny.mspec.yaml"');
    expect(repro).toContain("name: tiny");
    expect(repro).toMatch(/^ +at /m);
    // What a fault writes for its report lies in the scratch folder, which goes when the tests end.
    expect(file.startsWith(scratch.path)).toBe(true);
    const debug = mspecProcess(["check", "specs/tiny.mspec.yaml"], {
      node: ["--import", sabotage],
      env: { MSPEC_DEBUG: "1", TMPDIR: scratch.path },
    });
    expect(debug.stderr).toMatch(/^ +at .*check\.js/m);
  });

  test("MSPEC_DEBUG=1 tells how long each stage took", () => {
    const { stderr } = mspecProcess(["check", "specs/tiny.mspec.yaml"], { env: { MSPEC_DEBUG: "1" } });
    for (const stage of ["read", "differentiate", "plan", "render"])
      expect(stderr).toMatch(new RegExp(`^ *[\\d.]+ ms {2}${stage}$`, "m"));
  });

  test("a reader that goes away is no fault", async () => {
    const child = spawn(process.execPath, [bin, "dump", "specs/tiny.mspec.yaml", "--after", "fuse"], {
      cwd: repository,
    });
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.stdout.destroy();
    const status = await new Promise((resolve) => child.on("close", resolve));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});
