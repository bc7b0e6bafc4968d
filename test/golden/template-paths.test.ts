// The names that the wasm templates use and the fields that their views have are the same, both
// ways: a field that no template names is dead, and a name that no view has is caught here before a rare branch prints it.

import Handlebars from "handlebars";
import { expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { readTemplates } from "../../compiler/emit/template-files.ts";
import { viewOf } from "../../compiler/emit/wasm/views.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";
import type { Spec } from "../../compiler/spec/spec.ts";
import { attentionKinds, withAttention } from "../train/attention-kinds.ts";

const { templates, parts } = readTemplates("wasm");
const parsed = new Map([...templates, ...parts].map(([name, text]) => [name, Handlebars.parse(text)]));

/** The constants of a kernel are declared once, with their values; functions that read them name them only. */
const unnamed = new Set(["/attendConstants/value", "/finishConstants/value", "/scores/constants/value"]);

/** One level of a template's views: the view itself, or the items of one of its lists. */
interface Level {
  readonly fields: Set<string>;
  readonly named: Set<string>;
}

type View = Readonly<Record<string, unknown>>;

class TemplateWalk {
  readonly levels = new Map<string, Level>();

  visit(name: string, level: string, views: readonly unknown[]): void {
    const program = parsed.get(name);
    if (program === undefined) throw new Error(`no template is called ${name}`);
    this.#program(program, level, views);
  }

  #program(program: hbs.AST.Program, path: string, views: readonly unknown[]): void {
    const level = this.levels.get(path) ?? { fields: new Set(), named: new Set() };
    this.levels.set(path, level);
    for (const view of views) if (isView(view)) for (const field of Object.keys(view)) level.fields.add(field);
    for (const statement of program.body) this.#statement(statement, path, level, views);
  }

  #statement(statement: hbs.AST.Statement, path: string, level: Level, views: readonly unknown[]): void {
    if (isMustache(statement)) this.#name(statement.path, level);
    else if (isPartial(statement)) this.visit(nameOf(statement.name), path, views);
    else if (isBlock(statement)) this.#block(statement, path, level, views);
  }

  #block(block: hbs.AST.BlockStatement, path: string, level: Level, views: readonly unknown[]): void {
    const [field] = block.params.map(nameOf);
    this.#name(block.params[0], level);
    if (nameOf(block.path) === "each") {
      const items = views.flatMap((view) => (isView(view) && Array.isArray(view[field]) ? view[field] : []));
      this.#program(block.program, `${path}/${field}`, items);
      return;
    }
    for (const branch of [block.program, block.inverse]) if (branch !== undefined) this.#program(branch, path, views);
  }

  #name(expression: hbs.AST.Expression, level: Level): void {
    const name = nameOf(expression);
    if (name !== "this") level.named.add(name);
  }
}

const isView = (view: unknown): view is View => typeof view === "object" && view !== null;
const isMustache = (node: hbs.AST.Node): node is hbs.AST.MustacheStatement => node.type === "MustacheStatement";
const isPartial = (node: hbs.AST.Node): node is hbs.AST.PartialStatement => node.type === "PartialStatement";
const isBlock = (node: hbs.AST.Node): node is hbs.AST.BlockStatement => node.type === "BlockStatement";

function nameOf(expression: hbs.AST.Node): string {
  if (expression.type !== "PathExpression") throw new Error(`templates name fields only, not a ${expression.type}`);
  return (expression as hbs.AST.PathExpression).original;
}

/** Every view that the kernels of the goldens and of attention's kinds give their templates. */
function goldenViews(): Map<string, object[]> {
  const views = new Map<string, object[]>();
  const add = (spec: Spec): void => {
    for (const { kernel } of compile(spec).kernels) {
      if ("target" in kernel) continue;
      const { template, view } = viewOf(kernel);
      views.set(template, [...(views.get(template) ?? []), view]);
    }
  };
  for (const [, change] of attentionKinds) add(withAttention(change));
  const specs = ["tiny", "tiny-formulas", "tiny-experts"].map((name) => `specs/${name}.mspec.yaml`);
  // A cache of f32 behind values of bf16 takes a copy that changes their format.
  const formats = ["[f32]", "[bf16]", "[bf16, attention.core: bf16 * f32 -> f32 -> bf16]"];
  for (const path of [...specs, "examples/sotu/model.yaml"]) {
    for (const precision of formats) {
      const { spec } = readSpecFile(path, [`precision=${precision}`]);
      if (spec === undefined) throw new Error(`${path} has errors`);
      add(spec);
    }
  }
  return views;
}

const views = goldenViews();

test("the goldens render every template", () => {
  expect([...views.keys()].sort()).toEqual([...templates.keys()].sort());
});

test("every part is used by a template", () => {
  const text = [...templates.values(), ...parts.values()].join("\n");
  expect([...parts.keys()].filter((name) => !text.includes(`{{> ${name}}}`))).toEqual([]);
});

test.each([...templates.keys()])("%s names what its views have, and nothing else", (name) => {
  const walk = new TemplateWalk();
  walk.visit(name, "", views.get(name) ?? []);
  const wrong = [...walk.levels].flatMap(([path, { fields, named }]) => [
    ...[...named].filter((field) => !fields.has(field)).map((field) => `no view has ${path}/${field}`),
    ...[...fields]
      .filter((field) => !named.has(field) && !unnamed.has(`${path}/${field}`))
      .map((field) => `the template does not name ${path}/${field}`),
  ]);
  expect(wrong).toEqual([]);
});
