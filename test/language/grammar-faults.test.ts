// Faults of expressions as text: faults B1, B2, B5, B7 and B10, each with its code and the place of its caret.

import { describe, expect, test } from "vitest";
import * as parser from "../../compiler/formula/parse.ts";
import { type Diagnostic, Diagnostics } from "../../compiler/source/diagnostic.ts";
import { type ExpressionText, standaloneExpression } from "../../compiler/source/text.ts";

type Parse = (text: ExpressionText, diagnostics: Diagnostics) => unknown;

function faultOf(parse: Parse, text: string): Diagnostic {
  const diagnostics = new Diagnostics();
  expect(parse(standaloneExpression("test", text), diagnostics)).toBeUndefined();
  expect(diagnostics.all).toHaveLength(1);
  return diagnostics.all[0];
}

/** `code from..to: claim`. */
function faultText(parse: Parse, text: string): string {
  const { code, place, claim, severity } = faultOf(parse, text);
  expect(severity).toBe("error");
  return `${code} ${place?.span.start}..${place?.span.end}: ${claim}`;
}

describe("B1: what is too deep is refused at its place and quickly", () => {
  test.each([
    ["3,000 brackets", "(".repeat(3000), 256],
    ["a million brackets", "(".repeat(1e6), 256],
    ["20,000 prefixes", `${"-".repeat(20_000)}x`, 256],
    ["10,000 calls", "f(".repeat(10_000), 513],
    ["300 powers", `x${"^x".repeat(299)}`, 511],
    ["a sum of 257", `x${"+x".repeat(256)}`, 511],
    ["prefixes and brackets that are 257 together", `${"-(".repeat(200)}x${")".repeat(200)}${"+x".repeat(60)}`, 0],
  ])("%s", (_, text, start) => {
    const began = performance.now();
    const fault = faultOf(parser.parseFormula, text);
    expect(fault.code).toBe("expression/too-deep");
    expect(fault.claim).toBe("expression too deep (256)");
    if (start > 0) expect(fault.place?.span.start).toBe(start);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test("257 levels are refused and 256 are not", () => {
    const nested = (levels: number) => `${"f(".repeat(levels - 1)}x${")".repeat(levels - 1)}`;
    expect(faultOf(parser.parseFormula, nested(257)).code).toBe("expression/too-deep");
    expect(parser.parseFormula(standaloneExpression("test", nested(256)), new Diagnostics())).toBeDefined();
  });

  test("two differences of 150 terms side by side are no deeper than one", () => {
    const difference = `x${"-x".repeat(150)}`;
    const text = standaloneExpression("test", `max(${difference}, ${difference})`);
    expect(parser.parseFormula(text, new Diagnostics())).toBeDefined();
  });

  test("a sum of 100,000 terms is refused by its length", () => {
    const text = `x${" + x".repeat(99_999)}`;
    expect(faultText(parser.parseFormula, text)).toBe(
      "expression/too-long 0..399997: an expression has at most 16384 characters, this one has 399997",
    );
  });
});

describe("B2: the caret is at the word and the message says what was expected", () => {
  test.each([
    ["", "empty 0..0: a formula is missing here"],
    ["  ", "empty 0..2: a formula is missing here"],
    ["a +", "unexpected 3..4: the expression ends too early: expected `-`, `!`, a number, a name or `(`"],
    ["(a", "unexpected 2..3: the expression ends too early: expected `(`, an operator or `)`"],
    ["f(a,)", "unexpected 4..5: `)` does not belong here: expected `-`, `!`, a number, a name or `(`"],
    ["(a))", "unexpected 3..4: `)` does not belong here: expected an operator or the end"],
    ["a b", "unexpected 2..3: `b` does not belong here: expected `:`, `(`, an operator or the end"],
    ["1..2", "unexpected 1..3: `..` does not belong here: expected an operator or the end"],
    ["1e", "malformed-number 0..2: `1e` is not a number"],
    ["0x", "malformed-number 0..2: `0x` is not a number"],
    [".", "unexpected 0..1: `.` does not belong here: expected `let`, a name, `-`, `!`, a number or `(`"],
    ["5.", "unexpected 1..2: `.` does not belong here: expected an operator or the end"],
    ['"x', 'foreign-sign 0..1: `"` is not a sign of the language'],
    ["a ? b : c", "foreign-sign 2..3: `?` is not a sign of the language"],
    ["let a = 1", "unexpected 9..10: the expression ends too early: expected an operator or `;`"],
    ["let a = 1; let a = 2; a", "name-twice 15..16: the name `a` is given twice"],
    ["y: x, y: x", "name-twice 6..7: the name `y` is given twice"],
    ["1 < x < 3", "chained-comparison 6..7: comparisons do not chain"],
    ["max(abs(x) per 128)", "not-yet 11..14: `per` is not a part of the language yet"],
  ])("%j", (text, fault) => {
    expect(faultText(parser.parseFormula, text)).toBe(`expression/${fault}`);
  });

  test.each([
    ["a ? b : c", "write `if(condition, a, b)`"],
    ["x ** 2", "write `^` for a power"],
    ["x = 2", "write `==` to compare"],
    [".5", "write a digit before the point, as in `0.5`"],
    ["1 < x < 3", "write `a < b && b < c`"],
    ["1_000 * x", "write `1000`"],
    ["0x10", "write `16`"],
    ["017", "write `17`"],
    ["2k", "write `2000`, or `2 * k` if k is a name"],
  ])("%j has a way out", (text, help) => {
    expect(faultOf(parser.parseFormula, text).help).toBe(help);
  });
});

describe("B5: characters that deceive the eye are refused and named", () => {
  test.each([
    ["x + а", "foreign-character 4..5: U+0430 (а) is not a character of the language", "write `a`"],
    ["ﬁ", "foreign-character 0..1: U+FB01 (ﬁ) is not a character of the language", "write `fi`"],
    ["a − b", "foreign-character 2..3: U+2212 (−) is not a character of the language", "write `-`"],
    ["x\u200by", "invisible-character 1..2: U+200B cannot be seen and is refused", "delete it"],
    ["x\u202ey", "invisible-character 1..2: U+202E cannot be seen and is refused", "delete it"],
    ["x\u0000", "invisible-character 1..2: U+0000 cannot be seen and is refused", "delete it"],
    ["x + 😀", "foreign-character 4..6: U+1F600 (😀) is not a character of the language", undefined],
  ])("%j", (text, fault, help) => {
    expect(faultText(parser.parseFormula, text)).toBe(`expression/${fault}`);
    expect(faultOf(parser.parseFormula, text).help).toBe(help);
  });
});

describe("B7: nothing but names and numbers gets through", () => {
  test.each([
    ["x; } __global__ void evil(){", "malformed-name 5..15"],
    ["x */ y", "unexpected 3..4"],
    ["// x", "unexpected 0..1"],
    ["`x`", "foreign-sign 0..1"],
    ["$" + "{process.exit()}", "foreign-sign 0..1"],
    ["a\\b", "foreign-sign 1..2"],
    ["{{helper}}", "unexpected 0..1"],
    ["</script>", "unexpected 0..1"],
    ['#include "/etc/passwd"', "foreign-sign 0..1"],
    ["#pragma x", "foreign-sign 0..1"],
    ["??/", "foreign-sign 0..1"],
    ["_x", "malformed-name 0..2"],
    ["a".repeat(64), "name-too-long 0..64"],
  ])("%s", (text, fault) => {
    expect(faultText(parser.parseFormula, text)).toMatch(`expression/${fault}: `);
  });

  test("a name of 63 letters is a name", () => {
    expect(parser.parseFormula(standaloneExpression("test", "a".repeat(63)), new Diagnostics())).toBeDefined();
  });
});

describe("B10: numbers are read exactly or refused", () => {
  test.each([
    ["1e400", "number-too-large 0..5: `1e400` is larger than any number (1.8e308)"],
    [
      "9007199254740993",
      "number-not-exact 0..16: `9007199254740993` is beyond 2^53 and would be read as 9007199254740992",
    ],
    ["2k", "suffix 0..2: the suffix `k` is for sizes and schedules"],
    ["1,5", "unexpected 1..2: `,` does not belong here: expected an operator or the end"],
  ])("%s", (text, fault) => {
    expect(faultText(parser.parseFormula, text)).toBe(`expression/${fault}`);
  });

  test.each([
    ["1e-45", 1e-45],
    ["1e21", 1e21],
    ["9007199254740992", 2 ** 53],
    ["0.1", 0.1],
  ])("%s is itself", (text, value) => {
    const tree = parser.parseFormula(standaloneExpression("test", text), new Diagnostics());
    expect(tree?.outputs[0].value).toMatchObject({ kind: "number", value });
  });
});

describe("faults of the other entries", () => {
  test.each<[string, Parse, string, string]>([
    ["range", parser.parseRange, "..", "unexpected 2..3: the expression ends too early: expected `-` or a number"],
    ["range", parser.parseRange, "1.5..", "index-not-whole 0..3: an index is a whole number, not `1.5`"],
    ["range", parser.parseRange, "0.. by 0", "stride-not-positive 7..8: a stride is at least 1"],
    [
      "selector",
      parser.parseSelector,
      "a..b",
      "unexpected 1..3: `..` does not belong here: expected `[`, `.`, `,` or the end",
    ],
    ["selector", parser.parseSelector, "{a,}", "unexpected 3..4: `}` does not belong here: expected a name"],
    ["tile", parser.parseTile, "64", "unexpected 0..2: `64` does not belong here: expected a tile such as `64x64x16`"],
    [
      "precision",
      parser.parsePrecision,
      "f32 ->",
      "unexpected 6..7: the expression ends too early: expected a name or `_`",
    ],
    ["distribution", parser.parseDistribution, "gauss(1)", "unknown-distribution 0..5: `gauss` is not a distribution"],
    ["distribution", parser.parseDistribution, "normal", "argument-count 0..6: `normal` takes 1 argument, not 0"],
    ["schedule", parser.parseSchedule, "warmup to 1", "unexpected 7..9: `to` does not belong here: expected `(`"],
    [
      "schedule",
      parser.parseSchedule,
      "linear 1",
      "unexpected 7..8: `1` does not belong here: expected `(`, `from` or `to`",
    ],
    [
      "schedule",
      parser.parseSchedule,
      "1 then",
      "unexpected 6..7: the expression ends too early: expected `warmup`, `linear`, `cosine`, `hold`, `-`, `!`, a number, a name or `(`",
    ],
  ])("%s %#", (_, parse, text, fault) => {
    expect(faultText(parse, text)).toContain(`expression/${fault}`);
  });
});
