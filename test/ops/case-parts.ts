// What cases of ops are made of: inputs with their values, and formulas as a spec would give them.

import { buildFormula } from "../../compiler/formula/build.ts";
import type { Formula } from "../../compiler/formula/formula.ts";
import { parseFormula } from "../../compiler/formula/parse.ts";
import { UNIFORM } from "../../compiler/formula/terms.ts";
import { type Dim, type TensorType, tensor } from "../../compiler/graph/types.ts";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { standaloneExpression } from "../../compiler/source/text.ts";

export interface CaseInput {
  readonly name: string;
  readonly type: TensorType;
  /** Value of element i; `random` is uniform in [-1, 1). */
  readonly make: (i: number, random: () => number) => number;
  /** Persistent storage for in-place inputs. */
  readonly isState?: boolean;
  /** No gradient is wanted. */
  readonly isConstant?: boolean;
}

export interface OpCase {
  readonly op: string;
  readonly title: string;
  readonly inputs: readonly CaseInput[];
  readonly attributes: unknown;
}

/** A small deterministic generator, so that failures repeat. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

export type ParameterTable = Readonly<
  Record<string, readonly [extent: number, kind?: "integer" | "condition", range?: { low: number; high: number }]>
>;

/** A formula as a spec would give it. */
export function formulaFrom(
  text: string,
  parameters: ParameterTable,
  result: "number" | "condition" = "number",
  extent = UNIFORM,
): Formula {
  const diagnostics = new Diagnostics();
  const source = standaloneExpression("case", text);
  const syntax = parseFormula(source, diagnostics);
  const list = Object.entries(parameters).map(([name, [extent, kind, range]]) => ({
    name,
    extent,
    kind: kind ?? ("real" as const),
    ...(range === undefined ? {} : { range }),
  }));
  const request = { text: source, parameters: list, diagnostics, output: "y", result, extent };
  const formula = syntax && buildFormula({ syntax, ...request });
  if (formula === undefined) throw new Error(diagnostics.all.map((d) => d.claim).join("; "));
  return formula;
}

export const real = (name: string, scale: number, ...dims: Dim[]): CaseInput => ({
  name,
  type: tensor("f32", ...dims),
  make: (_, random) => Math.fround(scale * random()),
});
export const positive = (name: string, ...dims: Dim[]): CaseInput => ({
  name,
  type: tensor("f32", ...dims),
  make: (_, random) => Math.fround(1.25 + random()),
});
export const index = (name: string, below: number, ...dims: Dim[]): CaseInput => ({
  name,
  type: tensor("i32", ...dims),
  make: (_, random) => Math.min(below - 1, Math.floor(((random() + 1) / 2) * below)),
});
export const scalar = (name: string, value: number): CaseInput => ({
  name,
  type: tensor("f32"),
  make: () => Math.fround(value),
});
export const state = (input: CaseInput): CaseInput => ({ ...input, isState: true });
