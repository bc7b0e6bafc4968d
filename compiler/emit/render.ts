// The only user of Handlebars at run time: fixed templates, precompiled in dist/; conditions must be boolean.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type Handlebars from "handlebars";
import { invariant } from "../source/diagnostic.ts";
import { readTemplates, type TemplateTarget, templateOptions } from "./template-files.ts";

type Library = typeof Handlebars;
type Template = Handlebars.TemplateDelegate;

/** What bin/build.mjs writes beside this file. */
const precompiled = fileURLToPath(new URL("./templates.cjs", import.meta.url));
const require = createRequire(import.meta.url);

interface Environment {
  readonly handlebars: Library;
  readonly templates: ReadonlyMap<string, () => Template>;
}

/** From dist/: specifications and the small runtime. From sources: texts and the compiler. */
function openTemplates(target: TemplateTarget): Environment {
  const isBuilt = existsSync(precompiled);
  const handlebars = (require(isBuilt ? "handlebars/runtime" : "handlebars") as Library).create();
  handlebars.registerHelper("when", when);
  if (isBuilt) {
    const { templates, parts } = require(precompiled)[target] as Record<
      "templates" | "parts",
      Record<string, TemplateSpecification>
    >;
    for (const [name, spec] of Object.entries(parts)) handlebars.registerPartial(name, handlebars.template(spec));
    return {
      handlebars,
      templates: new Map(Object.entries(templates).map(([name, spec]) => [name, () => handlebars.template(spec)])),
    };
  }
  const { templates, parts } = readTemplates(target);
  for (const [name, text] of parts) handlebars.registerPartial(name, handlebars.compile(text, templateOptions));
  return {
    handlebars,
    templates: new Map([...templates].map(([name, text]) => [name, () => handlebars.compile(text, templateOptions)])),
  };
}

/** Renders the templates of one target. */
export class Renderer {
  readonly #environment: Environment;
  readonly #ready = new Map<string, Template>();

  constructor(target: TemplateTarget) {
    this.#environment = openTemplates(target);
  }

  /** The text of a kernel: trailing spaces and runs of empty lines removed. */
  render(template: string, view: object): string {
    const known = this.#ready.get(template);
    const ready = known ?? this.#environment.templates.get(template)?.();
    invariant(ready !== undefined, `no template is called ${template}`);
    this.#ready.set(template, ready);
    const text = ready(view, { allowProtoPropertiesByDefault: false });
    // Most texts have none, and the pattern is slow on indentation.
    const hasTrailing = text.includes(" \n") || text.includes("\t\n");
    const tidy = hasTrailing ? text.replace(/[ \t]+$/gm, "") : text;
    return `${tidy.replace(/\n{3,}/g, "\n\n").trimEnd()}\n`;
  }
}

/** `{{#when flag}} … {{else}} … {{/when}}`: throws on anything but a boolean, where #if would guess. */
function when(this: unknown, condition: unknown, block: Handlebars.HelperOptions): string {
  invariant(typeof condition === "boolean", `{{#when}} needs a boolean, got ${typeof condition}`);
  return condition ? block.fn(this) : block.inverse(this);
}
