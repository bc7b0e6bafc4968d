// A compile that is killed, or whose disk fails, at every system call that changes the file system: what the folder held
// before is there afterwards or comes back with the next compile, and nothing is left lying about (faults B15, J6).

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { replaceFiles } from "../../compiler/cli/staged-write.ts";
import type { OutputFile } from "../../compiler/emit/output-files.ts";
import { mspecProcess, repository, scratchFolder } from "./run-mspec.ts";

const scratch = scratchFolder();
const child = fileURLToPath(new URL("./write-child.mjs", import.meta.url));
const module = pathToFileURL(join(repository, "dist/compiler/cli/staged-write.js")).href;
const hasStrace = spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0;
const noStrace = "strace is not there, or may not trace";

const file = (path: string, content: string): OutputFile => ({ path, content });
const before = [
  file("manifest.json", '{"old":1}'),
  file("model.ts", "old"),
  file("wasm/a.wat", "old a"),
  file("wasm/gone.wat", "old gone"),
];
const after = [
  file("manifest.json", '{"new":2}'),
  file("model.ts", "new"),
  file("wasm/a.wat", "new a"),
  file("deep/er/b.wat", "new b"),
];
const obsolete = ["wasm/gone.wat"];
const mine = file("notes.txt", "mine");

beforeAll(() => {
  mspecProcess(["--version"]);
  writeFileSync(join(scratch.path, "after.json"), JSON.stringify({ files: after, obsolete }));
});
afterAll(() => scratch.remove());

function contentOf(folder: string): OutputFile[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
  return paths.map((path) => file(path, readFileSync(join(folder, path), "utf8")));
}

const sorted = (files: readonly OutputFile[]): OutputFile[] => [...files].sort((a, b) => (a.path < b.path ? -1 : 1));

/** A folder with the output of before and a file of the user's. */
function earlierOutput(name: string): string {
  const folder = join(scratch.path, name);
  mkdirSync(folder);
  writeFileSync(join(folder, mine.path), String(mine.content));
  replaceFiles({ out: folder, files: before, marker: "manifest.json", obsolete: () => [] });
  return folder;
}

/** Calls that change the file system. */
const calls = ["mkdir", "rename", "unlink", "rmdir", "openat", "write"];

interface Call {
  readonly name: string;
  /** How many calls of that name the thread has made, with this one. */
  readonly count: number;
}

/** Runs the child on a folder under strace; `inject` fails or kills at one call. */
function trace(folder: string, inject: string): { readonly status: number | null; readonly log: readonly string[] } {
  const log = `${folder}.log`;
  const filter = ["-f", "-y", "-e", `trace=${calls.join()}`];
  const effect = inject === "" ? [] : ["-e", `inject=${inject}`];
  const command = [process.execPath, child, module, folder, join(scratch.path, "after.json")];
  const { status } = spawnSync("strace", [...filter, ...effect, "-o", log, ...command]);
  return { status, log: readFileSync(log, "utf8").split("\n") };
}

/** The calls of an undisturbed run that change something in its folder, in order. */
function changingCalls(name: string): Call[] {
  const folder = earlierOutput(name);
  const { status, log } = trace(folder, "");
  expect(status).toBe(0);
  const [main] = log[0].split(" ");
  const counts = new Map<string, number>();
  return log.flatMap((line) => {
    const [, thread, name] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread !== main || name === undefined) return [];
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const isReading = name === "openat" && !line.includes("O_CREAT");
    return line.includes(folder) && !isReading ? [{ name, count }] : [];
  });
}

const state = (files: readonly OutputFile[]): string => {
  const kept = files.filter(({ path }) => !path.startsWith(".mspec-"));
  if (JSON.stringify(kept) === JSON.stringify(sorted([...before, mine]))) return "before";
  if (JSON.stringify(kept) === JSON.stringify(sorted([...after, mine]))) return "after";
  return kept.some(({ path }) => path === "manifest.json") ? "mixed" : "unfinished";
};

const again = (folder: string, files: readonly OutputFile[]) =>
  replaceFiles({ out: folder, files, marker: "manifest.json", obsolete: () => [] });

test("killed at any call, a folder is whole or has no manifest, and the next compile restores what was there", ({
  skip,
}) => {
  skip(!hasStrace, noStrace);
  const found = changingCalls("undisturbed");
  expect(found.length).toBeGreaterThan(25);
  const states = found.map(({ name, count }) => {
    const folder = earlierOutput(`kill-${name}-${count}`);
    trace(folder, `${name}:signal=KILL:when=${count}`);
    const seen = state(contentOf(folder));
    // What was there is compiled again: nothing has changed if all of it came back.
    if (seen !== "after") expect([name, count, again(folder, before).numChanged]).toEqual([name, count, 0]);
    else again(folder, after);
    expect(contentOf(folder)).toEqual(sorted([...(seen === "after" ? after : before), mine]));
    return seen;
  });
  expect(new Set(states)).toEqual(new Set(["before", "unfinished", "after"]));
});

test("where any one call fails, a folder stays as it was", ({ skip }) => {
  skip(!hasStrace, noStrace);
  for (const { name, count } of changingCalls("undisturbed-by-faults")) {
    const errno = count % 2 === 0 ? "EIO" : "ENOSPC";
    const folder = earlierOutput(`fail-${name}-${count}`);
    const { status } = trace(folder, `${name}:error=${errno}:when=${count}`);
    const files = contentOf(folder);
    expect([name, count, state(files)]).toEqual([name, count, status === 0 ? "after" : "before"]);
    if (status !== 0) expect([name, count, files.length]).toEqual([name, count, before.length + 1]);
  }
});
