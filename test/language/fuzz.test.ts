// Whatever a spec says, reading it ends with a Spec or with diagnostics that have places: it never throws.

import fc from "fast-check";
import { expect, test } from "vitest";
import { formatDiagnostics } from "../../compiler/source/format-diagnostics.ts";
import { normalizeSpec } from "../../compiler/spec/normalize.ts";
import { readSpec } from "../../compiler/spec/read.ts";
import { readSpecText, smallSpec, smallSpecWith } from "./spec-text.ts";

const base = `${smallSpec}formulas: { f: "max(x, 0)^2" }
precision: [f32, "layers[0..1].{attention,ffn}.wgrad": f32 * f32 -> f32 -> f32]
recompute: ["**.norm"]
tiles: { wasm: { linear: 64x64x16 }, wgsl: { linear: 64x64x16 } }
`;

const blocks = smallSpecWith(
  [
    "{ kind: gqa, heads: 4 }",
    `
    - { kind: gqa, heads: 4, bias: qkv, rope: { dim: 4, yarn: { factor: 4, original: 8 } } }
    - { layers: 1.., kind: mla, q_rank: 4, kv_rank: 8, nope_dim: 6, rope_dim: 2 * 2, value_dim: q_rank }`,
  ],
  [
    "{ kind: dense, intermediate: 96 }",
    `
    - kind: moe
      intermediate: 2 * width
      experts: 12
      top_k: 4
      shared: 1
      router:
        score: sigmoid(logit)
        groups: { count: experts / 3, keep: 2, score: top2_sum }
        bias_update: 1e-3 for 50 then 0
        losses: { sequence: 1e-4, z: linear from 0 to 1 }
    - { layers: 0..1, kind: dense }
  mtp: { depth: 2, weight: 0.3 until 1k tokens then 0.1, concat: [hidden, embedding] }`,
  ],
);

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
  "kind: moe",
  "mla",
  "top_k",
];
const edit = fc.record({
  at: fc.integer({ min: 0, max: Math.max(base.length, blocks.length) }),
  drop: fc.integer({ min: 0, max: 6 }),
  insert: fc.array(fc.constantFrom(...pieces), { maxLength: 3 }),
});

test("the specs that are changed below have no fault", () => {
  expect([base, blocks].map((text) => readSpecText(text).diagnostics)).toEqual([[], []]);
});

test.each([
  ["dense", base],
  ["blocks of every kind", blocks],
])("a spec of %s with some characters changed", (_, unchanged) => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      const text = edits.reduce((before, { at, drop, insert }) => {
        return before.slice(0, at) + insert.join("") + before.slice(at + drop);
      }, unchanged);
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
