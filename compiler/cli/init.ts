// `mspec init`: a folder with a commented spec, a text to train on and a README.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import type { OutputFile } from "../emit/output-files.ts";
import * as say from "../source/messages/init.ts";
import { packageRoot } from "../source/package-root.ts";
import { outFlag } from "./spec-flags.ts";

/** The name that the templates have and that is replaced by the model's. */
const templateName = "my-model";
const namePattern = /^[a-z][a-z0-9-]{0,62}$/;

export function addInitVerb(program: Command): void {
  program
    .command("init")
    .description("write a commented spec, a text to train on and a README")
    .argument("<name>", "the model's name")
    .addOption(outFlag("the folder (default: one with the model's name)"))
    .action(initModel);
}

async function initModel(written: string, { out = written }: { readonly out?: string }): Promise<void> {
  const { outputFolder, entryAt, refuse } = await import("./output-folder.ts");
  const name = basename(resolve(written));
  if (!namePattern.test(name)) refuse(say.badName(name));
  const files = await projectFiles(name);
  const { path } = outputFolder(out);
  const existing = files.filter((file) => entryAt(join(path, file.path)) !== undefined);
  if (existing.length > 0) {
    refuse(
      say.exists(
        path,
        existing.map((file) => file.path),
      ),
    );
  }
  const { replaceFiles } = await import("./staged-write.ts");
  replaceFiles({ out, files, marker: "model.yaml", obsolete: () => [] });
  process.stdout.write(`${say.created(out, name)}\n`);
}

/** The files of templates/init with the model's name, and the schema for editors. */
async function projectFiles(name: string): Promise<OutputFile[]> {
  const folder = join(packageRoot(), "templates", "init");
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = entries.map((entry): OutputFile => {
    const path = join(entry.parentPath, entry.name);
    const relative = path.slice(folder.length + 1).replaceAll("\\", "/");
    return { path: relative, content: readFileSync(path, "utf8").replaceAll(templateName, name) };
  });
  const { emitJsonSchema } = await import("../spec/json-schema.ts");
  return [...files, { path: "mspec.schema.json", content: emitJsonSchema() }];
}
