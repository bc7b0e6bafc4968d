// The meaning of a formula: evaluates normal forms on arrays in f64, or rounding after every operation.

import type { Formula } from "./formula.ts";
import {
  type CallTerm,
  type Extent,
  type FunctionName,
  LANE,
  operands,
  type ProductTerm,
  postorder,
  ROW,
  type SumTerm,
  type Term,
} from "./terms.ts";

/** The space that a formula runs over. */
export interface Space {
  readonly rows: number;
  readonly lanes: number;
}

/** How many values a term of this extent has. */
export function valueCount(extent: Extent, space: Space): number {
  return (extent & ROW ? space.rows : 1) * (extent & LANE ? space.lanes : 1);
}

/** Where the value for (row, lane) stands. */
export function valueIndex(extent: Extent, space: Space, row: number, lane: number): number {
  return (extent & ROW ? row : 0) * (extent & LANE ? space.lanes : 1) + (extent & LANE ? lane : 0);
}

/** Input values by name: one per element [rows, lanes], row, column or one in all, as the input's extent says. */
export type InputValues = ReadonlyMap<string, ArrayLike<number>>;

export interface Evaluation {
  readonly outputs: ReadonlyMap<string, Float64Array>;
  /** Every term's values, for error analysis. */
  readonly values: ReadonlyMap<Term, Float64Array>;
}

/** Evaluates all outputs; `round` is applied to the result of every operation (Math.fround for f32). */
export function evaluateFormula(
  formula: Formula,
  inputs: InputValues,
  space: Space,
  round: (value: number) => number = (value) => value,
): Evaluation {
  const values = new Map<Term, Float64Array>();
  for (const term of postorder(formula.outputs.map((o) => o.term))) {
    values.set(term, evaluateTerm(term, values, inputs, space, round));
  }
  const outputs = new Map(formula.outputs.map(({ name, term }) => [name, values.get(term) ?? new Float64Array()]));
  return { outputs, values };
}

type Values = ReadonlyMap<Term, Float64Array>;

function evaluateTerm(
  term: Term,
  values: Values,
  inputs: InputValues,
  space: Space,
  round: (value: number) => number,
): Float64Array {
  const result = new Float64Array(valueCount(term.extent, space));
  if (term.op === "input") {
    const given = inputs.get(term.name);
    if (given === undefined || given.length !== result.length) {
      throw new RangeError(`formula input ${term.name} needs ${result.length} values, got ${given?.length}`);
    }
    result.set(given);
    return result;
  }
  if (term.op === "reduce") {
    reduce(term, values.get(term.argument) ?? new Float64Array(), result, space, round);
    return result;
  }
  const at = pointFunction(term, values, inputs, space, round);
  const rows = term.extent & ROW ? space.rows : 1;
  const lanes = term.extent & LANE ? space.lanes : 1;
  for (let row = 0; row < rows; row++) {
    for (let lane = 0; lane < lanes; lane++) result[row * lanes + lane] = at(row, lane);
  }
  return result;
}

function reduce(
  term: Term & { op: "reduce" },
  argument: Float64Array,
  result: Float64Array,
  space: Space,
  round: (value: number) => number,
): void {
  const extent = term.argument.extent;
  result.fill(term.reduction === "sum" ? 0 : Number.NEGATIVE_INFINITY);
  for (let row = 0; row < (extent & ROW ? space.rows : 1); row++) {
    for (let lane = 0; lane < (extent & LANE ? space.lanes : 1); lane++) {
      const target = valueIndex(term.extent, space, row, lane);
      const value = argument[valueIndex(extent, space, row, lane)];
      result[target] = term.reduction === "sum" ? round(result[target] + value) : Math.max(result[target], value);
    }
  }
}

type PointFunction = (row: number, lane: number) => number;

function pointFunction(
  term: Exclude<Term, { op: "input" | "reduce" }>,
  values: Values,
  inputs: InputValues,
  space: Space,
  round: (value: number) => number,
): PointFunction {
  const read = (below: Term): PointFunction => {
    const array = values.get(below) ?? new Float64Array();
    const { extent } = below;
    return (row, lane) => array[valueIndex(extent, space, row, lane)];
  };
  switch (term.op) {
    case "constant": {
      const value = round(term.value);
      return () => value;
    }
    case "index":
      return (row, lane) => (term.axis === LANE ? lane : row);
    case "count":
      return () => (term.axis === LANE ? space.lanes : space.rows);
    case "product":
      return productFunction(term, operands(term).map(read), round);
    case "sum":
      return sumFunction(term, operands(term).map(read), round);
    case "call":
      return callFunction(term, term.args.map(read), round);
    case "pick": {
      const index = read(term.index);
      const array = inputs.get(term.input.name) ?? [];
      return (row, lane) => array[valueIndex(term.input.extent, space, row, index(row, lane))];
    }
  }
}

function productFunction(term: ProductTerm, below: PointFunction[], round: (value: number) => number): PointFunction {
  const scale = round(term.coefficient);
  return (row, lane) => {
    let result = scale;
    term.factors.forEach(([, exponent], i) => {
      result = round(result * round(power(below[i](row, lane), exponent)));
    });
    return result;
  };
}

function sumFunction(term: SumTerm, below: PointFunction[], round: (value: number) => number): PointFunction {
  const constant = round(term.constant);
  return (row, lane) => {
    let result = constant;
    term.summands.forEach(([, coefficient], i) => {
      result = round(result + round(round(coefficient) * below[i](row, lane)));
    });
    return result;
  };
}

function callFunction(term: CallTerm, below: PointFunction[], round: (value: number) => number): PointFunction {
  const apply = functionValues[term.callee];
  const [x, y, z] = below;
  if (z !== undefined) return (row, lane) => apply(x(row, lane), y(row, lane), z(row, lane));
  if (y !== undefined) return (row, lane) => round(apply(x(row, lane), y(row, lane), 0));
  return (row, lane) => round(apply(x(row, lane), 0, 0));
}

/** The value of a function of constants. */
export function constantValue({ callee, args }: CallTerm): number {
  const [x, y = 0, z = 0] = args.map((arg) => (arg.op === "constant" ? arg.value : Number.NaN));
  return functionValues[callee](x, y, z);
}

/** base^exponent for exponents that are multiples of 1/2. */
export function power(base: number, exponent: number): number {
  if (exponent === 1) return base;
  const whole = Math.floor(Math.abs(exponent));
  const half = Math.abs(exponent) === whole ? 1 : Math.sqrt(base);
  const result = base ** whole * half;
  return exponent < 0 ? 1 / result : result;
}

/** Conditions are 1 and 0. */
const functionValues: Record<FunctionName, (x: number, y: number, z: number) => number> = {
  exp: (x) => Math.exp(x),
  log: (x) => Math.log(x),
  tanh: (x) => Math.tanh(x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  erf,
  abs: (x) => Math.abs(x),
  sign: (x) => Math.sign(x),
  floor: (x) => Math.floor(x),
  max: (x, y) => Math.max(x, y),
  min: (x, y) => Math.min(x, y),
  select: (condition, x, y) => (condition !== 0 ? x : y),
  quotient: (x, y) => x / y,
  stop: (x) => x,
  less: (x, y) => (x < y ? 1 : 0),
  less_or_equal: (x, y) => (x <= y ? 1 : 0),
  equal: (x, y) => (x === y ? 1 : 0),
  and: (x, y) => (x !== 0 && y !== 0 ? 1 : 0),
  or: (x, y) => (x !== 0 || y !== 0 ? 1 : 0),
  not: (x) => (x === 0 ? 1 : 0),
};

/**
 * The error function to about 1e-16: Taylor series below 2.5, Lentz's continued fraction of erfc above.
 *
 * Source: Abramowitz and Stegun 7.1.5 and 7.1.14.
 */
export function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (magnitude > 6) return Math.sign(x);
  if (magnitude < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (magnitude + fraction);
  const complement = Math.exp(-magnitude * magnitude) / ((magnitude + fraction) * Math.sqrt(Math.PI));
  return Math.sign(x) * (1 - complement);
}
