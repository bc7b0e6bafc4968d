// Running error analysis of a formula: how far a kernel that rounds every operation may be from the exact value.
// The one source of tolerances for formula kernels.

import type { Evaluation, InputValues, Space } from "./evaluate.ts";
import { evaluateFormula, power, valueCount, valueIndex } from "./evaluate.ts";
import type { Formula } from "./formula.ts";
import {
  type CallTerm,
  type FunctionName,
  LANE,
  type ProductTerm,
  postorder,
  ROW,
  type SumTerm,
  type Term,
} from "./terms.ts";

export interface Arithmetic {
  /** Unit roundoff: 2^-24 for f32. */
  readonly unit: number;
  /** The longest chain of additions that a kernel uses for a sum of `count` terms. */
  readonly chain: (count: number) => number;
  /** Errors of inputs that were themselves computed, by name. */
  readonly inputErrors?: ReadonlyMap<string, ArrayLike<number>>;
}

/** Documented errors of the targets' elementary functions, in units of roundoff of the result. */
const functionUlps: Partial<Record<FunctionName, number>> = {
  exp: 4,
  log: 4,
  tanh: 6,
  sigmoid: 6,
  softplus: 8,
  erf: 8,
  quotient: 1,
};

export interface BoundedEvaluation extends Evaluation {
  /** For each output an absolute error bound per value, first order, without a safety factor. */
  readonly bounds: ReadonlyMap<string, Float64Array>;
}

/** Evaluates in f64 and bounds what rounding may do to each output. */
export function evaluateWithBounds(
  formula: Formula,
  inputs: InputValues,
  space: Space,
  arithmetic: Arithmetic,
): BoundedEvaluation {
  const evaluation = evaluateFormula(formula, inputs, space);
  const errors = new Map<Term, Float64Array>();
  for (const term of postorder(formula.outputs.map((o) => o.term))) {
    errors.set(term, termErrors(term, evaluation.values, errors, space, arithmetic));
  }
  const bounds = new Map(formula.outputs.map(({ name, term }) => [name, errors.get(term) ?? new Float64Array()]));
  return { ...evaluation, bounds };
}

type Arrays = ReadonlyMap<Term, Float64Array>;
type PointFunction = (row: number, lane: number) => number;

function termErrors(term: Term, values: Arrays, errors: Arrays, space: Space, arithmetic: Arithmetic): Float64Array {
  const result = new Float64Array(valueCount(term.extent, space));
  const value = reader(term, values, space);
  if (term.op === "input") {
    const given = arithmetic.inputErrors?.get(term.name);
    if (given !== undefined) result.set(given);
    return result;
  }
  if (term.op === "reduce") {
    reduceErrors(term, values, errors, result, space, arithmetic);
    return result;
  }
  const of = (below: Term) => ({ value: reader(below, values, space), error: reader(below, errors, space) });
  const at = errorFunction(term, value, of, arithmetic.unit);
  const rows = term.extent & ROW ? space.rows : 1;
  const lanes = term.extent & LANE ? space.lanes : 1;
  for (let row = 0; row < rows; row++) {
    for (let lane = 0; lane < lanes; lane++) result[row * lanes + lane] = at(row, lane);
  }
  return result;
}

function reader(term: Term, arrays: Arrays, space: Space): PointFunction {
  const array = arrays.get(term) ?? new Float64Array();
  const { extent } = term;
  return (row, lane) => array[valueIndex(extent, space, row, lane)];
}

function reduceErrors(
  term: Term & { op: "reduce" },
  values: Arrays,
  errors: Arrays,
  result: Float64Array,
  space: Space,
  { unit, chain }: Arithmetic,
): void {
  const value = reader(term.argument, values, space);
  const error = reader(term.argument, errors, space);
  const { extent } = term.argument;
  const count = (term.axis & LANE ? space.lanes : 1) * (term.axis & ROW ? space.rows : 1);
  const additions = chain(count) * unit;
  for (let row = 0; row < (extent & ROW ? space.rows : 1); row++) {
    for (let lane = 0; lane < (extent & LANE ? space.lanes : 1); lane++) {
      const target = valueIndex(term.extent, space, row, lane);
      const own = error(row, lane);
      if (term.reduction === "max") result[target] = Math.max(result[target], own);
      else result[target] += own + additions * (Math.abs(value(row, lane)) + own);
    }
  }
}

interface Operand {
  readonly value: PointFunction;
  readonly error: PointFunction;
}

function errorFunction(
  term: Exclude<Term, { op: "input" | "reduce" }>,
  value: PointFunction,
  of: (term: Term) => Operand,
  unit: number,
): PointFunction {
  switch (term.op) {
    case "constant":
      return () => unit * Math.abs(term.value);
    case "product":
      return productError(
        term,
        value,
        term.factors.map(([base]) => of(base)),
        unit,
      );
    case "sum":
      return sumError(
        term,
        term.summands.map(([summand]) => of(summand)),
        unit,
      );
    case "call":
      return callError(term, value, term.args.map(of), unit);
    default:
      return () => 0;
  }
}

function productError(term: ProductTerm, value: PointFunction, bases: Operand[], unit: number): PointFunction {
  const roundings = 2 + term.factors.reduce((count, [, exponent]) => count + Math.ceil(Math.abs(exponent)) + 1, 0);
  return (row, lane) => {
    let error = roundings * unit * Math.abs(value(row, lane));
    term.factors.forEach(([, exponent], i) => {
      const own = bases[i].error(row, lane);
      if (own === 0) return;
      let slope = Math.abs(term.coefficient * exponent * power(bases[i].value(row, lane), exponent - 1));
      term.factors.forEach(([, other], j) => {
        if (j !== i) slope *= Math.abs(power(bases[j].value(row, lane), other));
      });
      error += slope * own;
    });
    return error;
  };
}

function sumError(term: SumTerm, summands: Operand[], unit: number): PointFunction {
  const roundings = term.summands.length + 2;
  return (row, lane) => {
    let magnitude = Math.abs(term.constant);
    let error = 0;
    term.summands.forEach(([, coefficient], i) => {
      magnitude += Math.abs(coefficient * summands[i].value(row, lane));
      error += Math.abs(coefficient) * summands[i].error(row, lane);
    });
    return error + roundings * unit * magnitude;
  };
}

/** A condition's error is 1 where rounding may flip it, else 0. */
function callError(term: CallTerm, value: PointFunction, args: Operand[], unit: number): PointFunction {
  const [x, y, z] = args;
  const own = (functionUlps[term.callee] ?? 0) * unit;
  const through = (slope: (value: number, x: number) => number): PointFunction => {
    return (row, lane) => {
      const result = value(row, lane);
      return own * Math.abs(result) + Math.abs(slope(result, x.value(row, lane))) * x.error(row, lane);
    };
  };
  switch (term.callee) {
    case "exp":
      return (row, lane) => Math.abs(value(row, lane)) * (own + Math.expm1(x.error(row, lane)));
    case "log":
      return through((_, at) => 1 / at);
    case "tanh":
      return through((result) => 1 - result * result + unit);
    case "sigmoid":
      return through((result) => result * (1 - result) + unit);
    case "softplus":
      return through((_, at) => 1 / (1 + Math.exp(-at)));
    case "erf":
      return through((_, at) => (2 / Math.sqrt(Math.PI)) * Math.exp(-at * at) + unit);
    case "abs":
    case "stop":
      return x.error;
    case "quotient":
      return (row, lane) => {
        const divisor = Math.abs(y.value(row, lane));
        const result = Math.abs(value(row, lane));
        return own * result + (x.error(row, lane) + result * y.error(row, lane)) / divisor;
      };
    case "max":
    case "min":
      return (row, lane) => Math.max(x.error(row, lane), y.error(row, lane));
    case "select":
      return (row, lane) => {
        const [left, right] = [y.error(row, lane), z.error(row, lane)];
        if (x.error(row, lane) === 0) return x.value(row, lane) !== 0 ? left : right;
        return left + right + Math.abs(y.value(row, lane) - z.value(row, lane));
      };
    case "less":
    case "less_or_equal":
    case "equal":
      return (row, lane) => {
        const slack = x.error(row, lane) + y.error(row, lane);
        return slack > 0 && Math.abs(x.value(row, lane) - y.value(row, lane)) <= slack ? 1 : 0;
      };
    case "and":
    case "or":
      return (row, lane) => Math.max(x.error(row, lane), y.error(row, lane));
    default:
      return () => 0;
  }
}
