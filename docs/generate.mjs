// `npm run gen`: the reference of the language from the schema and the function tables, and the JSON Schema of specs.
// A test holds the committed files to what this makes from the sources; the script makes it from dist/.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * The parts of the compiler that documents are made from.
 *
 * @typedef {object} Parts
 * @property {typeof import("../compiler/spec/schema.ts")} schema
 * @property {typeof import("../compiler/spec/shape.ts")} shape
 * @property {typeof import("../compiler/spec/words.ts")} words
 * @property {typeof import("../compiler/formula/functions.ts")} functions
 * @property {typeof import("../compiler/spec/json-schema.ts")} jsonSchema
 * @property {typeof import("../compiler/spec/read.ts")} read
 * @property {typeof import("../compiler/compile.ts")} compile
 */

/** Paths of the modules in compiler/, by the names that the documents use. */
export const modules = {
  schema: "spec/schema",
  shape: "spec/shape",
  words: "spec/words",
  functions: "formula/functions",
  jsonSchema: "spec/json-schema",
  read: "spec/read",
  compile: "compile",
};

/**
 * Every generated document by its path.
 *
 * @param {Parts} parts
 * @returns {Map<string, string>}
 */
export function documents(parts) {
  const template = readFileSync(join(root, "docs/language.template.md"), "utf8");
  const language = template
    .replace("<!-- keys -->", keyTables(parts))
    .replace("<!-- functions -->", functionTable(parts))
    .replace("<!-- paths -->", pathList(parts));
  return new Map([
    ["docs/language.md", language],
    ["specs/mspec.schema.json", parts.jsonSchema.emitJsonSchema()],
  ]);
}

/**
 * A table for each section, in the order of the schema.
 *
 * @param {Parts} parts
 */
function keyTables({ schema, shape, words }) {
  /** @type {string[]} */
  const tables = [];
  /** @type {(section: import("../compiler/spec/shape.ts").SectionShape, path: string) => void} */
  const add = (section, path) => {
    /** @type {[import("../compiler/spec/shape.ts").SectionShape, string][]} */
    const below = [];
    const rows = [...section.keys].map(([name, key]) => {
      const own = path === "" ? name : `${path}.${name}`;
      for (const branch of shape.branches(key.shape)) if (branch.kind === "section") below.push([branch, own]);
      const text = shape.fallbackText(key);
      const fallback = shape.isRequired(key) ? "needed" : text === undefined ? "" : `\`${text}\``;
      const of = key.kinds === undefined ? "" : ` (${key.kinds.join(", ")})`;
      const cells = [
        `\`${name}\`${of}`,
        words.shapeWords(key.shape),
        fallback,
        key.description,
        key.aliases.join(", "),
      ];
      return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
    });
    const title = path === "" ? "### The document" : `### ${path}`;
    const head = ["| key | value | default | meaning | elsewhere |", "|---|---|---|---|---|"];
    tables.push([title, "", ...head, ...rows].join("\n"));
    for (const [shapeBelow, own] of below) add(shapeBelow, own);
  };
  add(schema.specSchema, "");
  return tables.join("\n\n");
}

/** @param {Parts} parts */
function functionTable({ functions }) {
  const own = [...functions.formulaFunctions].filter(([, { kind }]) => kind === "elementwise");
  const rows = own.map(([name, { arity, meaning }]) => {
    // Of max only the form of two arguments works element by element.
    return `| \`${name}(${["x", "y", "z"].slice(0, arity[1]).join(", ")})\` | ${meaning} |`;
  });
  const sizes = [...functions.sizeFunctions.keys()].map((name) => `\`${name}\``).join(", ");
  const constants = [...functions.formulaConstants.keys()].map((name) => `\`${name}\``).join(", ");
  return ["| function | meaning |", "|---|---|", ...rows, "", `Constants: ${constants}. Sizes may call ${sizes}.`].join(
    "\n",
  );
}

/**
 * The paths of a model's operations, as the compiler gives them.
 *
 * @param {Parts} parts
 */
function pathList({ read, compile }) {
  const { spec } = read.readSpecFile(join(root, "specs/tiny.mspec.yaml"));
  if (spec === undefined) throw new Error("specs/tiny.mspec.yaml has errors");
  const nodes = compile.buildPrograms(spec).stages[0].graphs.flatMap((graph) => graph.nodes);
  const paths = new Set(nodes.map(({ path }) => path.replace(/\[\d+\]/, "[i]")));
  return [...paths].map((path) => `    ${path}`).join("\n");
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { build } = await import("../bin/build.mjs");
  process.stderr.write(await build("to run"));
  const entries = Object.entries(modules).map(async ([name, path]) => [
    name,
    await import(`../dist/compiler/${path}.js`),
  ]);
  for (const [path, text] of documents(Object.fromEntries(await Promise.all(entries)))) {
    writeFileSync(join(root, path), text);
    process.stdout.write(`${path}\n`);
  }
}
