// Whatever a spec says, reading it ends with a Spec or with diagnostics that have places: it never throws.

import fc from "fast-check";
import { expect, test } from "vitest";
import { formatDiagnostics } from "../../compiler/source/format-diagnostics.ts";
import { normalizeSpec } from "../../compiler/spec/normalize.ts";
import { readSpec } from "../../compiler/spec/read.ts";
import { readSpecText, smallSpec } from "./spec-text.ts";

const base = `${smallSpec}formulas: { f: "max(x, 0)^2" }
precision: [f32, "layers[0..1].{attention,ffn}.wgrad": f32 * f32 -> f32 -> f32]
recompute: ["**.norm"]
tiles: { wasm: { linear: 64x64x16 } }
`;

const pieces = [
  ..."(){}[]<>,.;:=*+-/^&|!?#%@'\"\\ \n\t_",
  "..",
  "->",
  "then",
  "let",
  "layers",
  "0x1",
  "1e400",
  "null",
  "é",
  "\u202e",
];
const edit = fc.record({
  at: fc.integer({ min: 0, max: base.length }),
  drop: fc.integer({ min: 0, max: 6 }),
  insert: fc.array(fc.constantFrom(...pieces), { maxLength: 3 }),
});

test("a spec with some characters changed", () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      const text = edits.reduce((before, { at, drop, insert }) => {
        return before.slice(0, at) + insert.join("") + before.slice(at + drop);
      }, base);
      const { spec, diagnostics } = readSpecText(text);
      expect(formatDiagnostics(diagnostics, { color: false })).not.toMatch(/undefined|\[object|NaN/);
      for (const { place, severity } of diagnostics) if (severity === "error") expect(place).toBeDefined();
      expect(spec === undefined).toBe(diagnostics.some(({ severity }) => severity === "error"));
      if (spec !== undefined) expect(readSpecText(normalizeSpec(spec)).spec).toBeDefined();
    }),
    { numRuns: 300 },
  );
});

test("any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const { spec, diagnostics } = readSpec({ name: "bytes", bytes });
      expect(spec).toBeUndefined();
      expect(diagnostics.length).toBeGreaterThan(0);
    }),
  );
});
