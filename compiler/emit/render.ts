// The only user of Handlebars: fixed templates, strict, without escaping; conditions must be boolean.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import { invariant } from "../source/diagnostic.ts";
import { packageRoot } from "../source/package-root.ts";

const options = {
  noEscape: true,
  strict: true,
  preventIndent: true,
  knownHelpersOnly: true,
  knownHelpers: { when: true, each: true, if: false, unless: false, with: false, lookup: false, log: false },
} as const;

type Template = Handlebars.TemplateDelegate;

/** Renders the templates of one target. */
export class Renderer {
  readonly #handlebars = Handlebars.create();
  readonly #folder: string;
  readonly #extension: string;
  readonly #templates = new Map<string, Template>();

  constructor(target: string, extension: string) {
    this.#folder = join(packageRoot(), "templates", target);
    this.#extension = extension;
    this.#handlebars.registerHelper("when", when);
    const parts = join(this.#folder, "parts");
    for (const file of readdirSync(parts)) {
      if (!file.endsWith(".hbs")) continue;
      const text = readFileSync(join(parts, file), "utf8");
      this.#handlebars.registerPartial(file.slice(0, -4), this.#handlebars.compile(text, options));
    }
  }

  /** The text of a kernel: trailing spaces and runs of empty lines removed. */
  render(template: string, view: object): string {
    let compiled = this.#templates.get(template);
    if (compiled === undefined) {
      const text = readFileSync(join(this.#folder, `${template}.${this.#extension}.hbs`), "utf8");
      compiled = this.#handlebars.compile(text, options);
      this.#templates.set(template, compiled);
    }
    const text = compiled(view, { allowProtoPropertiesByDefault: false });
    return `${text
      .replace(/[ \t]+$/gm, "")
      .replace(/\n{3,}/g, "\n\n")
      .trimEnd()}\n`;
  }
}

/** `{{#when flag}} … {{else}} … {{/when}}`: throws on anything but a boolean, where #if would guess. */
function when(this: unknown, condition: unknown, block: Handlebars.HelperOptions): string {
  invariant(typeof condition === "boolean", `{{#when}} needs a boolean, got ${typeof condition}`);
  return condition ? block.fn(this) : block.inverse(this);
}
