// Faults A that the YAML reader answers: code, place and severity of each, and that the process lives on.

import { describe, expect, test } from "vitest";
import { faultLine, readText } from "./read-text.ts";

const faults = (text: string | Uint8Array) => readText(text).diagnostics.map(faultLine);
const help = (text: string) => readText(text).diagnostics[0].help;
const claim = (text: string) => readText(text).diagnostics[0].claim;

describe("A1: a file without a document", () => {
  test.each(["", "\n\n", "# only a comment\n", "---\n", "--- # and a comment\n"])("%j", (text) => {
    expect(faults(text)).toEqual(["error 1:1 yaml/no-document"]);
    expect(help(text)).toBe("begin with `mspec: 1`");
  });
});

describe("A2, A3, A9: anchors, aliases and merge keys are refused where they stand", () => {
  test("an alias bomb is refused at its first anchor, fast and without memory", () => {
    const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(", ")}]`);
    const bomb = ["l0: &l0 lol", ...levels].join("\n");
    const before = process.memoryUsage().rss;
    const began = performance.now();
    expect(faults(bomb)[0]).toBe("error 1:5 yaml/anchor");
    expect(performance.now() - began).toBeLessThan(50);
    expect(process.memoryUsage().rss - before).toBeLessThan(20e6);
  });

  test.each([
    ["a: &a [*a]", ["error 1:4 yaml/anchor", "error 1:8 yaml/alias"]],
    ["a: *nothing", ["error 1:4 yaml/alias"]],
    ["<<: { width: 1 }", ["error 1:1 yaml/merge-key"]],
    ["model:\n  <<: { __proto__: { polluted: 1 } }", ["error 2:3 yaml/merge-key"]],
  ])("%j", (text, expected) => {
    expect(faults(text)).toEqual(expected);
  });
});

describe("A4, A5: depth is bounded before the library composes anything", () => {
  const nestedMaps = Array.from({ length: 1400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n");
  test.each([
    ["1,500 brackets", "[".repeat(1500), "1:65"],
    ["5,000 brackets", "[".repeat(5000), "1:65"],
    ["100,000 brackets", "[".repeat(100_000), "1:65"],
    ["100,000 braces", "{ a: ".repeat(100_000), "1:321"],
    ["1,400 block maps", nestedMaps, "65:66"],
    ["3,000 block lists on one line", "- ".repeat(3000), "1:129"],
  ])("%s, ten times", (_, text, place) => {
    for (let i = 0; i < 10; i++) expect(faults(text)).toEqual([`error ${place} yaml/too-deep`]);
  });

  test("64 levels are read", () => {
    expect(faults(`${"[".repeat(64)}1${"]".repeat(64)}`)).toEqual([]);
    expect(faults(`${"- ".repeat(64)}1`)).toEqual([]);
    expect(faults(Array.from({ length: 64 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"))).toEqual([]);
  });
});

describe("A6: keys per map are bounded", () => {
  test.each([
    ["a block map", Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join("\n"), "4097:6"],
    ["braces", `{${Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join(",")}}`, "1:35755"],
    ["a list", "- 1\n".repeat(60_000), "4097:1"],
  ])("%s of 60,000 entries is refused within half a second", (_, text, place) => {
    const began = performance.now();
    expect(faults(text)).toEqual([`error ${place} yaml/too-many-entries`]);
    expect(performance.now() - began).toBeLessThan(500);
  });

  test("4,096 keys are read", () => {
    expect(faults(Array.from({ length: 4096 }, (_, i) => `k${i}: 1`).join("\n"))).toEqual([]);
  });
});

describe("A7, A8: reserved and duplicate keys", () => {
  test.each([
    ["__proto__: { polluted: 1 }", ["error 1:1 yaml/reserved-key"]],
    ["constructor: 1", ["error 1:1 yaml/reserved-key"]],
    ["a: { prototype: 1 }", ["error 1:6 yaml/reserved-key"]],
    ["a: 1\nb: 2\na: 3", ["error 3:1 yaml/duplicate-key and 1:1"]],
    ['1: a\n"1": b', ["error 2:1 yaml/duplicate-key and 1:1"]],
    ["a: { x: 1, 'x': 2 }", ["error 1:12 yaml/duplicate-key and 1:6"]],
    ["? [a]\n: 1", ["error 1:3 yaml/key-not-text"]],
    ["{out,down}: 1", ["error 1:1 yaml/key-not-text"]],
    [": 1", ["error 1:1 yaml/empty-key"]],
  ])("%j", (text, expected) => {
    expect(faults(text)).toEqual(expected);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("A10: numbers are read exactly or refused", () => {
  test.each([
    ["9007199254740993", "yaml/not-exact"],
    ["-9007199254740993", "yaml/not-exact"],
    ["1e400", "yaml/not-finite"],
    [".nan", "yaml/not-finite"],
    ["-.inf", "yaml/not-finite"],
    ["-0", "yaml/number-notation"],
    ["017", "yaml/number-notation"],
    ["0o17", "yaml/number-notation"],
    ["0x10", "yaml/number-notation"],
  ])("%s", (number, code) => {
    expect(faults(`a: ${number}`)).toEqual([`error 1:4 ${code}`]);
  });

  test.each([
    ["9007199254740992", 2 ** 53],
    ["-12", -12],
    ["1e-5", 1e-5],
    ["4096.0", 4096],
    ["1_000", "1_000"],
    ["yes", "yes"],
    ["true", true],
    ["~", null],
  ])("%s is %j", (text, value) => {
    const { node } = readText(`a: ${text}`);
    expect(node?.kind === "map" && node.entries.get("a")?.value).toMatchObject({ kind: "scalar", value });
  });

  test("the way out names the number that was meant", () => {
    expect(help("a: 017")).toBe("write `17`, or quote it if it is text");
    expect(help("a: 0x10")).toBe("write `16`, or quote it if it is text");
  });
});

describe("A13, A14: tags, directives and further documents", () => {
  test.each([
    ["a: !!js/function 'x'", ["error 1:4 yaml/tag"]],
    ["a: !!binary aGk=", ["error 1:4 yaml/tag"]],
    ["a: !!python/object:os.system x", ["error 1:4 yaml/tag"]],
    ["a: !custom x", ["error 1:4 yaml/tag"]],
    ["a: 1\n---\nb: 2", ["error 2:1 yaml/second-document"]],
    ["---\na: 1\n---\nb: 2", ["error 3:1 yaml/second-document"]],
    ["a: 1\n...\nb: 2", ["error 3:1 yaml/second-document"]],
    ["%YAML 1.1\n---\na: 1", ["error 1:1 yaml/directive"]],
    ["%FOO bar\n---\na: 1", ["error 1:1 yaml/directive"]],
  ])("%j", (text, expected) => {
    expect(faults(text)).toEqual(expected);
  });

  test.each(["---\na: 1", "a: 1\n...\n", "--- # note\na: 1\n"])("%j is one document", (text) => {
    expect(faults(text)).toEqual([]);
  });
});

describe("A15: encodings", () => {
  const bytes = (...values: number[]) => Uint8Array.from(values);
  test.each([
    ["a tab as indentation", "a:\n\tb: 1", "error 2:1 yaml/syntax"],
    ["UTF-16 with a mark", bytes(0xff, 0xfe, 0x61, 0, 0x3a, 0), "error 1:1 file/utf-16"],
    ["UTF-16 without a mark", bytes(0x61, 0, 0x3a, 0, 0x20, 0), "error 1:1 file/utf-16"],
    ["a NUL", "a: x\0", "error 1:5 file/forbidden-character"],
    ["a lone carriage return", "a: 1\rb: 2", "error 1:5 file/forbidden-character"],
    ["a bidirectional override", "a: 1 # \u202e", "error 1:8 file/forbidden-character"],
    ["a byte 0xFF", bytes(0x61, 0x3a, 0x0a, 0x62, 0xff), "error 2:2 file/not-utf8"],
    ["a surrogate", bytes(0x61, 0x3a, 0x20, 0xed, 0xa0, 0x80), "error 1:4 file/not-utf8"],
    ["a cut character", bytes(0x61, 0x3a, 0x20, 0xe6, 0xbc), "error 1:4 file/not-utf8"],
  ])("%s", (_, text, expected) => {
    expect(faults(text)).toEqual([expected]);
  });

  test("the byte offset is told and counts the mark", () => {
    expect(readText(bytes(0xef, 0xbb, 0xbf, 0x61, 0xff)).diagnostics[0].claim).toBe("byte 4 (0xFF) is not UTF-8");
    expect(claim("é\0")).toBe("U+0000 at byte 2 is refused");
  });

  test("a byte order mark and CRLF are accepted, and places are right behind them", () => {
    expect(faults("\ufeffa: 1\r\nb: &x 1\r\n")).toEqual(["error 2:4 yaml/anchor"]);
    expect(faults("\ufeffa: &x 1")).toEqual(["error 1:4 yaml/anchor"]);
  });

  test("the replacement character itself is text", () => {
    expect(faults("a: \ufffd")).toEqual([]);
  });
});

describe("YAML traps have their own diagnostics", () => {
  test.each([
    [
      "{ activation: max(x, 0)^2 }",
      "1:15 yaml/comma-splits-expression",
      'put the expression in quotes: `"max(x, 0)^2"`',
    ],
    [
      "a: [clamp(up, -7, 7) + 1, 2]",
      "1:5 yaml/comma-splits-expression",
      'put the expression in quotes: `"clamp(up, -7, 7) + 1"`',
    ],
    ["recompute: [**.norm]", "1:13 yaml/alias", 'if it is a selector write `"**.norm"`'],
    ["**.norm: f32", "1:1 yaml/alias", 'if it is a selector write `"**.norm"`'],
    ["mask: !(k > q)", "1:7 yaml/tag", "if it is an expression put all of it in quotes"],
    ["a: { b: e4m3[1,128] }", "1:9 yaml/bracket-splits-expression", "put the whole text in quotes"],
    ["a: [attention.{q,k}]", "1:5 yaml/bracket-splits-expression", "put the whole text in quotes"],
  ])("%j", (text, fault, wayOut) => {
    expect(faults(text)).toEqual([`error ${fault}`]);
    expect(help(text)).toBe(wayOut);
  });

  test("an expression cut in two leaves its neighbours as they are", () => {
    const { node } = readText("{ a: max(x, 0), b: 1, c: f(x), d: g(y, (z)) + 1, e: 2 }");
    const kinds = node?.kind === "map" ? [...node.entries].map(([key, { value }]) => `${key} ${value.kind}`) : [];
    expect(kinds).toEqual(["a fault", "b scalar", "c scalar", "d fault", "e scalar"]);
  });
});

test.each([
  ["a: b: c", "1:4", "a second `:` on one line: quote text that has `: ` in it, and align keys"],
  ['a: "x', "1:6", "a quote is opened and not closed"],
  ["a: @x", "1:4", "text cannot begin with this sign unless it is quoted"],
  ["a:\n  - b\n c: 1", "3:1", "this line is indented by another depth than its neighbours, or a bracket is not closed"],
])("what is no YAML is told once and in words: %j", (text, place, words) => {
  expect(faults(text)).toEqual([`error ${place} yaml/syntax`]);
  expect(claim(text)).toBe(words);
});
