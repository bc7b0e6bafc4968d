// Every character of a scalar keeps its place in the file, through all five styles.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseFormula } from "../../compiler/formula/parse.ts";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import type { YamlScalar } from "../../compiler/source/yaml-node.ts";
import { position, readText } from "./read-text.ts";

function scalarOf(text: string): YamlScalar {
  const { node, diagnostics } = readText(text);
  expect(diagnostics).toEqual([]);
  const value = node?.kind === "map" ? node.entries.get("a")?.value : undefined;
  if (value?.kind !== "scalar") throw new Error(`no scalar in ${text}`);
  return value;
}

/** Where the caret of a fault in the formula under `a` stands. */
function faultPosition(text: string): string {
  const diagnostics = new Diagnostics();
  parseFormula(scalarOf(text).text, diagnostics);
  return diagnostics.all.map(({ place, code }) => `${position(place)} ${code}`).join();
}

describe("a fault in an expression is shown in the file", () => {
  test.each([
    ["plain", "a: x + ?y", "1:8"],
    ["plain on several lines", "a: x +\n    y\n    + ?z", "3:7"],
    ["single quotes", "a: 'x + ?y'", "1:9"],
    ["single quotes on several lines", "a: 'x +\n\n   ?y'", "3:4"],
    ["double quotes", 'a: "x + ?y"', "1:9"],
    ["double quotes behind escapes", 'a: "x\\t+\\x20\\u0020?y"', "1:19"],
    ["an escaped character", 'a: "x + \\x3fy"', "1:9"],
    ["double quotes behind an escaped line break", 'a: "x + \\\n   ?y"', "2:4"],
    ["a literal block", "a: |\n  x +\n  ?y\n", "3:3"],
    ["a literal block with an indentation", "a: |2-  # note\n    x +\n   ?y\n\n", "3:4"],
    ["a folded block", "a: >-\n  x +\n\n  ?y\n", "4:3"],
    ["a folded block with a deeper line", "a: >+\n  x\n\n    + ?y\n  z\n", "4:7"],
    ["CRLF", "a: |\r\n  x +\r\n  ?y\r\n", "3:3"],
    ["behind wide characters and a tab", "a:\t'x + ?y' # 漢", "1:9"],
  ])("%s", (_, text, place) => {
    expect(faultPosition(text)).toBe(`${place} expression/foreign-sign`);
  });

  test("too deep is told at its line inside blocks and behind escapes", () => {
    expect(faultPosition(`a: |\n  x +\n  ${"(".repeat(3000)}`)).toBe("3:259 expression/too-deep");
    expect(faultPosition(`a: >\n  x +\n  ${"(".repeat(3000)}`)).toBe("3:259 expression/too-deep");
    expect(faultPosition(`a: "\\x28\\x28${"(".repeat(3000)}"`)).toBe("1:267 expression/too-deep");
  });

  test("the end of a text is behind its last character", () => {
    expect(faultPosition("a: x +")).toBe("1:7 expression/unexpected");
    expect(faultPosition("a: 'x +'")).toBe("1:8 expression/unexpected");
    expect(faultPosition("a: ''")).toBe("1:5 expression/empty");
  });
});

const word = fc.string({ unit: fc.constantFrom(..."abz019()+*'\"\\,é漢😀"), minLength: 1, maxLength: 6 });
const line = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join(" "));
const lines = fc.array(line, { minLength: 1, maxLength: 4 });

const styles: readonly [string, (lines: string[]) => string][] = [
  ["literal", (lines) => `a: |\n${lines.map((text) => `   ${text}\n`).join("")}`],
  ["folded", (lines) => `a: >-\n${lines.map((text) => `  ${text}\n\n`).join("")}`],
  ["single", (lines) => `a: '${lines.map((text) => text.replaceAll("'", "''")).join("\n\n   ")}'`],
  ["double", (lines) => `a: "${lines.map((text) => text.replace(/["\\é]/g, escaped)).join("\\\n   ")}"`],
];

function escaped(character: string): string {
  return character === "é" ? "\\u00e9" : `\\${character}`;
}

test.each(styles)("each visible character of a %s scalar maps to itself", (_, write) => {
  fc.assert(
    fc.property(lines, (content) => {
      const file = write(content);
      const { text } = scalarOf(file);
      for (let i = 0; i < text.text.length; i++) {
        if (/\s/.test(text.text[i])) continue;
        const { span } = text.place({ start: i, end: i + 1 });
        const shown = file.slice(span.start, span.end);
        const meant =
          shown.length > 1 && /^\\|^''/.test(shown) ? JSON.parse(`"${shown === "''" ? "'" : shown}"`) : shown;
        expect(meant).toBe(text.text[i]);
      }
    }),
  );
});
