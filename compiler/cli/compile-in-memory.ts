// Compiles a spec for a verb that runs it at once.

import type { BuildSource } from "../../runtime/build-source.ts";
import type { DeviceName } from "../../runtime/device.ts";
import type { ModelOptions } from "../model/model.ts";
import type { Spec } from "../spec/spec.ts";
import { warn } from "./spec-flags.ts";

/** What `mspec compile` would write for wasm and for the device that the model is to run on. */
export async function compileInMemory(
  spec: Spec,
  options: ModelOptions = {},
  device: DeviceName = "wasm",
): Promise<BuildSource> {
  const { compile, compileFor, targets } = await import("../compile.ts");
  const { outputFiles } = await import("../emit/output-files.ts");
  const { memorySource } = await import("../../runtime/build-source.ts");
  const build = compile(spec, undefined, options);
  warn(build.programs.warnings);
  const { targetOfDevice } = await import("../../runtime/device-targets.ts");
  const target = targetOfDevice[device];
  const others = target === "wasm" ? [] : [compileFor(targets[target], spec, build.programs)];
  const files = await outputFiles(build, others);
  return memorySource(new Map(files.map((file) => [file.path, file.content])));
}
