// Runs a formula and its derivative in f32 at values that break careless ones, and finds where f32 yields NaN although
// exact arithmetic does not.

import { differentiateFormula } from "./derivative.ts";
import { evaluateFormula, valueIndex } from "./evaluate.ts";
import type { Formula } from "./formula.ts";
import { type InputTerm, postorder, ROW } from "./terms.ts";

/** Zero, numbers that vanish when squared, and both sides of where exp under- and overflows. */
const realProbes = [0, 1e-30, -1e-30, 30, -30, 88, -88, 104, -104, 1e4, -1e4];
/** Positions and heads. */
const integerProbes = [0, 1, 100];

export interface LostNumber {
  /** Such as `gate = -104, up = 30`. */
  readonly at: string;
  /** `y`, or `d_gate` for a derivative. */
  readonly output: string;
  readonly exact: number;
}

/** The derivative by all real inputs; undefined if there are none. */
export function fullDerivative(formula: Formula): Formula | undefined {
  const real = formula.inputs.filter((input) => input.kind === "real").map((input) => input.name);
  return real.length === 0 ? undefined : differentiateFormula(formula, { by: real });
}

/** The first input at which a formula, or its full derivative, loses a number; undefined: nowhere. */
export function findLostNumber(formula: Formula, derivative = fullDerivative(formula)): LostNumber | undefined {
  const perRow = formula.inputs.filter(({ extent }) => (extent & ROW) !== 0);
  const rows = points(perRow);
  for (const whole of points(formula.inputs.filter(({ extent }) => (extent & ROW) === 0))) {
    for (const probed of derivative === undefined ? [formula] : [formula, derivative]) {
      const lost = lostIn(probed, rows, whole);
      if (lost !== undefined) return lost;
    }
  }
  return undefined;
}

/** Positions at the beginning and at the end of a context: where windows and sinks begin and end. */
const mostProbed = 24;

/**
 * A query and a later key that a mask lets it see; undefined: none among those that were tried.
 *
 * `mask` is a condition of q, k, head and same_document; positions go from 0 to `context` - 1.
 */
export function findLaterKey(
  mask: Formula,
  context: number,
  heads: number,
): { readonly q: number; readonly k: number; readonly head: number } | undefined {
  const all = Array.from({ length: Math.min(context, 2 * mostProbed) }, (_, i) => i);
  const positions = all.map((i) => (i < mostProbed ? i : context - all.length + i));
  const space = { rows: positions.length, lanes: positions.length };
  const [{ name, term }] = mask.outputs;
  const hasHeads = postorder([term]).some((below) => below.op === "input" && below.name === "head");
  for (let head = 0; head < (hasHeads ? Math.min(heads, mostProbed) : 1); head++) {
    const inputs = new Map([
      ["q", positions],
      ["k", positions],
      ["head", [head]],
      ["same_document", positions.flatMap(() => positions.map(() => 1))],
    ]);
    const visible = evaluateFormula(mask, inputs, space).outputs.get(name) ?? [];
    for (const [row, q] of positions.entries()) {
      for (const [lane, k] of positions.entries()) {
        if (k > q && visible[valueIndex(term.extent, space, row, lane)] !== 0) return { q, k, head };
      }
    }
  }
  return undefined;
}

type Point = ReadonlyMap<string, number>;

/** All combinations of probes. */
function points(inputs: readonly InputTerm[]): Point[] {
  let all: Point[] = [new Map()];
  for (const { name, kind } of inputs) {
    const probes = kind === "real" ? realProbes : kind === "integer" ? integerProbes : [0, 1];
    all = all.flatMap((point) => probes.map((value) => new Map([...point, [name, value]])));
  }
  return all;
}

/** Runs all points at once, each as a row of one element; `whole` are the inputs that are the same for all rows. */
function lostIn(formula: Formula, rows: readonly Point[], whole: Point): LostNumber | undefined {
  const inputs = new Map(
    formula.inputs.map(({ name, extent }) => {
      // A seed of the derivative is no probe: 1.
      if ((extent & ROW) === 0) return [name, [whole.get(name) ?? 1]];
      return [name, rows.map((point) => point.get(name) ?? 1)];
    }),
  );
  const space = { rows: rows.length, lanes: 1 };
  const exact = evaluateFormula(formula, inputs, space).outputs;
  const rounded = evaluateFormula(formula, inputs, space, Math.fround).outputs;
  for (const [output, values] of rounded) {
    const wanted = exact.get(output);
    const row = values.findIndex((value, i) => Number.isNaN(value) && Number.isFinite(wanted?.[i]));
    if (row < 0 || wanted === undefined) continue;
    const at = [...(rows[row] ?? []), ...whole].map(([name, value]) => `${name} = ${value}`).join(", ");
    return { at, output, exact: wanted[row] };
  }
  return undefined;
}
