// The names that templates use and the fields that their views have are the same, both
// ways: a field that no template names is dead, and a name that no view has is caught here before a rare branch prints it.

import Handlebars from "handlebars";
import { describe, expect, test } from "vitest";
import { buildPrograms, compileFor, targets } from "../../compiler/compile.ts";
import { readTemplates } from "../../compiler/emit/template-files.ts";
import { viewOf as wasmView } from "../../compiler/emit/wasm/views.ts";
import { viewOf as wgslView } from "../../compiler/emit/wgsl/views.ts";
import type { Target } from "../../compiler/kernels/target.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";
import type { Spec } from "../../compiler/spec/spec.ts";
import { attentionKinds, withAttention } from "../train/attention-kinds.ts";

type Parsed = ReadonlyMap<string, hbs.AST.Program>;

/** The constants of a kernel are declared once, with their values; functions that read them name them only. */
const unnamed = new Set(["/attendConstants/value", "/finishConstants/value", "/scores/constants/value"]);

/** One level of a template's views: the view itself, or the items of one of its lists. */
interface Level {
  readonly fields: Set<string>;
  readonly named: Set<string>;
  /** Named where no view of this template comes by. */
  readonly elsewhere: Set<string>;
}

type View = Readonly<Record<string, unknown>>;

class TemplateWalk {
  readonly levels = new Map<string, Level>();
  readonly #parsed: Parsed;
  /** Whether what is being looked at is shared with other templates. */
  #isInPart = false;
  #isElsewhere = false;

  constructor(parsed: Parsed) {
    this.#parsed = parsed;
  }

  visit(name: string, level: string, views: readonly unknown[]): void {
    const program = this.#parsed.get(name);
    if (program === undefined) throw new Error(`no template is called ${name}`);
    this.#program(program, level, views);
  }

  #program(program: hbs.AST.Program, path: string, views: readonly unknown[]): void {
    const level = this.levels.get(path) ?? { fields: new Set(), named: new Set(), elsewhere: new Set() };
    this.levels.set(path, level);
    for (const view of views) if (isView(view)) for (const field of Object.keys(view)) level.fields.add(field);
    for (const statement of program.body) this.#statement(statement, path, level, views);
  }

  #statement(statement: hbs.AST.Statement, path: string, level: Level, views: readonly unknown[]): void {
    if (isMustache(statement)) this.#name(statement.path, level);
    else if (isPartial(statement)) this.#part(nameOf(statement.name), path, views);
    else if (isBlock(statement)) this.#block(statement, path, level, views);
  }

  #part(name: string, path: string, views: readonly unknown[]): void {
    const isInPart = this.#isInPart;
    this.#isInPart = true;
    this.visit(name, path, views);
    this.#isInPart = isInPart;
  }

  #block(block: hbs.AST.BlockStatement, path: string, level: Level, views: readonly unknown[]): void {
    const [field] = block.params.map(nameOf);
    this.#name(block.params[0], level);
    if (nameOf(block.path) === "each") {
      const items = views.flatMap((view) => (isView(view) && Array.isArray(view[field]) ? view[field] : []));
      this.#branch(block.program, `${path}/${field}`, items);
      return;
    }
    const [taken, left] = [true, false].map((value) => views.filter((view) => isView(view) && view[field] === value));
    this.#branch(block.program, path, taken);
    if (block.inverse !== undefined) this.#branch(block.inverse, path, left);
  }

  /** What a part is to some templates and never to this one need not have what it names. */
  #branch(program: hbs.AST.Program, path: string, views: readonly unknown[]): void {
    const isElsewhere = this.#isElsewhere;
    this.#isElsewhere ||= views.length === 0 && this.#isInPart;
    this.#program(program, path, views);
    this.#isElsewhere = isElsewhere;
  }

  #name(expression: hbs.AST.Expression, level: Level): void {
    const name = nameOf(expression);
    if (name !== "this") (this.#isElsewhere ? level.elsewhere : level.named).add(name);
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

/** Every view that the kernels of the goldens and of attention's kinds give the templates of some targets. */
function goldenViews(compiledFor: readonly Target[]): Map<string, object[]> {
  const views = new Map<string, object[]>();
  const add = (spec: Spec): void => {
    const programs = buildPrograms(spec);
    for (const target of compiledFor) {
      for (const { kernel } of compileFor(target, spec, programs).kernels) {
        const put = ({ template, view }: { readonly template: string; readonly view: object }) =>
          views.set(template, [...(views.get(template) ?? []), view]);
        if (!("target" in kernel)) put(wasmView(kernel));
        else
          for (const usesSubgroups of kernel.addsOverThreads || kernel.addsOverLanes ? [false, true] : [false])
            put(wgslView(kernel, usesSubgroups));
      }
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

describe.each([
  ["wasm", [targets.wasm]],
  ["wgsl", [targets.wgsl, targets["wgsl-soft"]]],
] as const)("%s", (name, compiledFor) => {
  const { templates, parts } = readTemplates(name);
  const parsed = new Map([...templates, ...parts].map(([own, text]) => [own, Handlebars.parse(text)]));
  const views = goldenViews(compiledFor);

  test("the goldens render every template", () => {
    expect([...views.keys()].sort()).toEqual([...templates.keys()].sort());
  });

  test("every part is used by a template", () => {
    const text = [...templates.values(), ...parts.values()].join("\n");
    expect([...parts.keys()].filter((own) => !text.includes(`{{> ${own}}}`))).toEqual([]);
  });

  const walks = new Map(
    [...templates.keys()].map((template) => {
      const walk = new TemplateWalk(parsed);
      walk.visit(template, "", views.get(template) ?? []);
      return [template, walk.levels] as const;
    }),
  );
  const namedAnywhere = new Set(
    [...walks.values()].flatMap((levels) => [...levels].flatMap(([path, { named }]) => pathsOf(path, named))),
  );
  // Kernels of one family of wgsl are given the same numbers: what no template of all names is dead there.
  const isNamed = (path: string, named: ReadonlySet<string>, field: string): boolean =>
    named.has(field) || unnamed.has(`${path}/${field}`) || (name === "wgsl" && namedAnywhere.has(`${path}/${field}`));

  test.each([...walks])("%s names what its views have, and nothing else", (_, levels) => {
    const wrong = [...levels].flatMap(([path, { fields, named, elsewhere }]) => [
      ...[...named].filter((field) => !fields.has(field)).map((field) => `no view has ${path}/${field}`),
      ...[...fields]
        .filter((field) => !elsewhere.has(field) && !isNamed(path, named, field))
        .map((field) => `the template does not name ${path}/${field}`),
    ]);
    expect(wrong).toEqual([]);
  });
});

const pathsOf = (path: string, names: ReadonlySet<string>): string[] => [...names].map((name) => `${path}/${name}`);
