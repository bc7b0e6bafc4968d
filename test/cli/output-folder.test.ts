// Where compile may write (fault B15), and that the same spec writes the same bytes everywhere (B16).

import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Manifest } from "../../runtime/contract.ts";
import { bin, mspec, mspecProcess, type Ran, repository, scratchFolder } from "./run-mspec.ts";

const tiny = join(repository, "specs/tiny.mspec.yaml");
let scratch: ReturnType<typeof scratchFolder>;
const at = (...names: string[]) => join(scratch.path, ...names);

beforeEach(() => {
  scratch = scratchFolder();
});
afterEach(() => scratch.remove());

function compile(out: string, ...more: string[]): Promise<Ran> {
  return mspec(["compile", tiny, "-o", out, ...more], scratch.path);
}

/** Every file below a folder with its content. */
function contentOf(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
  return new Map(paths.map((path) => [path, readFileSync(join(folder, path), "latin1")]));
}

/** Names in a folder, without what is below them. */
const namesIn = (folder: string): string[] => readdirSync(folder).sort();

function expectRefused({ status, stderr, stdout }: Ran, code: string): void {
  expect(stderr).toMatch(new RegExp(`^${code}: `));
  expect(stderr).not.toMatch(/\bat .*\.js:\d+|\[object/);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
}

test("a compile writes kernels, manifest, bindings and the normal form, and nothing else", async () => {
  expect(await compile("out")).toMatchObject({ status: 0, stderr: "" });
  expect(namesIn(at("out"))).toEqual([
    "manifest.json",
    "manifest.wgsl.json",
    "model.d.ts",
    "model.js",
    "model.ts",
    "normalized.yaml",
    "wasm",
    "wgsl",
  ]);
  const filesOf = (manifest: string): string[] => {
    const { kernels } = JSON.parse(readFileSync(at("out", manifest), "utf8")) as Manifest;
    return kernels.flatMap(({ file, variants = [] }) => [file, ...variants.map((variant) => variant.file)]);
  };
  const onDisk = ["wasm", "wgsl"].flatMap((folder) => namesIn(at("out", folder)).map((name) => `${folder}/${name}`));
  const listed = [...filesOf("manifest.json"), ...filesOf("manifest.wgsl.json")];
  expect(listed.length).toBeGreaterThan(50);
  expect(onDisk).toEqual([...new Set(listed), "wasm/kernels.wasm"].sort());
  expect(namesIn(scratch.path)).toEqual(["out"]);
});

test("without -o the folder is generated/<name> in the working directory", async () => {
  expect((await mspec(["compile", tiny], scratch.path)).status).toBe(0);
  expect(existsSync(at("generated/tiny/manifest.json"))).toBe(true);
});

test("a second compile of the same spec touches no file", async () => {
  await compile("out");
  const before = statSync(at("out/manifest.json"));
  expect((await compile("out")).stdout).toMatch(/: \d+ files, 0 changed\n$/);
  const after = statSync(at("out/manifest.json"));
  expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
});

describe("what is not ours stays", () => {
  test("unknown files and edited kernels survive, kernels that are gone do not", async () => {
    await compile("out");
    writeFileSync(at("out/notes.txt"), "mine");
    mkdirSync(at("out/weights"));
    writeFileSync(at("out/weights/a.bin"), "mine");
    writeFileSync(at("out/wasm/mine.wat"), "mine");
    const earlier = namesIn(at("out/wasm")).filter((name) => name !== "mine.wat");
    const [edited] = earlier.filter((name) => name.startsWith("activation_w64"));
    writeFileSync(at("out/wasm", edited), "edited");
    expect((await compile("out", "--set", "model.ffn.intermediate=96")).status).toBe(0);
    expect(readFileSync(at("out/notes.txt"), "utf8")).toBe("mine");
    expect(readFileSync(at("out/weights/a.bin"), "utf8")).toBe("mine");
    expect(readFileSync(at("out/wasm/mine.wat"), "utf8")).toBe("mine");
    expect(readFileSync(at("out/wasm", edited), "utf8")).toBe("edited");
    await compile("fresh", "--set", "model.ffn.intermediate=96");
    const now = namesIn(at("fresh/wasm"));
    const gone = earlier.filter((name) => !now.includes(name) && name !== edited);
    expect(gone.length).toBeGreaterThan(5);
    expect(namesIn(at("out/wasm"))).toEqual([...now, "mine.wat", edited].sort());
  });

  test("a target that is not asked for any more takes its folder with it, unless something of one's own is there", async () => {
    await compile("out");
    expect(namesIn(at("out"))).toContain("wgsl");
    await compile("out", "--target", "wasm");
    expect(namesIn(at("out"))).not.toContain("wgsl");
    await compile("out");
    writeFileSync(at("out/wgsl/mine.wgsl"), "mine");
    await compile("out", "--target", "wasm");
    expect(namesIn(at("out/wgsl"))).toEqual(["mine.wgsl"]);
  });

  test("a manifest that lists files elsewhere deletes nothing", async () => {
    await compile("out");
    writeFileSync(at("victim.wat"), "mine");
    const manifest = JSON.parse(readFileSync(at("out/manifest.json"), "utf8"));
    const sha256 = "e4ae7a4b8cdd5a3bd6b4c1f0cd6e7b16b1d0c6f4f8d3d5f1f2b8fcd5b4c1a111";
    manifest.kernels.push({ file: "../victim.wat", sha256 }, { file: "wasm/../../victim.wat", sha256 }, null, {
      file: 3,
    });
    writeFileSync(at("out/manifest.json"), JSON.stringify(manifest));
    expect((await compile("out")).status).toBe(0);
    expect(readFileSync(at("victim.wat"), "utf8")).toBe("mine");
  });

  test("a spec with an error leaves the output as it was", async () => {
    await compile("out");
    const before = contentOf(at("out"));
    expect((await compile("out", "--set", "model.heads=3")).status).toBe(2);
    expect(contentOf(at("out"))).toEqual(before);
    expect((await compile("fresh", "--set", "model.heads=3")).status).toBe(2);
    expect(namesIn(scratch.path)).toEqual(["out"]);
  });
});

describe("places that are refused", () => {
  test.each([
    ["the root of the file system", "/", "output/root-folder"],
    ["no path at all", "", "output/empty-path"],
    ["a device of Windows", "CON", "output/reserved-name"],
    ["a device of Windows with an ending", "aux.txt", "output/reserved-name"],
    ["a folder in a device of Windows", "nul/below", "output/reserved-name"],
    ["a name of 300 letters", "x".repeat(300), "output/name-too-long"],
    ["a path of 5,000 letters", `${"deep/".repeat(1000)}x`, "output/name-too-long"],
  ])("%s", async (_what, out, code) => {
    expectRefused(await compile(out), code);
    expect(namesIn(scratch.path)).toEqual([]);
  });

  test("a model that is called like a device, unless -o names another folder", async () => {
    expectRefused(await mspec(["compile", tiny, "--set", "name=aux"], scratch.path), "output/reserved-name");
    expect(namesIn(scratch.path)).toEqual([]);
    expect((await compile("out", "--set", "name=aux")).status).toBe(0);
  });

  test("a file where the folder should be, and a link to nothing", async () => {
    writeFileSync(at("file"), "mine");
    expectRefused(await compile("file"), "output/not-a-folder");
    expectRefused(await compile("file/below"), "output/not-a-folder");
    symlinkSync(at("nowhere"), at("link"));
    expectRefused(await compile("link"), "output/not-a-folder");
    expect(readFileSync(at("file"), "utf8")).toBe("mine");
    expect(existsSync(at("nowhere"))).toBe(false);
  });

  test("a link to elsewhere inside the folder is not followed", async () => {
    await compile("out");
    mkdirSync(at("elsewhere"));
    mkdirSync(at("linked"));
    symlinkSync(at("elsewhere"), at("linked/wasm"));
    expectRefused(await compile("linked"), "output/through-link");
    expect(namesIn(at("elsewhere"))).toEqual([]);
    expect(namesIn(at("linked"))).toEqual(["wasm"]);
    writeFileSync(at("secret"), "mine");
    mkdirSync(at("file-linked"));
    symlinkSync(at("secret"), at("file-linked/manifest.json"));
    expectRefused(await compile("file-linked"), "output/through-link");
    expect(readFileSync(at("secret"), "utf8")).toBe("mine");
  });

  test("a folder where a file belongs, and a file where a folder belongs", async () => {
    mkdirSync(at("a/manifest.json"), { recursive: true });
    expectRefused(await compile("a"), "output/in-the-way");
    mkdirSync(at("b"));
    writeFileSync(at("b/wasm"), "mine");
    expectRefused(await compile("b"), "output/in-the-way");
    expect(namesIn(at("a"))).toEqual(["manifest.json"]);
    expect(namesIn(at("b"))).toEqual(["wasm"]);
  });

  test("a place where nobody may write is a fault of the environment, and names the path", async ({ skip }) => {
    skip(!existsSync("/sys/kernel"), "there is no /sys, whose folders take no files from anybody");
    const { status, stderr } = await compile("/sys/kernel/mspec-test/out");
    expect(status).toBe(3);
    expect(stderr).toMatch(/^disk\/[a-z-]+: cannot create \/sys\/kernel\//);
  });
});

describe("places that are fine", () => {
  test("-o may lead up and through a link; what is written lies in the real folder", async () => {
    mkdirSync(at("real"));
    mkdirSync(at("work"));
    symlinkSync(at("real"), at("link"));
    const { status, stdout } = await mspec(["compile", tiny, "-o", "../link/out"], at("work"));
    expect(status).toBe(0);
    expect(stdout.startsWith(`${realpathSync(at("real"))}/out: `)).toBe(true);
    expect(lstatSync(at("link")).isSymbolicLink()).toBe(true);
    expect(namesIn(at("work"))).toEqual([]);
  });

  test("a folder that holds a spec can be its own output folder", async () => {
    writeFileSync(at("model.yaml"), readFileSync(tiny));
    expect((await mspec(["compile", "model.yaml", "-o", "."], scratch.path)).status).toBe(0);
    expect(existsSync(at("manifest.json")) && existsSync(at("model.yaml"))).toBe(true);
  });
});

describe("the same bytes", () => {
  test("in another folder, time zone and locale, and with keys in another order", async () => {
    await compile("a");
    mkdirSync(at("deep/er"), { recursive: true });
    const env = { TZ: "Pacific/Chatham", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" };
    const other = ["compile", relative(at("deep/er"), tiny), "-o", "../../b"];
    expect(mspecProcess(other, { cwd: at("deep/er"), env }).status).toBe(0);
    expect(contentOf(at("b"))).toEqual(contentOf(at("a")));
    const text = readFileSync(tiny, "utf8").replace(/#.*\n/g, "\n");
    const sections = text.split(/^(?=\w)/m);
    const shuffled = sections.map((section) => {
      const [head, ...keys] = section.split(/^(?= {2}\w)/m);
      return [head, ...keys.reverse()].join("");
    });
    writeFileSync(at("shuffled.yaml"), shuffled.reverse().join(""));
    expect(await mspec(["compile", "shuffled.yaml", "-o", "c"], scratch.path)).toMatchObject({
      status: 0,
      stderr: "",
    });
    expect(contentOf(at("c"))).toEqual(contentOf(at("a")));
    expect(contentOf(at("a")).size).toBeGreaterThan(50);
  });
});

test("a disk that refuses is told with the path below -o, and nothing is left there", ({ skip }) => {
  skip(spawnSync("sh", ["-c", "ulimit -f 8"]).status !== 0, "this shell cannot limit the size of files");
  // Under the limit dist/ could not be built.
  mspecProcess(["--version"]);
  const command = 'ulimit -f 8; exec "$0" "$@"';
  const args = [process.execPath, bin, "compile", tiny, "-o", at("new/out")];
  const { status, stderr } = spawnSync("sh", ["-c", command, ...args], { encoding: "utf8" });
  expect(stderr).toMatch(/^disk\/too-large: .*\(EFBIG\)\n/);
  expect(stderr).toMatch(new RegExp(`\\n  ${at("new/out")}/(manifest|wasm/|wgsl/)`));
  expect(status).toBe(3);
  expect(namesIn(scratch.path)).toEqual([]);
});
