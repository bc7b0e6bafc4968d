// The arithmetic of sizes is exact, and the names and bounds of a spec's numbers.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseSize } from "../../compiler/formula/parse.ts";
import { decimalSize, evaluateSize, sizeNumber, sizeWords, wholeSize } from "../../compiler/formula/size.ts";
import { DiagnosticError, Diagnostics } from "../../compiler/source/diagnostic.ts";
import { standaloneExpression } from "../../compiler/source/text.ts";
import { readSpecText, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

function size(text: string) {
  const source = standaloneExpression("test", text);
  const tree = parseSize(source, new Diagnostics());
  if (tree === undefined) throw new Error(`${text} does not parse`);
  return evaluateSize(tree, source, (name) => wholeSize(name === "width" ? 100 : 0));
}

function fault(text: string): string {
  try {
    return `no fault: ${sizeWords(size(text))}`;
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    const [{ code, place }] = error.diagnostics;
    return `${code} ${place?.span.start}..${place?.span.end}`;
  }
}

test.each([
  ["4 * width", 400],
  ["ceil(8 * width / 3, 64)", 320],
  ["floor(8 * width / 3, 64)", 256],
  ["ceil(800 / 3)", 267],
  ["floor(-1 / 2)", -1],
  ["ceil(-1 / 2)", -0],
  ["ceil(64, 64)", 64],
  ["2^20", 1_048_576],
  ["2^3^2", 512],
  ["2^-2", 0.25],
  ["width^0.5", 10],
  ["width^-0.5", 0.1],
  ["sqrt(width / 25)", 2],
  ["0.1 + 0.2", 0.3],
  ["0.1 * 3 - 0.3", 0],
  ["(width / 3) * 3", 100],
  ["1 / 3", 1 / 3],
  ["min(3, width)", 3],
  ["max(3, width)", 100],
  ["128k", 128_000],
  ["0.02 / sqrt(2 * 4)", 0.02 / Math.sqrt(8)],
  ["2^60 / 2^59", 2],
  ["9007199254740992", 2 ** 53],
  ["1e-300", 1e-300],
  ["5e-324", 5e-324],
  // A hair above the middle between two floats goes up, the middle itself to the even one.
  ["2^53 + 1 + 2^-80", 2 ** 53 + 2],
  ["2^53 + 1", 2 ** 53],
])("%s is %d", (text, value) => {
  expect(sizeNumber(size(text)) + 0).toBe(value + 0);
});

test.each([
  ["1 / 0", "size/division-by-zero 4..5"],
  ["0 / 0", "size/division-by-zero 4..5"],
  ["0^-1", "size/division-by-zero 0..1"],
  ["ceil(1, 0)", "size/division-by-zero 8..9"],
  ["sqrt(-4)", "size/negative-root 5..7"],
  ["2^0.3", "size/wrong-exponent 2..5"],
  ["2^1000000000", "size/exponent-too-large 2..12"],
  ["10^2000", "size/too-large 0..7"],
  ["2 < 3", "size/wrong-operator 2..3"],
  ["!2", "size/wrong-operator 0..2"],
  ["exp(1)", "size/unknown-function 0..3"],
  ["ceil()", "expression/argument-count 0..4"],
])("%s is refused", (text, expected) => {
  expect(fault(text)).toBe(expected);
});

test("every float survives being a size", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(sizeNumber(decimalSize(Math.abs(value)))).toBe(Math.abs(value));
    }),
  );
});

test.each([
  5e-324, 1.5e-323, 1.88425349033737e-309, 2.225073858507201e-308, 2.2250738585072014e-308, 4.450147717014403e-308,
])("so does %d, at the end of floats", (value) => {
  expect(sizeNumber(decimalSize(value))).toBe(value);
});

test("halves of the smallest float are rounded to even", () => {
  const half = `1 / 2^${1000} / 2^${75}`;
  expect(sizeNumber(size(half))).toBe(0);
  expect(sizeNumber(size(`3 * ${half}`))).toBe(1e-323);
});

test("a quotient is the float nearest to it", () => {
  const whole = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(whole, whole, (a, b) => {
      expect(sizeNumber(size(`${a} / ${b}`))).toBe(a / b);
    }),
  );
});

describe("numbers of a spec", () => {
  test("sizes name the keys of the model and of their own block", () => {
    const text = smallSpecWith(
      ["width: 48", "width: 12 * layers"],
      ["heads: 4", "heads: layers, kv_heads: heads / 2, head_dim: 2 * width / heads"],
      ["intermediate: 96", 'intermediate: "ceil(8 * width / 3, 64)"'],
    );
    const { model } = specOf(text);
    expect(model.width).toBe(48);
    expect(model.layers[0].attention).toMatchObject({ heads: 4, kvHeads: 2, headDim: 24 });
    expect(model.layers[0].ffn.intermediate).toBe(128);
  });

  test.each([
    ["width: 48", "width: height", "6:10 size/unknown-name"],
    ["width: 48", "width: 100 / 3", "6:10 key/not-whole"],
    ["width: 48", "width: 4 - 4", "6:10 key/out-of-range"],
    ["width: 48", "width: 2^53 + 1", "6:10 key/too-large"],
    ["layers: 4", "layers: 2000", "7:11 key/out-of-range"],
    ["heads: 4", "heads: 5", "8:34 key/not-whole and 6:10"],
    ["lr: 1e-3", "lr: 1 / 0", "13:11 size/division-by-zero"],
    ["lr: 1e-3", "lr: 1e308 * 1e308", "13:7 key/not-finite"],
  ])("%s replaced by %s", (part, by, expected) => {
    expect(specFaults(smallSpecWith([part, by]))).toEqual([`error ${expected}`]);
  });

  test("a default that comes out wrong shows its arithmetic at the value it comes from", () => {
    const [diagnostic] = readSpecText(smallSpecWith(["heads: 4", "heads: 5"])).diagnostics;
    expect(diagnostic.claim).toBe("model.attention.head_dim is a whole number, and its default is width / heads = 9.6");
  });

  test("an unknown size lists the names that are there, the nearest first", () => {
    const [diagnostic] = readSpecText(smallSpecWith(["intermediate: 96", "intermediate: 4 * witdh"])).diagnostics;
    expect(diagnostic.label).toBe("did you mean `width`?");
    expect(diagnostic.details).toEqual(["names here: intermediate, vocab, context, width, layers"]);
  });

  test("A21: sizes that need each other are told once, with the cycle and all places", () => {
    const text = smallSpecWith(["context: 64", "context: width * 2"], ["width: 48", "width: 3 + context"]);
    const { diagnostics } = readSpecText(text);
    expect(specFaults(text)).toEqual(["error 5:12 size/cycle and 6:10"]);
    expect(diagnostics[0].claim).toBe("these sizes need each other: model.context -> model.width -> model.context");
  });

  test("a size that needs itself is a cycle", () => {
    expect(specFaults(smallSpecWith(["width: 48", "width: width"]))).toEqual(["error 6:10 size/cycle"]);
  });

  test("A18: what is beyond 2^53 is refused with the computed size, at its largest factor", () => {
    const text = smallSpecWith(["vocab: 300", "vocab: 10^10"], ["width: 48", "width: 4 * 10^6"]);
    const { diagnostics } = readSpecText(text);
    expect(specFaults(text)).toEqual(["error 4:10 model/too-large"]);
    expect(diagnostics[0].details).toEqual(["vocab * width = 10000000000 * 4000000 = 40000000000000000"]);
  });

  test.each([
    ["intermediate: 96", "intermediate: 10^15", "9:8"],
    ["heads: 4", "heads: 10^9, head_dim: 10^9", "8:14"],
    ["sequences: 8", "sequences: 10^15, micro: 1", "11:23"],
    ["steps: 100", "steps: 2^52", "12:10"],
  ])("A18: so is %s replaced by %s", (part, by, place) => {
    expect(specFaults(smallSpecWith([part, by]))).toEqual([`error ${place} model/too-large`]);
  });
});
