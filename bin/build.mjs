// Builds dist/ from the TypeScript sources: incrementally, each file aside and then renamed, so that a process that runs
// from dist/ meanwhile never misses a file. `npm run build` runs this; bin/mspec.mjs does when dist/ is older than the sources.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
export const distFolder = join(packageRoot, "dist");
const sourceFolders = ["compiler", "runtime", "templates"];
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

/** What the sources are like now: changes with every file that is added, removed or written. */
function sourceStamp() {
  const hash = createHash("sha256");
  const sources = sourceFolders.flatMap((folder) => filesBelow(join(packageRoot, folder))).sort();
  for (const file of [...sources, ...configFiles.map((name) => join(packageRoot, name))]) {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${relative(packageRoot, file)} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

export const isFresh = () => existsSync(stampFile) && readFileSync(stampFile, "utf8") === sourceStamp();

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
  mkdirSync(dirname(path), { recursive: true });
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, text);
  renameSync(aside, path);
}

/**
 * Compiles what changed; returns the type errors as text, empty if there are none.
 *
 * @param {import("typescript")} ts
 */
async function compile(ts) {
  const stamp = sourceStamp();
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} };
  const parsed = ts.getParsedCommandLineOfConfigFile(join(packageRoot, "tsconfig.build.json"), {}, host);
  if (parsed === undefined) throw new Error("tsconfig.build.json cannot be read");
  const outputs = new Set(parsed.fileNames.flatMap((file) => ts.getOutputFileNames(parsed, file, false)).map(toPath));
  // The record of the last build says what is up to date; it does not look whether the outputs are still there.
  if ([...outputs].some((file) => !existsSync(file))) rmSync(buildInfoFile, { force: true });
  const program = ts.createIncrementalProgram({
    rootNames: parsed.fileNames,
    options: parsed.options,
    configFileParsingDiagnostics: parsed.errors,
    host: ts.createIncrementalCompilerHost(parsed.options),
  });
  const diagnostics = [
    ...program.getConfigFileParsingDiagnostics(),
    ...program.getOptionsDiagnostics(),
    ...program.getSyntacticDiagnostics(),
    ...program.getSemanticDiagnostics(),
  ];
  /** @type {[path: string, text: string][]} */
  const emitted = [];
  program.emit(undefined, (path, text) => emitted.push([toPath(path), text]));
  rmSync(stampFile, { force: true });
  // The record comes last: after a kill, what was not written is compiled again.
  emitted.sort(([a], [b]) => Number(a === buildInfoFile) - Number(b === buildInfoFile));
  for (const [path, text] of emitted) replaceFile(path, text);
  const { precompileTemplates } = await import(
    pathToFileURL(join(distFolder, "compiler", "emit", "precompile.js")).href
  );
  replaceFile(templatesFile, precompileTemplates());
  const kept = new Set([...outputs, buildInfoFile, templatesFile]);
  for (const file of filesBelow(distFolder)) if (!kept.has(file)) rmSync(file);
  replaceFile(stampFile, stamp);
  const formatHost = { getCurrentDirectory: () => packageRoot, getCanonicalFileName: identity, getNewLine: () => "\n" };
  return ts.formatDiagnostics(diagnostics, formatHost);
}

const toPath = (/** @type {string} */ path) => resolve(path);
const identity = (/** @type {string} */ text) => text;

/** Builds dist/ unless another process has done so meanwhile; returns the type errors as text. */
export async function build() {
  const ts = createRequire(import.meta.url)("typescript");
  mkdirSync(distFolder, { recursive: true });
  lock();
  try {
    return isFresh() && process.argv.includes("--if-stale") ? "" : await compile(ts);
  } finally {
    rmSync(lockFile, { force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const errors = await build();
  process.stderr.write(errors);
  process.exitCode = errors === "" ? 0 : 1;
}
