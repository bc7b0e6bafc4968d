// Weights of experts in pieces: every row of every expert once, none bound with more than a binding, one kernel per size.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import type { Launch, PlannedTensor } from "../../compiler/kernels/plan.ts";
import { tensorBytes } from "../../compiler/kernels/plan-memory.ts";
import type { Target } from "../../compiler/kernels/target.ts";
import { expertPieces } from "../../compiler/kernels/wgsl/expert-pieces.ts";
import { gpu, soft } from "../../compiler/kernels/wgsl/index.ts";
import { rowsLayout } from "../../compiler/kernels/wgsl/layout.ts";
import { evaluateExpression } from "../../runtime/expression.ts";
import { specOf } from "../passes/tiny-specs.ts";

const MiB = 2 ** 20;

function weightOf(experts: number, out: number, inner: number, dtype: "f32" | "bf16" = "f32"): PlannedTensor {
  const type = tensor(dtype, dim("experts", experts), dim("out", out), dim("in", inner));
  return { name: "weight", type, storage: "parameter", layout: rowsLayout(type), rule: undefined };
}

/** Experts, rows and number of the pieces of each size, with 128 MiB to a binding. */
const sizesOf = (weight: PlannedTensor, rowStep: number | undefined) =>
  expertPieces(weight, 128 * MiB, rowStep).map(({ experts, firstRow, rows, places }) => [
    experts,
    firstRow,
    rows,
    places.length,
  ]);

describe("published models", () => {
  // 1408 · 2048 · 4 bytes are 11 MiB, of which eleven go into 128 MiB: 64 = 5 · 11 + 9.
  test("DeepSeek-V2-Lite", () => {
    expect(sizesOf(weightOf(64, 1408, 2048), 64)).toEqual([
      [11, 0, 1408, 5],
      [9, 0, 1408, 1],
    ]);
  });

  // 2048 · 7168 · 4 bytes are 56 MiB, and half as much as bf16: 256 = 128 · 2 = 64 · 4.
  test("DeepSeek-V3", () => {
    expect(sizesOf(weightOf(256, 7168, 2048), 64)).toEqual([[2, 0, 7168, 128]]);
    expect(sizesOf(weightOf(256, 7168, 2048, "bf16"), 64)).toEqual([[4, 0, 7168, 64]]);
  });

  // 14336 · 4096 · 4 bytes are 224 MiB: 8192 rows of 16 KiB have 128 MiB, the other 6144 have 96 MiB.
  test("Mixtral, one expert of which is larger than a binding", () => {
    expect(sizesOf(weightOf(8, 14336, 4096), 64)).toEqual([
      [1, 0, 8192, 8],
      [1, 8192, 6144, 8],
    ]);
    expect(sizesOf(weightOf(8, 14336, 4096), undefined)).toEqual([[1, 0, 14336, 8]]);
  });

  // 2 · 64 MiB are a binding: nothing is cut, and all of it is bound.
  test("what fits stays whole", () => {
    const [pieces, ...others] = expertPieces(weightOf(2, 4096, 4096), 128 * MiB, 64);
    expect(others).toEqual([]);
    expect(pieces).toMatchObject({ isWhole: true, share: 1, places: [{ firstExpert: 0, bound: {}, shift: 0 }] });
  });
});

test("pieces have every row of every expert once, and are bound where they lie", () => {
  const most = 4096;
  let cut = 0;
  for (const dtype of ["f32", "bf16"] as const) {
    const bytesEach = dtype === "f32" ? 4 : 2;
    for (const experts of [1, 2, 7, 15]) {
      for (const out of [1, 13, 90, 300]) {
        for (const inner of [1, 9, 12, 20]) {
          const weight = weightOf(experts, out, inner, dtype);
          // Rows of either format begin at multiples of 16 bytes.
          const rowBytes = Math.ceil((inner * bytesEach) / 16) * 16;
          const seen = new Set<number>();
          const all = expertPieces(weight, most, 256 / bytesEach);
          let share = 0;
          for (const { experts: each, firstRow, rows, places, share: part } of all) {
            for (const { firstExpert, bound, shift } of places) {
              const { offset = 0, bytes = tensorBytes(weight) } = bound;
              const start = (firstExpert * out + firstRow) * rowBytes;
              expect(offset % 256).toBe(0);
              expect(offset + shift * 4 * bytesEach).toBe(start);
              expect(offset + bytes).toBe(start + (each - 1) * out * rowBytes + rows * rowBytes);
              // One step of rows is the least that a piece has.
              expect(bytes).toBeLessThanOrEqual(Math.max(most, 256 + (256 / bytesEach) * rowBytes));
              share += part;
              for (let e = firstExpert; e < firstExpert + each; e++) {
                for (let r = firstRow; r < firstRow + rows; r++) {
                  expect(seen.has(e * out + r)).toBe(false);
                  seen.add(e * out + r);
                }
              }
            }
          }
          expect(seen.size).toBe(experts * out);
          expect(share).toBeCloseTo(1);
          if (all.length > 1 || all[0].places.length > 1) cut++;
        }
      }
    }
  }
  expect(cut).toBeGreaterThan(50);
});

describe.each([
  ["with barriers", gpu],
  ["without barriers", soft],
])("a model whose experts are in pieces, %s", (_, whole) => {
  const most = 4096;
  const tokens = 100;
  // Eight experts of 16 · 32 · 4 = 2 KiB each: four pieces of two.
  const spec = specOf(readFileSync("specs/tiny-experts.mspec.yaml", "utf8"), [`serve.tokens=${tokens}`]);
  const target: Target = { ...whole, bindingBytes: most };
  const { plan, manifest } = compile(spec, undefined, {}, target);
  const isGrouped = ({ kernel }: Launch): boolean => kernel.template.startsWith("grouped-");

  test("binds no more of them than a binding", () => {
    const cut = { parameter: 0, gradient: 0 };
    for (const { waves } of plan.programs) {
      for (const { operands, use } of waves.flat().filter(isGrouped)) {
        for (const operand of operands) {
          if (operand.kind !== "tensor") continue;
          const { storage } = operand.tensor;
          if (storage !== "parameter" && storage !== "gradient") continue;
          expect(operand.bytes ?? Number.POSITIVE_INFINITY, use.path).toBeLessThanOrEqual(most);
          cut[storage]++;
        }
      }
    }
    expect(Math.min(cut.parameter, cut.gradient)).toBeGreaterThan(0);
  });

  test("has no more kernels for that", () => {
    const grouped = ({ kernels }: typeof manifest) => kernels.filter(({ template }) => template.startsWith("grouped-"));
    expect(grouped(manifest).length).toBeGreaterThan(0);
    expect(grouped(manifest).length).toBe(grouped(compile(spec, undefined, {}, whole).manifest).length);
  });

  test("computes each piece in one way for any number of tokens", () => {
    let pieces = 0;
    for (const { name, waves } of manifest.programs) {
      const ways = new Map<string, (typeof waves)[number][number]["tiles"][]>();
      for (const { kernel, operands, tiles } of waves.flat()) {
        if (manifest.kernels[kernel].template !== "grouped-matmul" || typeof tiles === "number") continue;
        const key = JSON.stringify(operands.filter((o) => o !== null && "tensor" in o));
        ways.set(key, [...(ways.get(key) ?? []), tiles]);
      }
      for (const [piece, tiles] of ways) {
        pieces++;
        for (let count = 1; count <= tokens; count++) {
          const counts = { tokens: count, outputs: count, tiles: count };
          const working = tiles.filter((expression) => evaluateExpression(expression, counts) > 0);
          expect(working.length, `${piece} of ${name} with ${count} tokens`).toBe(1);
        }
      }
    }
    // Three products in two layers of experts, by four pieces; the draft's module has one more.
    expect(pieces).toBe(3 * 3 * 4);
  });
});
