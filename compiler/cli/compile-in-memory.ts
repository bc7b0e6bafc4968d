// Compiles a spec for a verb that runs it at once.

import type { BuildSource } from "../../runtime/build-source.ts";
import type { ModelOptions } from "../model/model.ts";
import type { Spec } from "../spec/spec.ts";
import { warn } from "./spec-flags.ts";

/** What `mspec compile` would write, without the bindings: nobody imports them from memory. */
export async function compileInMemory(spec: Spec, options: ModelOptions = {}): Promise<BuildSource> {
  const { compile } = await import("../compile.ts");
  const { outputFiles } = await import("../emit/output-files.ts");
  const { memorySource } = await import("../../runtime/build-source.ts");
  const build = compile(spec, undefined, options);
  warn(build.programs.warnings);
  const files = await outputFiles(build);
  return memorySource(new Map(files.map((file) => [file.path, file.content])));
}
