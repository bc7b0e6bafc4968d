// Every kernel that is emitted for wgsl passes Tint and the limits that every adapter has, on Dawn's null backend: nothing runs.

import { afterAll, beforeAll, expect, test } from "vitest";
import { create, globals } from "webgpu";
import { buildPrograms, compileFor, targets } from "../../compiler/compile.ts";
import { kernelTexts } from "../../compiler/emit/kernel-files.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";

/** Collected, it would take the process with it. */
let gpu: GPU;
let device: GPUDevice;

beforeAll(async () => {
  Object.assign(globalThis, globals);
  gpu = create(["backend=null"]);
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error("Dawn has no null backend");
  // Only the limits that every adapter has.
  device = await adapter.requestDevice({ requiredFeatures: ["subgroups", "shader-f16"] });
});
afterAll(() => device.destroy());

const specs = [
  ["tiny", "specs/tiny.mspec.yaml", []],
  ["tiny in bf16", "specs/tiny.mspec.yaml", ["precision=[bf16]"]],
  ["tiny-formulas", "specs/tiny-formulas.mspec.yaml", []],
  ["tiny-experts", "specs/tiny-experts.mspec.yaml", []],
  ["tiny-experts in bf16", "specs/tiny-experts.mspec.yaml", ["precision=[bf16]"]],
  ["sotu", "examples/sotu/model.yaml", []],
  ["llama-3.1-8b", "specs/llama-3.1-8b.mspec.yaml", []],
  ["qwen3-30b-a3b", "specs/qwen3-30b-a3b.mspec.yaml", []],
  ["gpt-oss-20b", "specs/gpt-oss-20b.mspec.yaml", []],
  ["deepseek-v3", "specs/deepseek-v3.mspec.yaml", []],
] as const;

test.each(specs)("%s", async (_, path, overrides) => {
  const { spec } = readSpecFile(path, [...overrides]);
  if (spec === undefined) throw new Error(`${path} has errors`);
  const programs = buildPrograms(spec);
  let checked = 0;
  for (const target of [targets.wgsl, targets["wgsl-soft"]]) {
    const { kernels } = compileFor(target, spec, programs);
    const texts = kernels.flatMap((kernel) => kernelTexts([kernel]).map((own) => ({ ...own, name: kernel.name })));
    for (const { name, file, text } of texts) {
      device.pushErrorScope("validation");
      const module = device.createShaderModule({ code: text });
      device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: name } });
      const error = await device.popErrorScope();
      expect.soft(error?.message, `${target.id}: ${file}`).toBeUndefined();
      checked++;
    }
  }
  expect(checked).toBeGreaterThan(30);
});
