// Which device mspec takes, and what it says where the one that is asked for is not here.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { whyNoSoftwareGpu } from "../devices/software-gpu.ts";
import { bin, mspecProcess, scratchFolder } from "./run-mspec.ts";

const scratch = scratchFolder();
afterAll(scratch.remove);

const doctor = (env: Readonly<Record<string, string>>, ...args: string[]) => mspecProcess(["doctor", ...args], { env });
/** The line of a device. */
const lineOf = (device: string, stdout: string) =>
  stdout.split("\n").find((line) => line.startsWith(`${device}:`)) ?? "";

test("doctor tells of every device whether it is chosen and why, and chooses one", () => {
  const { status, stdout, stderr } = doctor({});
  expect(status).toBe(0);
  // Dawn itself would write of a loader that is not there.
  expect(stderr).not.toContain("Couldn't load Vulkan");
  for (const device of ["wasm", "webgpu", "webgpu:software", "cuda"]) {
    expect(lineOf(device, stdout)).toMatch(/: (not )?chosen, because ./);
  }
  expect(stdout.match(/: chosen, because/g)).toHaveLength(1);
  expect(lineOf("webgpu:software", stdout)).toContain(": not chosen");
});

test("a device that is asked for is chosen where it is here, by flag or environment", () => {
  expect(lineOf("wasm", doctor({}, "--device", "wasm").stdout)).toContain("asks for it");
  expect(lineOf("wasm", doctor({ MSPEC_DEVICE: "wasm" }).stdout)).toContain("asks for it");
});

describe("with a software driver", () => {
  test("its adapter is told with its limits and features, and is chosen by name only", ({ skip }) => {
    skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu);
    const { status, stdout } = doctor({ MSPEC_DEVICE: "webgpu:software" });
    expect(status).toBe(0);
    expect(lineOf("webgpu:software", stdout)).toContain(": chosen, because `--device` or MSPEC_DEVICE asks for it");
    expect(stdout).toMatch(/SwiftShader[^\n]*\n {2}buffers of [^\n]*per workgroup\n {2}[^\n]*subgroups/);
  });

  test("a driver that computes on the CPU is no GPU: wasm is taken, and the reason says whose it is", ({ skip }) => {
    skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu);
    const cache = join(scratch.path, "cache");
    doctor({ MSPEC_CACHE: cache });
    const [folder] = readdirSync(cache);
    const driver = join(cache, folder, "vk_swiftshader_icd.json");
    const { stdout } = doctor({ MSPEC_CACHE: cache, VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver });
    expect(lineOf("wasm", stdout)).toContain(": chosen");
    expect(lineOf("webgpu", stdout)).toMatch(/not chosen, because the only adapter of WebGPU is .*SwiftShader/);
  });

  test("processes that unpack it at once leave one whole folder and nothing else", async ({ skip }) => {
    skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu);
    const cache = join(scratch.path, "shared");
    const ask = () =>
      new Promise<number | null>((resolve) => {
        const env = { PATH: process.env.PATH ?? "", MSPEC_CACHE: cache };
        const args = [bin, "doctor", "--device", "webgpu:software"];
        spawn(process.execPath, args, { env, stdio: "ignore" }).on("close", resolve);
      });
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([0, 0, 0]);
    const folders = readdirSync(cache);
    expect(folders).toEqual([expect.stringMatching(/^swiftshader-[0-9a-f]{16}$/)]);
    expect(readdirSync(join(cache, folders[0])).toSorted()).toEqual([
      "libEGL.so",
      "libGLESv2.so",
      "libvk_swiftshader.so",
      "libvulkan.so.1",
      "vk_swiftshader_icd.json",
    ]);
  });

  test("a cache that cannot be written is refused with its folder and the way out", ({ skip }) => {
    skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu);
    const file = join(scratch.path, "a-file");
    writeFileSync(file, "");
    const { status, stderr } = mspecProcess(["generate", scratch.path, "--device", "webgpu:software"], {
      env: { MSPEC_CACHE: join(file, "cache") },
    });
    expect(status).toBe(3);
    expect(stderr).toMatch(/device\/cache-unwritable.*a-file\/cache.*MSPEC_CACHE/s);
  });
});

test("H1: a driver file that is not there is no GPU: verbs that need one end with the way out, the others do not ask", () => {
  const nothing = join(scratch.path, "absent.json");
  const env = { MSPEC_DEVICE: "webgpu", VK_DRIVER_FILES: nothing, VK_ICD_FILENAMES: nothing };
  const folder = join(scratch.path, "model");
  mkdirSync(folder);
  const { status, stderr } = mspecProcess(["generate", folder], { env });
  expect(stderr).toMatch(/device\/no-(adapter|vulkan).*take `--device wasm`/s);
  expect(status).toBe(3);
  for (const verb of ["check", "plan"]) {
    expect(mspecProcess([verb, "specs/tiny.mspec.yaml"], { env })).toMatchObject({ status: 0, stderr: "" });
  }
});
