// `mspec compile`: a spec to kernels, manifest and bindings in a folder.

import { type Command, Option } from "commander";
import type { TargetId } from "../kernels/targets.ts";
import { outFlag, readSpecOrThrow, type SpecFlags, setFlag, warn } from "./spec-flags.ts";
import { StageTimes } from "./stage-times.ts";

interface CompileFlags extends SpecFlags {
  readonly out?: string;
  readonly target: readonly TargetId[];
}

const targetIds: readonly TargetId[] = ["wasm", "wgsl", "wgsl-soft"];

export function addCompileVerb(program: Command): void {
  program
    .command("compile")
    .description("write kernels, manifest.json, bindings and the normal form of a spec")
    .argument("<spec>", "the model spec, a YAML file")
    .addOption(outFlag("the output folder (default: generated/<name>)"))
    .addOption(
      new Option("--target <names...>", "what to compile for besides wasm, which is always there")
        .choices(targetIds)
        .default(["wgsl"], "wgsl"),
    )
    .addOption(setFlag())
    .action(compileSpec);
}

async function compileSpec(path: string, flags: CompileFlags): Promise<void> {
  const times = new StageTimes();
  const spec = times.measure("read", () => readSpecOrThrow(path, flags));
  const { outputPath, writeBuild } = await import("./write-build.ts");
  const out = outputPath(flags.out, spec);
  const { compile, compileFor, targets } = await times.measure("load the compiler", () => import("../compile.ts"));
  const build = compile(spec, (stage, work) => times.measure(stage, work));
  warn(build.programs.warnings);
  const further = targetIds.filter((id) => id !== "wasm" && flags.target.includes(id));
  const others = further.map((id) => times.measure(id, () => compileFor(targets[id], spec, build.programs)));
  const { bindingFiles, moduleFile, textFiles } = await import("../emit/output-files.ts");
  const texts = times.measure("texts", () => textFiles(build, others));
  const module = await times.measure("assemble", () => moduleFile(build));
  const bindings = await times.measure("bindings", () => bindingFiles(build));
  const files = [...texts, module, ...bindings];
  const { folder, numChanged } = times.measure("write", () => writeBuild(out, files));
  process.stdout.write(`${folder}: ${files.length} files, ${numChanged} changed\n`);
  times.report();
}
