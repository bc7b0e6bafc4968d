// The runtime as JavaScript, for processes of their own: Node 20 runs no TypeScript, and dist/ may be older.

import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

/** Below node_modules, so that packages are found from there. */
export async function transpileRuntime(): Promise<{ url: (file: string) => string; remove: () => Promise<void> }> {
  const cache = join(root, "node_modules", ".cache");
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "runtime-"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  for (const file of await readdir(join(root, "runtime"), { recursive: true })) {
    const target = join(folder, file);
    await mkdir(dirname(target), { recursive: true });
    if (file.endsWith(".mjs")) await copyFile(join(root, "runtime", file), target);
    if (!file.endsWith(".ts") || file.endsWith(".d.ts")) continue;
    const source = await readFile(join(root, "runtime", file), "utf8");
    const { outputText } = ts.transpileModule(source, { compilerOptions });
    await writeFile(target.replace(/\.ts$/, ".js"), outputText);
  }
  return {
    url: (file) => pathToFileURL(join(folder, file)).href,
    remove: () => rm(folder, { recursive: true }),
  };
}
