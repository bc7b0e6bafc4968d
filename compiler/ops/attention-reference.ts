// Attention of one head in f64, forward and backward, with error bounds: plain loops over all pairs of query and key.
// Serves the ops of attention.ts and attention-paged.ts; written apart from every kernel.

import { evaluateWithBounds } from "../formula/bounds.ts";
import { differentiateFormula } from "../formula/derivative.ts";
import type { Formula } from "../formula/formula.ts";
import { chainLength } from "./formula-binding.ts";
import type { AttentionFormulas } from "./skeletons.ts";

const unit = 2 ** -24;
/** Exponentials of every target are good to this many units of roundoff. */
const exponentialUlps = 4;

/** Vectors of one head: `get(i, c)` is column c of row i. */
export interface HeadRows {
  readonly count: number;
  readonly get: (row: number, column: number) => number;
}

export interface HeadCase {
  readonly q: HeadRows;
  readonly k: HeadRows;
  readonly v: HeadRows;
  /** Channels of a query and a key, and of a value. */
  readonly keyDim: number;
  readonly valueDim: number;
  readonly head: number;
  readonly scale: number;
  /** A logit that takes part in the softmax and has no value; undefined: none. */
  readonly sink: number | undefined;
  readonly formulas: AttentionFormulas;
  /** Positions of queries and keys, and whether query i and key j are of one document. */
  readonly qPosition: (i: number) => number;
  readonly kPosition: (j: number) => number;
  readonly sameDocument: (i: number, j: number) => boolean;
}

/** Scores of all pairs with their error bounds; masked pairs have `isMasked`. */
interface Scores {
  readonly s: Float64Array;
  readonly sError: Float64Array;
  readonly y: Float64Array;
  readonly yError: Float64Array;
  readonly isVisible: Float64Array;
  readonly inputs: ReadonlyMap<string, Float64Array>;
}

const dot = (
  a: HeadRows,
  i: number,
  b: HeadRows,
  j: number,
  width: number,
  map: (x: number) => number = (x) => x,
): number => {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += map(a.get(i, c) * b.get(j, c));
  return sum;
};

function scoresOf(head: HeadCase): Scores {
  const { q, k, keyDim, scale, formulas } = head;
  const [n, m] = [q.count, k.count];
  const s = new Float64Array(n * m);
  const sError = new Float64Array(n * m);
  const sameDocument = new Float64Array(n * m);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      s[i * m + j] = scale * dot(q, i, k, j, keyDim);
      sError[i * m + j] = scale * (keyDim + 2) * unit * dot(q, i, k, j, keyDim, Math.abs);
      sameDocument[i * m + j] = head.sameDocument(i, j) ? 1 : 0;
    }
  }
  const inputs = new Map([
    ["s", s],
    ["q", Float64Array.from({ length: n }, (_, i) => head.qPosition(i))],
    ["k", Float64Array.from({ length: m }, (_, j) => head.kPosition(j))],
    ["head", Float64Array.of(head.head)],
    ["same_document", sameDocument],
  ]);
  const score = run(formulas.score, inputs, n, m, new Map([["s", sError]]));
  const mask = run(formulas.mask, inputs, n, m, new Map());
  return { s, sError, y: score.value, yError: score.error, isVisible: mask.value, inputs };
}

/** One output of a formula over [n, m], repeated where it varies less. */
function run(
  formula: Formula,
  inputs: ReadonlyMap<string, Float64Array>,
  n: number,
  m: number,
  inputErrors: ReadonlyMap<string, Float64Array>,
): { value: Float64Array; error: Float64Array } {
  const space = { rows: n, lanes: m };
  const { outputs, bounds } = evaluateWithBounds(formula, inputs, space, { unit, chain: chainLength, inputErrors });
  const [{ name }] = formula.outputs;
  const spread = (values: Float64Array): Float64Array => {
    if (values.length === n * m) return values;
    return Float64Array.from({ length: n * m }, (_, at) => {
      if (values.length === 1) return values[0];
      return formula.outputs[0].term.extent === 1 ? values[Math.floor(at / m)] : values[at % m];
    });
  };
  return {
    value: spread(outputs.get(name) ?? new Float64Array()),
    error: spread(bounds.get(name) ?? new Float64Array()),
  };
}

export interface HeadOutput {
  /** [queries, valueDim] */
  readonly out: Float64Array;
  readonly outBound: Float64Array;
  /** Per query, the sink counted in; 0 where there is none and everything is masked. */
  readonly logSumExp: Float64Array;
  readonly logSumExpBound: Float64Array;
}

export function attendHead(head: HeadCase): HeadOutput {
  const { q, k, v, valueDim, sink } = head;
  const [n, m] = [q.count, k.count];
  const { y, yError, isVisible } = scoresOf(head);
  const result: HeadOutput = {
    out: new Float64Array(n * valueDim),
    outBound: new Float64Array(n * valueDim),
    logSumExp: new Float64Array(n),
    logSumExpBound: new Float64Array(n),
  };
  for (let i = 0; i < n; i++) {
    const row = Array.from({ length: m }, (_, j) => j).filter((j) => isVisible[i * m + j] !== 0);
    if (row.length === 0 && sink === undefined) continue;
    const most = row.reduce((a, j) => Math.max(a, y[i * m + j]), sink ?? Number.NEGATIVE_INFINITY);
    const weights = row.map((j) => Math.exp(y[i * m + j] - most));
    const sinkWeight = sink === undefined ? 0 : Math.exp(sink - most);
    const total = weights.reduce((a, b) => a + b, sinkWeight);
    // Relative error of each exponential: its argument's, its own, and one rescaling per block of keys.
    const deltas = row.map(
      (j) =>
        yError[i * m + j] + unit * (2 * Math.abs(y[i * m + j]) + 2 * Math.abs(most) + exponentialUlps + 2 + m / 16),
    );
    // The sink enters exactly; its weight is rescaled whenever a larger score is met.
    const sinkDelta = unit * (2 * Math.abs(sink ?? 0) + 2 * Math.abs(most) + exponentialUlps + 2 + m / 16);
    const weighed = row.reduce((sum, _, a) => sum + (weights[a] / total) * deltas[a], (sinkWeight / total) * sinkDelta);
    const mean = weighed + chainLength(m) * unit;
    result.logSumExp[i] = most + Math.log(total);
    result.logSumExpBound[i] = mean + unit * (4 + Math.abs(most) + Math.abs(result.logSumExp[i]));
    row.forEach((j, a) => {
      const weight = weights[a] / total;
      for (let c = 0; c < valueDim; c++) {
        const value = v.get(j, c);
        result.out[i * valueDim + c] += weight * value;
        result.outBound[i * valueDim + c] += weight * Math.abs(value) * (deltas[a] + mean + (row.length + 4) * unit);
      }
    });
  }
  return result;
}

export interface HeadGradients {
  readonly dQ: Float64Array;
  readonly dQBound: Float64Array;
  readonly dK: Float64Array;
  readonly dKBound: Float64Array;
  readonly dV: Float64Array;
  readonly dVBound: Float64Array;
}

export interface HeadGradientCase extends HeadCase {
  readonly out: HeadRows;
  readonly dOut: HeadRows;
  readonly logSumExp: (i: number) => number;
}

/** With p = exp(y - lse): dV = pᵀ dOut, dy = p (dOut·v - out·dOut), ds = dy · score'(s), dQ = scale ds K, dK = scale dsᵀ Q. */
export function attendHeadBackward(head: HeadGradientCase): HeadGradients {
  const { q, k, v, out, dOut, valueDim, scale } = head;
  const [n, m] = [q.count, k.count];
  const { y, yError, sError, isVisible, inputs } = scoresOf(head);
  const p = new Float64Array(n * m);
  const pError = new Float64Array(n * m);
  const dY = new Float64Array(n * m);
  const dYError = new Float64Array(n * m);
  for (let i = 0; i < n; i++) {
    const lse = head.logSumExp(i);
    const delta = dot(out, i, dOut, i, valueDim);
    const deltaError = (valueDim + 1) * unit * dot(out, i, dOut, i, valueDim, Math.abs);
    for (let j = 0; j < m; j++) {
      const at = i * m + j;
      if (isVisible[at] === 0) continue;
      p[at] = Math.exp(y[at] - lse);
      pError[at] = p[at] * (yError[at] + unit * (Math.abs(y[at]) + Math.abs(lse) + exponentialUlps));
      const dP = dot(v, j, dOut, i, valueDim);
      const dPError = (valueDim + 1) * unit * dot(v, j, dOut, i, valueDim, Math.abs);
      dY[at] = p[at] * (dP - delta);
      const spread = dPError + deltaError + 2 * unit * (Math.abs(dP) + Math.abs(delta));
      dYError[at] = pError[at] * Math.abs(dP - delta) + p[at] * spread;
    }
  }
  const derivative = differentiateFormula(head.formulas.score, { by: ["s"], seedExtents: new Map() });
  const seed = derivative.inputs.find((input) => input.name.startsWith("d_"))?.name ?? "d_y";
  const withSeed = new Map([...inputs, [seed, dY]]);
  const dS = run(
    derivative,
    withSeed,
    n,
    m,
    new Map([
      ["s", sError],
      [seed, dYError],
    ]),
  );
  // A hidden pair adds nothing, even where its score has no slope.
  for (let at = 0; at < n * m; at++) {
    if (isVisible[at] === 0) dS.value[at] = dS.error[at] = 0;
  }
  return gather(head, p, pError, dS.value, dS.error, { n, m, scale });
}

function gather(
  head: HeadGradientCase,
  p: Float64Array,
  pError: Float64Array,
  dS: Float64Array,
  dSError: Float64Array,
  { n, m, scale }: { n: number; m: number; scale: number },
): HeadGradients {
  const { q, k, dOut, keyDim, valueDim } = head;
  const make = (rows: number, columns = keyDim) => new Float64Array(rows * columns);
  const [dV, dVBound] = [make(m, valueDim), make(m, valueDim)];
  const result = { dQ: make(n), dQBound: make(n), dK: make(m), dKBound: make(m), dV, dVBound };
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      const at = i * m + j;
      const ds = scale * dS[at];
      const dsError = scale * dSError[at] + 2 * unit * Math.abs(ds);
      for (let c = 0; c < keyDim; c++) {
        const [toQ, toK] = [i * keyDim + c, j * keyDim + c];
        result.dQ[toQ] += ds * k.get(j, c);
        result.dQBound[toQ] += (dsError + (m + 2) * unit * Math.abs(ds)) * Math.abs(k.get(j, c));
        result.dK[toK] += ds * q.get(i, c);
        result.dKBound[toK] += (dsError + (n + 2) * unit * Math.abs(ds)) * Math.abs(q.get(i, c));
      }
      for (let c = 0; c < valueDim; c++) {
        const toV = j * valueDim + c;
        result.dV[toV] += p[at] * dOut.get(i, c);
        result.dVBound[toV] += (pError[at] + (n + 2) * unit * p[at]) * Math.abs(dOut.get(i, c));
      }
    }
  }
  return result;
}
