// Templates as JavaScript, made once when dist/ is built: compiling them is half of the time that the texts take.

import { createRequire } from "node:module";
import { readTemplates, targets, templateOptions } from "./template-files.ts";

/** A CommonJS module: `{ <target>: { templates: { … }, parts: { … } } }` of Handlebars' template specifications. */
export function precompileTemplates(): string {
  const handlebars = createRequire(import.meta.url)("handlebars") as typeof import("handlebars");
  const object = (texts: ReadonlyMap<string, string>): string => {
    const entries = [...texts].map(
      ([name, text]) => `${JSON.stringify(name)}: ${handlebars.precompile(text, templateOptions)}`,
    );
    return `{\n${entries.join(",\n")}\n}`;
  };
  const entries = targets.map((target) => {
    const { templates, parts } = readTemplates(target);
    return `${JSON.stringify(target)}: { "templates": ${object(templates)}, "parts": ${object(parts)} }`;
  });
  return `module.exports = {\n${entries.join(",\n")}\n};\n`;
}
