// Bindings: what a program that uses a compiled model may write, what tsc refuses, and that it runs.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderBindings } from "../../compiler/emit/bindings.ts";
import { literal } from "../../compiler/emit/comment.ts";
import { dim } from "../../compiler/graph/types.ts";
import type { Parameter } from "../../compiler/model/parameters.ts";
import { mspec, mspecProcess, nodeProcess, repository } from "../cli/run-mspec.ts";
import { specOf } from "../language/spec-text.ts";

/** Below the repository, so that `mspec/runtime` is what it is for a program that has mspec among its packages. */
mkdirSync(join(repository, "runs"), { recursive: true });
const folder = mkdtempSync(join(repository, "runs/test-bindings-"));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  const tiny = "specs/tiny.mspec.yaml";
  expect((await mspec(["compile", tiny, "-o", join(folder, "tiny")])).status).toBe(0);
  const served = readFileSync(tiny, "utf8").replace(/^data:[\s\S]*?^serve:/m, "serve:");
  writeFileSync(join(folder, "served.yaml"), served);
  expect((await mspec(["compile", join(folder, "served.yaml"), "-o", join(folder, "served")])).status).toBe(0);
});

const right = `
import { facts, open, type ParameterName, type Parameters } from "./MODEL";
const model = await open();
await model.initialize();
const weight: Float32Array = await model.parameter("layers.1.ffn.up.weight");
await model.setParameters([["embedding.weight", weight]]);
const shape: Parameters["layers.1.ffn.up.weight"]["dims"] = [64, 32];
const dtype: Parameters["final_norm.weight"]["dtype"] = "f32";
const name: ParameterName = "final_norm.weight";
const vocab: 256 = facts.vocab;
const logits: Float32Array = await model.logits([1, 2, 3]);
const { text } = await model.generate({ prompt: "a", maxTokens: 3 });
const { steps } = await model.train({ folder: "runs/a" });
await model.close();
export const used = [shape, dtype, name, vocab, logits, text, steps];
`;

/** Each line is an error of its own. */
const wrong = [
  'await model.parameter("layers.2.ffn.up.weight");',
  'await model.parameter("layers.1.ffn.up.wieght");',
  'await model.setParameters([["embeding.weight", new Float32Array(1)]]);',
  'export const shape: Parameters["layers.1.ffn.up.weight"]["dims"] = [32, 64];',
  'export const dtype: Parameters["final_norm.weight"]["dtype"] = "bf16";',
  "export const vocab: 257 = facts.vocab;",
  "await model.generate({ promt: 'a' });",
];

describe("types", () => {
  /** Lines of the files' errors, by file name. */
  function errorLines(files: Readonly<Record<string, string>>): Map<string, number[]> {
    const paths = Object.entries(files).map(([name, text]) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    });
    const config = ts.getParsedCommandLineOfConfigFile(
      join(repository, "tsconfig.json"),
      { noEmit: true },
      { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} },
    );
    const program = ts.createProgram(paths, config?.options ?? {});
    return new Map(
      paths.map((path) => {
        const source = program.getSourceFile(path);
        const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
        const lines = found.map(({ start }) => (source?.getLineAndCharacterOfPosition(start ?? 0).line ?? -1) + 1);
        return [path.slice(folder.length + 1), [...new Set(lines)]];
      }),
    );
  }

  test("a right program has no errors, and every misnamed weight, shape, dtype and option is one: in model.ts and model.d.ts", () => {
    const head = 'import { facts, open, type Parameters } from "./MODEL";\nconst model = await open();\n';
    const wrongText = `${head}${wrong.join("\n")}\nexport { facts };\nexport type { Parameters };\n`;
    const train = 'import { open } from "./served/model.ts";\nconst model = await open();\nawait model.train();\n';
    const uses = (module: string) => (text: string) => text.replace("./MODEL", module);
    const [source, declared] = ["./tiny/model.ts", "./tiny/model.js"].map(uses);
    mkdirSync(join(folder, "declared"));
    const lines = errorLines({
      "right.ts": source(right),
      "wrong.ts": source(wrongText),
      "declared/right.ts": declared(right).replace("./tiny", "./"),
      "declared/wrong.ts": declared(wrongText).replace("./tiny", "./"),
      "declared/model.d.ts": readFileSync(join(folder, "tiny/model.d.ts"), "utf8"),
      "train.ts": train,
    });
    const everyWrongLine = wrong.map((_, i) => i + 3);
    expect(Object.fromEntries(lines)).toEqual({
      "right.ts": [],
      "wrong.ts": everyWrongLine,
      "declared/right.ts": [],
      "declared/wrong.ts": everyWrongLine,
      "declared/model.d.ts": [],
      "train.ts": [3],
    });
  });
});

test("model.js opens the compiled model beside it, which computes", () => {
  const program = `
    import * as bindings from "./tiny/model.js";
    const model = await bindings.open();
    await model.initialize();
    const logits = await model.logits([1, 2, 3]);
    const { length } = await model.parameter("layers.1.ffn.up.weight");
    await model.close();
    console.log(JSON.stringify([Object.keys(bindings), bindings.facts, logits.length, logits.every(Number.isFinite), length]));`;
  writeFileSync(join(folder, "program.mjs"), program);
  // Not mspec's own command, but its launcher makes sure that dist/ is there.
  expect(mspecProcess(["--version"]).status).toBe(0);
  const { stdout, stderr } = nodeProcess([join(folder, "program.mjs")]);
  expect(stderr).toBe("");
  const facts = { name: "tiny", vocab: 256, context: 64, width: 32, layers: 2 };
  expect(JSON.parse(stdout)).toEqual([["facts", "open"], facts, 3 * 256, true, 64 * 32]);
});

describe("what a spec controls cannot leave its place", () => {
  const names = ["constructor", "default", "then", "await", "class", "model", "promise", "string", "proto"];

  test.each(names)("a model may be called %s", (name) => {
    const spec = specOf(readFileSync("specs/tiny.mspec.yaml", "utf8").replace("name: tiny", `name: ${name}`));
    const { typescript, javascript } = renderBindings(spec, []);
    expect(ts.transpileModule(typescript, { reportDiagnostics: true }).diagnostics).toEqual([]);
    const exported = [...javascript.matchAll(/^export (?:async )?(?:const|function|class) (\w+)/gm)].map(
      ([, word]) => word,
    );
    expect(exported).toEqual(["facts", "open"]);
    expect(javascript).toContain(`name: ${JSON.stringify(name)}`);
  });

  const hostile = [
    "__proto__",
    "constructor",
    '"; process.exit(); "',
    "*/ process.exit() /*",
    `\`$${"{process.exit()}"}\``,
    "\n\u2028\\",
  ];

  test("a parameter's name is a literal, whatever stands in it", () => {
    const spec = specOf(readFileSync("specs/tiny.mspec.yaml", "utf8"));
    const place = { path: "head", direction: "fprop", classes: [], key: "model" } as const;
    const parameters = hostile.map(
      (name): Parameter => ({ name, kind: "weight", place, dims: [dim("heads*head_dim", 2)] }),
    );
    const { typescript } = renderBindings(spec, parameters);
    const source = ts.createSourceFile("model.ts", typescript, ts.ScriptTarget.ES2023, true);
    const declared = source.statements.find((s) => ts.isInterfaceDeclaration(s) && s.name.text === "OutsideLayers");
    const members = declared !== undefined && ts.isInterfaceDeclaration(declared) ? declared.members : [];
    expect(members.map(({ name }) => (name !== undefined && ts.isStringLiteral(name) ? name.text : ""))).toEqual(
      hostile,
    );
    expect(ts.transpileModule(typescript, { reportDiagnostics: true }).diagnostics).toEqual([]);
  });

  test("a number that is none is refused", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) expect(() => literal(value)).toThrow(RangeError);
  });
});
