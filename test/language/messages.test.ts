// What a person sees: frames with right columns, order, repetition and the cap.

import { expect, test } from "vitest";
import type { Diagnostic } from "../../compiler/source/diagnostic.ts";
import { formatDiagnostics } from "../../compiler/source/format-diagnostics.ts";
import { SourceText } from "../../compiler/source/text.ts";

const shown = (...diagnostics: Diagnostic[]) => formatDiagnostics(diagnostics, { color: false });

function at(text: string, found: string, more: Partial<Diagnostic> = {}): Diagnostic {
  const start = text.indexOf(found);
  const place = { source: new SourceText("a.yaml", text), span: { start, end: start + found.length } };
  return { code: "area/wrong", severity: "error", claim: "it is wrong", place, ...more };
}

test("claim, frame, arithmetic and way out stand in this order", () => {
  const text = "model:\n  heads: 4\n  kv_heads: 3\n";
  const diagnostic = at(text, "3", {
    label: "does not divide 4",
    related: [{ place: at(text, "4").place ?? expect.fail(), label: "heads" }],
    details: ["4 / 3 = 1.33"],
    help: "write 2",
  });
  expect(shown(diagnostic)).toBe(
    [
      "area/wrong: it is wrong",
      "  a.yaml:3:13",
      "   2 |   heads: 4",
      "   3 |   kv_heads: 3",
      "     |             ^ does not divide 4",
      "  a.yaml:2:10",
      "   1 | model:",
      "   2 |   heads: 4",
      "     |          ^ heads",
      "  4 / 3 = 1.33",
      "  write 2",
    ].join("\n"),
  );
});

test("the caret stands under its word behind tabs, wide characters and marks that take no column", () => {
  const lines = shown(at("\t漢字e\u0301: here", "here")).split("\n");
  expect(lines[1]).toBe("  a.yaml:1:8");
  expect(lines[3]).toBe("     | \t       ^^^^");
});

test("a wide word gets a caret for each of its columns", () => {
  expect(shown(at("a: 漢字", "漢字")).split("\n")[3]).toBe("     |    ^^^^");
});

test("a span of several lines is marked to the end of its first", () => {
  const lines = shown(at("a: |\n  xyz\n  uvw\n", "xyz\n  uvw")).split("\n");
  expect(lines.slice(2)).toEqual(["   1 | a: |", "   2 |   xyz", "     |   ^^^"]);
});

test("of an endless line a window is shown, and the caret stands in it", () => {
  const lines = shown(at(`${"x".repeat(5000)}HERE${"y".repeat(5000)}`, "HERE")).split("\n");
  expect(lines[2].length).toBeLessThan(180);
  expect(lines[2].slice(lines[3].indexOf("^"), lines[3].indexOf("^") + 4)).toBe("HERE");
});

test("control characters of the file do not reach the terminal", () => {
  const printed = shown(at("a: \u001b[31m\u202e", "a"));
  expect(printed).not.toContain("\u001b");
  expect(printed).not.toContain("\u202e");
});

test("diagnostics are sorted by place, with one for each span", () => {
  const text = "a: 1\nb: 2\n";
  const printed = shown(
    at(text, "2", { code: "area/second" }),
    at(text, "1", { code: "area/first" }),
    at(text, "1", { code: "area/again" }),
    { code: "area/nowhere", severity: "error", claim: "no place" },
  );
  expect(printed.match(/area\/\w+/g)).toEqual(["area/nowhere", "area/first", "area/second"]);
});

test("a warning says that it is one, and an error at the same place goes before it", () => {
  const text = "a: 1";
  expect(shown(at(text, "1", { severity: "warning" }))).toMatch(/^warning area\/wrong: it is wrong/);
  expect(shown(at(text, "1", { severity: "warning", code: "area/w" }), at(text, "1"))).toMatch(/^area\/wrong/);
});

test("after 20 the rest is counted", () => {
  const text = Array.from({ length: 25 }, (_, i) => `k${i}`).join("\n");
  const many = Array.from({ length: 23 }, (_, i) => at(text, `k${i + 1}`, i < 21 ? {} : { severity: "warning" }));
  const printed = shown(...many);
  expect(printed.match(/area\/wrong/g)).toHaveLength(20);
  expect(printed.endsWith("\n\nand 1 error and 2 warnings more")).toBe(true);
});

test("colour is added only when it is asked for", () => {
  expect(formatDiagnostics([at("a", "a")], { color: true })).toContain("\u001b[");
  expect(shown(at("a", "a"))).not.toContain("\u001b[");
});
