// What a plan promises: nothing alive shares memory, launches of one wave are independent, operands stay inside tensors.

import { describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { layoutElements } from "../../compiler/kernels/plan.ts";
import { tensorBytes } from "../../compiler/kernels/plan-memory.ts";
import type { Program } from "../../compiler/kernels/program.ts";
import { specOf, tinySpecs } from "../passes/tiny-specs.ts";

const variants = tinySpecs.flatMap(([name, text]) => [
  [name, text, []] as const,
  [`${name}, recomputing`, text, ["recompute+=norm", "recompute+=activation"]] as const,
]);

const accessesOf = (wave: Program["waves"][number]) =>
  wave.flatMap((launch, at) => launch.operands.flatMap((o) => (o.kind === "tensor" ? [{ ...o, launch: at }] : [])));

/** First and last wave that touches each tensor, by name. */
function lifetimes(program: Program): Map<string, { first: number; last: number }> {
  const found = new Map<string, { first: number; last: number }>();
  program.waves.forEach((wave, i) => {
    for (const { tensor } of accessesOf(wave)) {
      const known = found.get(tensor.name);
      if (known === undefined) found.set(tensor.name, { first: i, last: i });
      else known.last = i;
    }
  });
  for (const tensor of program.results.values()) {
    const known = found.get(tensor.name);
    if (known !== undefined) known.last = program.waves.length;
  }
  return found;
}

describe.each(variants)("the plan of %s", (_, text, overrides) => {
  const { plan } = compile(specOf(text, overrides));

  test.each(plan.programs.map((p) => [p.name, p] as const))(
    "of %s keeps apart what is alive together",
    (_name, program) => {
      const alive = lifetimes(program);
      const placed = program.transient;
      for (const a of placed) {
        expect(a.offset % 256).toBe(0);
        expect(a.offset + tensorBytes(a.tensor)).toBeLessThanOrEqual(program.activationBytes);
        for (const b of placed) {
          if (a === b) continue;
          const [x, y] = [alive.get(a.tensor.name), alive.get(b.tensor.name)];
          const isTogether = x !== undefined && y !== undefined && x.first <= y.last && y.first <= x.last;
          const isApart = a.offset >= b.offset + tensorBytes(b.tensor) || b.offset >= a.offset + tensorBytes(a.tensor);
          if (isTogether) expect(isApart, `${a.tensor.name} and ${b.tensor.name}`).toBe(true);
        }
      }
    },
  );

  test("lets no two launches of a wave touch what one of them writes", () => {
    let pairs = 0;
    for (const program of plan.programs) {
      for (const wave of program.waves) {
        const accesses = accessesOf(wave);
        for (const a of accesses) {
          for (const b of accesses) {
            if (a.launch === b.launch || a.tensor.name !== b.tensor.name) continue;
            pairs++;
            const isHarmless =
              (a.access === "read" && b.access === "read") || (a.access === "part" && b.access === "part");
            expect(isHarmless, `${program.name}: ${a.tensor.name} is ${a.access} and ${b.access}`).toBe(true);
          }
        }
      }
    }
    expect(pairs).toBeGreaterThan(0);
  });

  test("puts persistent tensors side by side, each name once", () => {
    const byArena = new Map<string, { start: number; end: number }[]>();
    for (const { tensor, arena, offset } of plan.persistent.values()) {
      const list = byArena.get(arena) ?? [];
      byArena.set(arena, [...list, { start: offset, end: offset + tensorBytes(tensor) }]);
    }
    for (const [arena, list] of byArena) {
      const sorted = list.sort((a, b) => a.start - b.start);
      sorted.slice(1).forEach((range, i) => {
        expect(range.start, arena).toBeGreaterThanOrEqual(sorted[i].end);
      });
      expect(sorted[sorted.length - 1].end).toBeLessThanOrEqual(plan.arenaBytes.get(arena as never) ?? 0);
    }
  });

  test("starts every row on 64 bytes and keeps offsets of chunks inside their tensor", () => {
    for (const launch of plan.programs.flatMap((p) => p.waves.flat())) {
      for (const operand of launch.operands) {
        if (operand.kind !== "tensor") continue;
        const { layout } = operand.tensor;
        if (layout.kind === "rows") expect((layout.pitch * 4) % 64).toBe(0);
        expect(operand.offset).toBeLessThan(4 * layoutElements(layout));
      }
    }
  });

  test("ends the update with fresh working copies, after the last weight was written", () => {
    const update = plan.programs.find((p) => p.name === "update");
    const waves = update?.waves ?? [];
    const lastWrite = waves.findLastIndex((wave) =>
      accessesOf(wave).some((a) => a.tensor.storage === "parameter" && a.access !== "read"),
    );
    const firstCopy = waves.findIndex((wave) => accessesOf(wave).some((a) => a.tensor.storage === "working"));
    expect(lastWrite).toBeGreaterThanOrEqual(0);
    expect(firstCopy).toBeGreaterThan(lastWrite);
  });
});

test("a tile of the spec changes the kernels that its selector names, and no other", () => {
  const [, text] = tinySpecs[0];
  const names = (overrides: string[]) => compile(specOf(text, overrides)).kernels.map((k) => k.name);
  const tiled = names(["tiles.wasm={ffn.down: 32x16x64}"]);
  expect(tiled.filter((name) => name.includes("_t32x16x64")).length).toBeGreaterThan(0);
  expect(names([]).filter((name) => name.includes("_t32x16x64"))).toEqual([]);
});
