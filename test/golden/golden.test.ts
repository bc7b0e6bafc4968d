// What the compiler writes is what is committed in generated/; a change shows as a diff to be read.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as compiler from "../../compiler/compile.ts";
import * as emit from "../../compiler/emit/output-files.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";
import { goldenFiles, goldens, notCommitted } from "./goldens.mjs";

const folder = new URL("../../generated/", import.meta.url);

/** The files in generated/ that belong to a golden, as they are. */
function committedFiles(name: string, holds: "whole" | "kernels"): string[] {
  if (holds === "kernels") return [`${name}.kernels.txt`];
  if (!existsSync(new URL(name, folder))) return [];
  const entries = readdirSync(new URL(name, folder), { recursive: true, encoding: "utf8" });
  const paths = entries.filter((path) => /\.\w+$/.test(path)).map((path) => path.replaceAll("\\", "/"));
  return paths.filter((path) => !notCommitted.has(path)).map((path) => `${name}/${path}`);
}

const read = (path: string): string => {
  const file = new URL(path, folder);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
};

test.each(Object.entries(goldens))("%s is as it was; `npm run golden` accepts a change", async (name, golden) => {
  const { spec } = readSpecFile(golden.spec);
  if (spec === undefined) throw new Error(`${golden.spec} has errors`);
  const files = await goldenFiles(name, spec, compiler, emit);
  expect(files.size).toBeGreaterThan(golden.holds === "whole" ? 40 : 0);
  expect([...files.keys()].sort()).toEqual(committedFiles(name, golden.holds).sort());
  for (const [path, text] of files) expect.soft(text, path).toBe(read(path));
});

test("generated/ has no golden that is not listed", () => {
  const listed = Object.entries(goldens).map(([name, { holds }]) => (holds === "whole" ? name : `${name}.kernels.txt`));
  const ignored = readFileSync(new URL("../.gitignore", folder), "utf8").split("\n");
  const kept = ignored.filter((line) => line.startsWith("!generated/")).map((line) => line.slice("!generated/".length));
  const lists = readdirSync(folder).filter((name) => name.endsWith(".kernels.txt"));
  const folders = kept.filter((name) => name.endsWith("/")).map((name) => name.slice(0, -1));
  expect([...folders, ...lists].sort()).toEqual(listed.sort());
});
