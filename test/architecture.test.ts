// The house rules of CONTRIBUTING.md and ARCHITECTURE.md, counted. A check that could pass on nothing says how much it looked at.

import { dirname, join } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { ops } from "../compiler/ops/index.ts";
import { checkLayers, sourceFiles } from "./architecture/layers.mjs";
import {
  codeFiles,
  exists,
  filesIn,
  functionsOf,
  nodesOf,
  parse,
  read,
  type Source,
  trackedFiles,
} from "./architecture/sources.ts";

const most = { fileLines: 500, functionLines: 60, templateLines: 200, headerLines: 4 };
const files = codeFiles();
const shipped = files.filter(({ path }) => /^(bin|compiler|runtime)\//.test(path));

/** `path: what` of everything that breaks a rule, so that a failure lists all of it. */
const places = (sources: readonly Source[], what: (source: Source) => readonly (string | number)[]): string[] =>
  sources.flatMap((source) => what(source).map((each) => `${source.path}: ${each}`));

test("there are sources to look at", () => {
  const byFolder = new Map<string, { files: number; lines: number }>();
  for (const { path, numLines } of files) {
    const folder = path
      .split("/")
      .slice(0, path.startsWith("bin/") ? 1 : 2)
      .join("/")
      .replace(/\/[^/]*\.\w+$/, "");
    const sum = byFolder.get(folder) ?? { files: 0, lines: 0 };
    byFolder.set(folder, { files: sum.files + 1, lines: sum.lines + numLines });
  }
  const rows = [...byFolder].sort(([a], [b]) => (a < b ? -1 : 1));
  process.stdout.write(
    rows
      .map(([name, sum]) => `${String(sum.lines).padStart(6)} lines ${String(sum.files).padStart(4)} files  ${name}\n`)
      .join(""),
  );
  expect(files.length).toBeGreaterThan(250);
});

describe("sizes", () => {
  test(`no file has more than ${most.fileLines} lines`, () => {
    expect(places(files, ({ numLines }) => (numLines > most.fileLines ? [numLines] : []))).toEqual([]);
  });

  test(`no function has more than ${most.functionLines} lines`, () => {
    const functions = files.flatMap(functionsOf);
    expect(functions.length).toBeGreaterThan(2000);
    const long = functions.filter(({ numLines }) => numLines > most.functionLines);
    expect(long.map(({ place, numLines }) => `${place}: ${numLines}`)).toEqual([]);
  });

  test(`no template has more than ${most.templateLines} lines`, () => {
    const templates = filesIn("templates", /\.hbs$/);
    expect(templates.length).toBeGreaterThan(15);
    expect(places(templates, ({ numLines }) => (numLines > most.templateLines ? [numLines] : []))).toEqual([]);
  });

  test(`every shipped file begins with a header of at most ${most.headerLines} lines`, () => {
    const headerOf = ({ text }: Source) => /^(#!.*\n)?((?:\/\/.*\n)*)/.exec(text)?.[2].split("\n").slice(0, -1) ?? [];
    const wrong = places(shipped, (source) => {
      const { length } = headerOf(source);
      return length === 0 || length > most.headerLines ? [`${length} lines`] : [];
    });
    expect(wrong).toEqual([]);
  });
});

describe("names", () => {
  test("no file is called after nothing in particular", () => {
    const vague = /(^|[/.-])(utils?|helpers?|common|misc|manager|stuff|data2)([/.-]|$)/;
    expect(files.filter(({ path }) => vague.test(path)).map(({ path }) => path)).toEqual([]);
  });

  test("files are kebab-case", () => {
    const wrong = files.filter(({ path }) => !/^[a-z0-9-]+(\.(test|d))?\.(ts|mjs)$/.test(path.split("/").at(-1) ?? ""));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

describe("layers", () => {
  test("imports go one way, and every source file was looked at", async () => {
    const { violations, modules } = await checkLayers();
    const sources = sourceFiles();
    expect(sources.filter((file) => !modules.includes(file))).toEqual([]);
    expect(modules.length).toBeGreaterThanOrEqual(sources.length);
    expect(sources.length).toBeGreaterThan(150);
    expect(violations).toEqual([]);
  });

  test("an import against the order would be seen: as a rule against one that is there is", async () => {
    const rule = {
      name: "probe",
      severity: "error",
      from: { path: "^compiler/emit/" },
      to: { path: "^compiler/kernels/" },
    } as const;
    const { violations } = await checkLayers([rule]);
    expect(violations.length).toBeGreaterThan(5);
    expect(violations).toContain("probe: compiler/emit/kernel-files.ts -> compiler/kernels/plan.ts");
  });
});

describe("ops", () => {
  const opFiles = filesIn("compiler/ops", /\.ts$/);
  const names = new Set(ops.keys());

  test("every op that a file of ops/ exports is in the list of ops/index.ts", async () => {
    const listed: ReadonlySet<unknown> = new Set(ops.values());
    const exported: string[] = [];
    const unlisted: string[] = [];
    for (const { path } of opFiles) {
      const module: Record<string, unknown> = await import(join("..", path));
      for (const [name, value] of Object.entries(module)) {
        if (typeof value !== "object" || value === null || !("infer" in value) || !("kernels" in value)) continue;
        exported.push(name);
        if (!listed.has(value)) unlisted.push(`${path}: ${name}`);
      }
    }
    expect(unlisted).toEqual([]);
    expect(exported.length).toBe(names.size);
  });

  test("nothing outside ops/ tests an op's name", () => {
    const outside = filesIn("compiler", /\.ts$/).filter(({ path }) => !/^compiler\/(ops|formula)\//.test(path));
    let numComparisons = 0;
    const tests = places(outside, (source) =>
      [...nodesOf(parse(source))].flatMap((node) => {
        if (isComparison(node)) numComparisons++;
        return opNameTests(node, names);
      }),
    );
    expect(tests).toEqual([]);
    expect(numComparisons).toBeGreaterThan(100);
  });
});

const isComparison = (node: ts.Node): node is ts.BinaryExpression =>
  ts.isBinaryExpression(node) &&
  [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken].includes(node.operatorToken.kind);

/** `node.op === "linear"`, `opOf(node).name !== "linear"`, `switch (node.op) { case "linear": … }`. */
function opNameTests(node: ts.Node, names: ReadonlySet<string>): string[] {
  const isName = (side: ts.Node) => ts.isStringLiteral(side) && names.has(side.text);
  const isOp = (side: ts.Node) => ts.isPropertyAccessExpression(side) && /^(op|name)$/.test(side.name.text);
  if (isComparison(node)) {
    const { left, right } = node;
    return (isOp(left) && isName(right)) || (isOp(right) && isName(left)) ? [node.getText()] : [];
  }
  if (!ts.isSwitchStatement(node) || !isOp(node.expression)) return [];
  const cases = node.caseBlock.clauses.filter((clause) => ts.isCaseClause(clause) && isName(clause.expression));
  return cases.map((clause) => `switch on ${clause.getText().split("\n", 1)[0]}`);
}

describe("habits", () => {
  test("no type is given up with any", () => {
    const found = places(files, (source) =>
      [...nodesOf(parse(source))]
        .filter((node) => node.kind === ts.SyntaxKind.AnyKeyword)
        .map((node) => node.parent.getText().slice(0, 80)),
    );
    expect(found).toEqual([]);
  });

  test("only the environment variables of CONTRIBUTING.md are read by what ships", () => {
    const allowed = new Set(["MSPEC_DEBUG", "MSPEC_DEVICE", "MSPEC_CACHE", "VK_DRIVER_FILES", "VK_ICD_FILENAMES"]);
    const uses = shipped.flatMap(({ path, text }) =>
      [...text.matchAll(/process\.env(?:\.(\w+)|\[["'](\w+)["']\])?|\.env\("(\w+)"\)/g)].map(([whole, ...names]) => ({
        path,
        name: names.find((name) => name !== undefined) ?? whole,
      })),
    );
    expect(uses.filter(({ name }) => !allowed.has(name))).toEqual([]);
    expect(uses.length).toBeGreaterThan(1);
  });

  test("the scripts of package.json are those of CONTRIBUTING.md", () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(read("package.json").text);
    expect(Object.keys(scripts)).toEqual(["build", "dev", "demo", "gen", "check", "test", "golden", "bench"]);
  });

  test("run-time packages are pinned, and the lock file names the public registry only", () => {
    const {
      dependencies,
      devDependencies,
    }: Record<string, Record<string, string>> = JSON.parse(read("package.json").text);
    const versions = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    expect(Object.keys(JSON.parse(read("package-lock.json").text).packages).length).toBeGreaterThan(100);
    const hosts = [...read("package-lock.json").text.matchAll(/"resolved": "(https?:\/\/[^/]+)/g)].map(
      ([, host]) => host,
    );
    expect(hosts.filter((host) => host !== "https://registry.npmjs.org")).toEqual([]);
  });
});

describe("documents", () => {
  const documents = ["", "docs", "specs", "templates", "examples", "test"].flatMap((folder) =>
    folder === ""
      ? ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].filter(exists).map(read)
      : filesIn(folder, /\.md$/),
  );

  test("every link of a document leads to a file", () => {
    let numLinks = 0;
    const dead = places(documents, ({ path, text }) =>
      [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].flatMap(([, target]) => {
        if (/^[a-z]+:/.test(target)) return [];
        numLinks++;
        return exists(join(dirname(path), target)) ? [] : [target];
      }),
    );
    expect(dead).toEqual([]);
    expect(numLinks).toBeGreaterThan(5);
  });

  test("every path that a document or a comment names is there", () => {
    const named =
      /(?<![\w./-])((?:bin|bench|compiler|docs|examples|runtime|specs|templates|test)\/[\w./-]*\.(?:ts|mjs|md|hbs|json|yaml))(?![\w/])/g;
    let numPaths = 0;
    const comments = shipped.map((source) => ({
      ...source,
      text: source.text.replace(/^(?!\s*(?:\/\/|\*|\/\*)).*$/gm, ""),
    }));
    const dead = places([...documents, ...comments], ({ text }) =>
      [...text.matchAll(named)].flatMap(([, target]) => {
        numPaths++;
        return exists(target) ? [] : [target];
      }),
    );
    expect(dead).toEqual([]);
    expect(numPaths).toBeGreaterThan(10);
  });
});

test("nothing under version control names a machine", ({ skip }) => {
  const tracked = trackedFiles();
  skip(tracked === undefined, "this is no git checkout");
  const texts = (tracked ?? [])
    .filter((path) => /\.(ts|mjs|cjs|js|json|md|yaml|hbs|wat|txt|py)$|^\.ci\//.test(path))
    .map(read);
  expect(texts.length).toBeGreaterThan(300);
  const machine = /(?<![\w.])\/(?:home|root|Users|work)\/[\w.-]+/;
  expect(places(texts, ({ text }) => machine.exec(text)?.slice(0, 1) ?? [])).toEqual([]);
});
