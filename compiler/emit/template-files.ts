// The templates of a target: their texts, and the options with which every one of them is compiled.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../source/package-root.ts";

/** Strict, and without Handlebars' own helpers: an `if` that guesses, or a missing name, must not print nothing. */
export const templateOptions = {
  noEscape: true,
  strict: true,
  preventIndent: true,
  knownHelpersOnly: true,
  knownHelpers: { when: true, each: true, if: false, unless: false, with: false, lookup: false, log: false },
} as const;

export interface TemplateTexts {
  readonly templates: ReadonlyMap<string, string>;
  readonly parts: ReadonlyMap<string, string>;
}

export const targets = ["wasm", "wgsl"] as const;
export type TemplateTarget = (typeof targets)[number];

export function readTemplates(target: TemplateTarget): TemplateTexts {
  const folder = join(packageRoot(), "templates", target);
  return { templates: textsIn(folder), parts: textsIn(join(folder, "parts")) };
}

/** Texts by name: `matmul.wat.hbs` is `matmul`. */
function textsIn(folder: string): Map<string, string> {
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".hbs"))
    .sort();
  return new Map(files.map((file) => [file.slice(0, file.indexOf(".")), readFileSync(join(folder, file), "utf8")]));
}
