// `mspec schema`: the JSON Schema of specs, for editors.

import type { Command } from "commander";
import { outFlag } from "./spec-flags.ts";

export function addSchemaVerb(program: Command): void {
  program
    .command("schema")
    .description("print the JSON Schema of specs, for editors")
    .addOption(outFlag("a file instead of the standard output"))
    .action(async ({ out }: { readonly out?: string }) => {
      const { emitJsonSchema } = await import("../spec/json-schema.ts");
      const { writeText } = await import("./write-text.ts");
      writeText(emitJsonSchema(), out);
    });
}
