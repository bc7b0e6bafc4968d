// What a page loads needs no module of Node: the whole graph of imports from runtime/page.ts, read from the sources.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isLazy: boolean;
}

/** What a module imports when it runs; types leave no trace. */
function importsOf(path: string): Import[] {
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const add = (to: string, isLazy: boolean) => found.push({ from: relative(root, path), to, isLazy });
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      const isType = ts.isImportDeclaration(node) ? node.importClause?.isTypeOnly === true : node.isTypeOnly;
      const specifier = node.moduleSpecifier;
      if (!isType && !hasTypesOnly(node) && specifier !== undefined && ts.isStringLiteral(specifier))
        add(specifier.text, false);
    }
    const isCall = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
    if (isCall && ts.isStringLiteral(node.arguments[0])) add(node.arguments[0].text, true);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** `import { type A, type B }`. */
function hasTypesOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  const named = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : node.exportClause;
  if (ts.isImportDeclaration(node) && node.importClause?.name !== undefined) return false;
  if (named === undefined || !(ts.isNamedImports(named) || ts.isNamedExports(named))) return false;
  return named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
}

/** Every module below an entry, those that are imported lazily only if told so, with what is imported from packages. */
function graphOf(
  entry: string,
  which: "at once" | "ever",
): { readonly modules: ReadonlySet<string>; readonly packages: Import[] } {
  const modules = new Set<string>();
  const packages: Import[] = [];
  const open = [new URL(`../../${entry}`, import.meta.url)];
  for (let url = open.pop(); url !== undefined; url = open.pop()) {
    const path = fileURLToPath(url);
    if (modules.has(relative(root, path))) continue;
    expect(existsSync(path), path).toBe(true);
    modules.add(relative(root, path));
    for (const found of importsOf(path)) {
      if (found.isLazy && which === "at once") continue;
      if (found.to.startsWith(".")) open.push(new URL(found.to, url));
      else packages.push(found);
    }
  }
  return { modules, packages };
}

const nodeUse = /\bprocess\.[a-z]+[^a-z ]|\bBuffer\b|require\(/;

it("a page's modules import no module of Node, and use nothing that only Node has", () => {
  const { modules, packages } = graphOf("runtime/page.ts", "ever");
  expect(modules.size).toBeGreaterThan(60);
  expect([...modules]).toContain("runtime/devices/webgpu.ts");
  expect([...modules]).toContain("runtime/train/trainer.ts");
  expect(packages.filter(({ to }) => to.startsWith("node:"))).toEqual([]);
  expect([...new Set(packages.map(({ to }) => to))].sort()).toEqual(["@huggingface/tokenizers", "fastest-levenshtein"]);
  const users = [...modules].filter((path) => nodeUse.test(readFileSync(`${root}${path}`, "utf8")));
  expect(users).toEqual([]);
});

it("a model of bytes loads no tokenizer, and a model for the GPU no threads", () => {
  const { modules, packages } = graphOf("runtime/page.ts", "at once");
  expect(modules.size).toBeGreaterThan(50);
  expect([...modules].filter((path) => /wasm|tokenizer-library|bpe/.test(path))).toEqual([]);
  expect([...new Set(packages.map(({ to }) => to))]).toEqual(["fastest-levenshtein"]);
});

it("files of the runtime say by their name that they need Node, or belong to one that does", () => {
  const files = readdirSync(`${root}runtime`, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  expect(files.length).toBeGreaterThan(100);
  const needNode = (path: string): boolean =>
    importsOf(`${root}runtime/${path}`).some(({ to }) => to.startsWith("node:")) ||
    nodeUse.test(readFileSync(`${root}runtime/${path}`, "utf8"));
  const users = files.filter(needNode);
  expect(users).toContain("files/node-disk.ts");
  const unnamed = users.filter((path) => !/(^|\/)node-[a-z-]+\.ts$/.test(path));
  expect(unnamed.sort()).toEqual(["devices/wasm.ts", "report/write-report.ts"]);
});
