// The runtime's files as JavaScript in a temporary folder, so that tests can run them in processes of their own:
// Node 20 runs no TypeScript, and a child that is killed must not be the test itself.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";

const runtime = new URL("../../runtime/", import.meta.url);

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

export interface CompiledRuntime {
  /** The address of a runtime file, such as `files/disk.js`, for an import in a child. */
  url(file: string): string;
  remove(): Promise<void>;
}

/** Compiles fault.ts, files/ and messages/. */
export async function compileRuntime(): Promise<CompiledRuntime> {
  const folder = await mkdtemp(join(tmpdir(), "mspec-runtime-"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  for (const part of ["", "files/", "messages/"]) {
    await mkdir(join(folder, part), { recursive: true });
    for (const name of await readdir(new URL(part === "" ? "." : part, runtime))) {
      if (!name.endsWith(".ts") || (part === "" && name !== "fault.ts")) continue;
      const source = await readFile(new URL(part + name, runtime), "utf8");
      const { outputText } = ts.transpileModule(source, { compilerOptions });
      await writeFile(join(folder, part, name.replace(/\.ts$/, ".js")), outputText);
    }
  }
  return {
    url: (file) => pathToFileURL(join(folder, file)).href,
    remove: () => rm(folder, { recursive: true }),
  };
}
