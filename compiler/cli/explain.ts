// `mspec explain`: what each operation became and why, from the notes of the stages and from the graph.

import type { Command } from "commander";
import { DiagnosticError, Diagnostics } from "../source/diagnostic.ts";
import { standaloneExpression } from "../source/text.ts";
import { type DeviceFlags, deviceFlag, outFlag, readSpecOrThrow, type SpecFlags, setFlag, warn } from "./spec-flags.ts";
import { targetFor } from "./target-for.ts";

interface ExplainFlags extends SpecFlags, DeviceFlags {
  readonly out?: string;
}

export function addExplainVerb(program: Command): void {
  program
    .command("explain")
    .description("say what each operation became and why: shapes, precision, recompute, kernels, tiles, memory")
    .argument("<spec>", "the model spec, a YAML file")
    .argument("[path]", "a selector, such as layers[0].attention.q; everything if left out")
    .addOption(outFlag("a file instead of the standard output"))
    .addOption(deviceFlag("the device to compile for"))
    .addOption(setFlag())
    .action(explainSpec);
}

async function explainSpec(path: string, written: string | undefined, flags: ExplainFlags): Promise<void> {
  const spec = readSpecOrThrow(path, flags);
  const { readSelector } = await import("../spec/selector.ts");
  const diagnostics = new Diagnostics();
  const text = written === undefined ? undefined : standaloneExpression("the path", written);
  const selector = text && readSelector(text, "with directions", diagnostics);
  diagnostics.throwIfErrors();
  const { compile, countsOf } = await import("../compile.ts");
  const build = compile(spec, undefined, {}, await targetFor(flags));
  warn(build.programs.warnings);
  const { explanation, operationsOf } = await import("./explanation.ts");
  if (selector !== undefined) {
    const { selectorProblems } = await import("../spec/selector-problems.ts");
    const rule = { selector, key: "the path", isTotal: true };
    const problems = selectorProblems([rule], operationsOf(build, countsOf(spec)));
    if (problems.length > 0) throw new DiagnosticError(problems);
  }
  const { writeText } = await import("./write-text.ts");
  writeText(`${explanation(build, selector, countsOf(spec))}\n`, flags.out);
}
