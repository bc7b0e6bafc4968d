// Which manifest of a build a device opens, and what is said where the build or the manifest is another one.

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { writeBuild } from "../../compiler/cli/write-build.ts";
import { memorySource } from "../../runtime/build-source.ts";
import { folderSource } from "../../runtime/node-host.ts";
import { openModel } from "../../runtime/open-model.ts";
import { sourceOf, tinySpec } from "./tiny-model.ts";

const sha256Of = (text: string): string => createHash("sha256").update(text).digest("hex");

const scratch = mkdtempSync(join(tmpdir(), "mspec-targets-"));
afterAll(() => rmSync(scratch, { recursive: true }));

describe("opening a model", () => {
  it("that was not compiled for the device says for what it was, and how to compile it", async () => {
    const source = await sourceOf(tinySpec);
    await expect(openModel(source, { device: "webgpu" })).rejects.toThrow(
      /^model\/not-compiled-for: the model was not compiled for the device webgpu\n.*target wgsl;.*compiled for wasm\n.*--target wgsl/s,
    );
    await expect(openModel(source, { device: "webgpu:software" })).rejects.toThrow(/--target wgsl-soft/);
  });

  it("says the same of a folder, and of an empty one what the disk says", async () => {
    const folder = join(scratch, "compiled");
    mkdirSync(folder);
    await expect(openModel(folderSource(folder), { device: "webgpu" })).rejects.toThrow(/manifest\.json/);
    writeFileSync(join(folder, "manifest.wgsl.json"), "{}");
    await expect(openModel(folderSource(folder))).rejects.toThrow(
      /not-compiled-for.*\n {2}\S+compiled\n.*compiled for wgsl\n/s,
    );
  });

  it("refuses a manifest of another target, and one for the CPU without a module", async () => {
    const manifest = JSON.parse(await (await sourceOf(tinySpec)).text("manifest.json"));
    const open = (change: object, file: string, device: "wasm" | "webgpu") =>
      openModel(memorySource(new Map([[file, JSON.stringify({ ...manifest, ...change })]])), { device });
    await expect(open({}, "manifest.wgsl.json", "webgpu")).rejects.toThrow(
      /bad-manifest.*of the target wasm, not wgsl/s,
    );
    await expect(open({ target: "cuda" }, "manifest.json", "wasm")).rejects.toThrow(
      /bad-manifest.*`target` is missing/s,
    );
    await expect(open({ module: undefined }, "manifest.json", "wasm")).rejects.toThrow(
      /bad-manifest.*`module` is missing/s,
    );
  });
});

describe("writing a build over another one", () => {
  const manifest = (kernels: readonly { file: string; text: string }[], more = {}) =>
    JSON.stringify({
      version: 1,
      kernels: kernels.map(({ file, text }) => ({ file, sha256: sha256Of(text), ...more })),
    });
  const file = (path: string, content: string) => ({ path, content });

  it("takes away manifests of targets that are gone and their kernels, but not what somebody edited or wrote", () => {
    const out = join(scratch, "build");
    const kernels = ["a", "b"].map((name) => ({ file: `wgsl/${name}.wgsl`, text: `fn ${name}() {}` }));
    const variant = { variants: [{ file: "wgsl/a.subgroups.wgsl", sha256: sha256Of("fn a() { }") }] };
    writeBuild(out, [
      file("manifest.json", manifest([])),
      file("manifest.wgsl.json", manifest(kernels, variant)),
      ...kernels.map(({ file: path, text }) => file(path, text)),
      file("wgsl/a.subgroups.wgsl", "fn a() { }"),
    ]);
    writeFileSync(join(out, "wgsl/b.wgsl"), "edited");
    writeFileSync(join(out, "wgsl/mine.wgsl"), "mine");
    writeFileSync(join(out, "manifest.wgsl-soft.json"), "no manifest");
    writeBuild(out, [file("manifest.json", manifest([]))]);
    expect(readdirSync(out).sort()).toEqual(["manifest.json", "manifest.wgsl-soft.json", "wgsl"]);
    expect(readdirSync(join(out, "wgsl")).sort()).toEqual(["b.wgsl", "mine.wgsl"]);
  });
});
