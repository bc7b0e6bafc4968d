// `mspec normalize`: the spec with defaults filled in and expressions evaluated.

import type { Command } from "commander";
import { outFlag, readSpecOrThrow, type SpecFlags, setFlag } from "./spec-flags.ts";

interface NormalizeFlags extends SpecFlags {
  readonly out?: string;
}

export function addNormalizeVerb(program: Command): void {
  program
    .command("normalize")
    .description("print a spec with defaults filled in, recipes expanded and sizes evaluated")
    .argument("<spec>", "the model spec, a YAML file")
    .addOption(outFlag("a file instead of the standard output"))
    .addOption(setFlag())
    .action(async (path: string, flags: NormalizeFlags) => {
      const spec = readSpecOrThrow(path, flags);
      const { normalizeSpec } = await import("../spec/normalize.ts");
      const { writeText } = await import("./write-text.ts");
      writeText(normalizeSpec(spec), flags.out);
    });
}
