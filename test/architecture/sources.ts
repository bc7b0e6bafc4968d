// The repository as the house checks see it: its files, their lines, their syntax trees and their functions.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Folders of code that people write. */
const codeFolders = ["bin", "compiler", "runtime", "test", "bench", "examples", "docs"];

export interface Source {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly numLines: number;
}

export function read(path: string): Source {
  const text = readFileSync(join(root, path), "utf8");
  return { path, text, numLines: text.split("\n").length - Number(text.endsWith("\n")) };
}

/** Files below a folder whose name matches, sorted. */
export function filesIn(folder: string, name: RegExp): Source[] {
  if (!existsSync(join(root, folder))) return [];
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && name.test(entry.name));
  const paths = files.map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
  return paths
    .filter((path) => !path.includes("node_modules/"))
    .sort()
    .map(read);
}

export const codeFiles = (): Source[] => codeFolders.flatMap((folder) => filesIn(folder, /\.(ts|mjs)$/));

/** Every file under version control; undefined where there is no git. */
export function trackedFiles(): string[] | undefined {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.split("\0").filter((path) => path !== "" && exists(path)) : undefined;
}

export const exists = (path: string): boolean => existsSync(join(root, path));

export const parse = ({ path, text }: Source): ts.SourceFile =>
  ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);

export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodesOf(child);
}

export interface FoundFunction {
  readonly place: string;
  readonly numLines: number;
}

/** Functions and methods with a body in braces; a test's body counts as one, a `describe` does not. */
export function functionsOf(source: Source): FoundFunction[] {
  const file = parse(source);
  const found: FoundFunction[] = [];
  for (const node of nodesOf(file)) {
    if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined || !ts.isBlock(node.body)) continue;
    if (ts.isCallExpression(node.parent) && /^describe\b/.test(node.parent.expression.getText())) continue;
    const start = file.getLineAndCharacterOfPosition(node.getStart()).line;
    const end = file.getLineAndCharacterOfPosition(node.end).line;
    found.push({ place: `${source.path}:${start + 1}`, numLines: end - start + 1 });
  }
  return found;
}
