// Builds dist/ from the sources, each file aside and then renamed, so that a process that runs from dist/ meanwhile never
// misses one. `npm run build` makes code and declarations; bin/mspec.mjs makes the code when dist/ is older than the sources.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
export const distFolder = join(packageRoot, "dist");
const codeFolders = ["compiler", "runtime"];
const sourceFolders = [...codeFolders, "templates"];
const configFiles = ["tsconfig.json", "tsconfig.build.json"];
const stampFile = join(distFolder, ".stamp");
const buildInfoFile = join(distFolder, ".tsbuildinfo");
const lockFile = join(packageRoot, ".build-lock");
/** Templates as JavaScript, made by the compiler that was just built. */
const templatesFile = join(distFolder, "compiler", "emit", "templates.cjs");

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** Whether this is a checkout: a published package has no sources, and its dist/ is never stale. */
export const hasSources = () => sourceFolders.every((folder) => existsSync(join(packageRoot, folder)));

/** What the sources are like now, one line each: changes with every file that is added, removed or written. */
function sourceStamp() {
  const sources = sourceFolders.flatMap((folder) => filesBelow(join(packageRoot, folder)));
  const files = [...sources, ...configFiles.map((name) => join(packageRoot, name))];
  return files.sort().map(stampOf).join("\n");
}

/** @param {string} file */
function stampOf(file) {
  const { size, mtimeMs } = statSync(file);
  return `${relative(packageRoot, file)} ${size} ${mtimeMs}`;
}

const lastStamp = () => (existsSync(stampFile) ? readFileSync(stampFile, "utf8") : "");

export const isFresh = () => lastStamp() === sourceStamp();

/** Whether the process that holds the lock has ended without giving it back. */
function isLockStale() {
  try {
    process.kill(Number(readFileSync(lockFile, "utf8")), 0);
    return false;
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    return code === "ESRCH";
  }
}

/** Waits until no other process builds here; two that build at once would mix their files. */
function lock() {
  for (let waited = 0; ; waited += 50) {
    try {
      writeFileSync(lockFile, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code !== "EEXIST") throw error;
    }
    if (isLockStale()) {
      const aside = `${lockFile}.${process.pid}`;
      // Only one of several that wait succeeds in renaming it.
      try {
        renameSync(lockFile, aside);
        rmSync(aside);
      } catch {}
    }
    if (waited === 2000) process.stderr.write("mspec: waiting for another process that builds dist/\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/**
 * @param {string} path
 * @param {string} text
 */
function replaceFile(path, text) {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  mkdirSync(dirname(path), { recursive: true });
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, text);
  renameSync(aside, path);
}

/**
 * Where a source goes in dist/, and as what; undefined for what has no output.
 *
 * @param {string} file
 */
function outputOf(file) {
  const path = join(distFolder, relative(packageRoot, file));
  if (file.endsWith(".d.ts")) return undefined;
  return file.endsWith(".ts") ? path.replace(/\.ts$/, ".js") : path;
}

/**
 * Brings the JavaScript of dist/ up to date, without looking at types; returns syntax errors as text.
 *
 * @param {typeof import("typescript")} ts
 */
async function transpile(ts) {
  const stamp = sourceStamp();
  const last = new Set(lastStamp().split("\n"));
  const hasOldConfig = configFiles.every((name) => last.has(stampOf(join(packageRoot, name))));
  // Alone, a file does not tell TypeScript that package.json makes it an ES module.
  const { ESNext } = ts.ModuleKind;
  const moduleResolution = ts.ModuleResolutionKind.Bundler;
  const compilerOptions = { ...readOptions(ts).options, module: ESNext, moduleResolution };
  /** @type {Map<string, string>} */
  const changed = new Map();
  const outputs = new Set([templatesFile]);
  /** @type {import("typescript").Diagnostic[]} */
  const errors = [];
  for (const file of codeFolders.flatMap((folder) => filesBelow(join(packageRoot, folder)))) {
    const output = outputOf(file);
    if (output === undefined) continue;
    outputs.add(output);
    if (hasOldConfig && last.has(stampOf(file)) && existsSync(output)) continue;
    const text = readFileSync(file, "utf8");
    const options = { compilerOptions, fileName: file, reportDiagnostics: true };
    const result = file.endsWith(".ts") ? ts.transpileModule(text, options) : { outputText: text };
    changed.set(output, result.outputText);
    errors.push(...(result.diagnostics ?? []));
  }
  // What does not parse cannot run: the dist/ that is there is better.
  if (errors.length > 0) return format(ts, errors);
  rmSync(stampFile, { force: true });
  for (const [path, text] of changed) replaceFile(path, text);
  const precompile = join(distFolder, "compiler", "emit", "precompile.js");
  const { precompileTemplates } = await import(pathToFileURL(precompile).href);
  replaceFile(templatesFile, precompileTemplates());
  removeOrphans(outputs);
  replaceFile(stampFile, stamp);
  return "";
}

/**
 * Removes outputs whose sources are gone; declarations go with their code.
 *
 * @param {ReadonlySet<string>} outputs
 */
function removeOrphans(outputs) {
  for (const file of filesBelow(distFolder)) {
    const code = file.replace(/\.d\.(m?)ts$/, ".$1js");
    if (!outputs.has(code) && file !== buildInfoFile) rmSync(file);
  }
}

/**
 * Writes the declarations of dist/; returns type errors as text.
 *
 * @param {typeof import("typescript")} ts
 */
function declare(ts) {
  const { fileNames, options } = readOptions(ts);
  // The record of the last build says what is up to date; it does not look whether the outputs are still there.
  const declarations = filesBelow(distFolder).filter((file) => /\.d\.m?ts$/.test(file));
  if (declarations.length < fileNames.filter((file) => !file.endsWith(".d.ts")).length)
    rmSync(buildInfoFile, { force: true });
  const program = ts.createIncrementalProgram({
    rootNames: fileNames,
    options: { ...options, emitDeclarationOnly: true },
    host: ts.createIncrementalCompilerHost(options),
  });
  const errors = [...program.getOptionsDiagnostics(), ...program.getSemanticDiagnostics()];
  program.emit(undefined, (path, text) => replaceFile(path, text));
  return format(ts, errors);
}

/** @param {typeof import("typescript")} ts */
function readOptions(ts) {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} };
  const parsed = ts.getParsedCommandLineOfConfigFile(join(packageRoot, "tsconfig.build.json"), {}, host);
  if (parsed === undefined) throw new Error("tsconfig.build.json cannot be read");
  return parsed;
}

/**
 * @param {typeof import("typescript")} ts
 * @param {readonly import("typescript").Diagnostic[]} diagnostics
 */
function format(ts, diagnostics) {
  const getCanonicalFileName = (/** @type {string} */ path) => path;
  const host = { getCurrentDirectory: () => packageRoot, getCanonicalFileName, getNewLine: () => "\n" };
  return ts.formatDiagnostics(diagnostics, host);
}

/**
 * Builds dist/; returns the errors as text.
 *
 * @param {"whole" | "to run"} what To run, the code is enough: checking types and writing declarations take ten times as long.
 */
export async function build(what) {
  const ts = createRequire(import.meta.url)("typescript");
  mkdirSync(distFolder, { recursive: true });
  lock();
  try {
    const errors = isFresh() ? "" : await transpile(ts);
    return errors === "" && what === "whole" ? declare(ts) : errors;
  } finally {
    rmSync(lockFile, { force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const errors = await build(process.argv.includes("--to-run") ? "to run" : "whole");
  process.stderr.write(errors);
  process.exitCode = errors === "" ? 0 : 1;
}
