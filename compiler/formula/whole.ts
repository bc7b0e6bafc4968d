// Whole-number arithmetic on positions and heads: which values a term can have, and whether kernels compute it exactly.
// Integers of kernels have 32 bits and wrap, floats are exact up to 2^24; what leaves both is never compared.

import type { Draft, Factor, FunctionName, Summand, Term } from "./terms.ts";

/** The ends of what an integer can be, both included. */
export interface IntegerRange {
  readonly low: number;
  readonly high: number;
}

export interface Whole extends IntegerRange {
  /** Whether kernels compute it without rounding: in 32-bit integers, or in floats that never leave ±2^24. */
  readonly isExact: boolean;
}

const mostInteger = 2 ** 31 - 1;
/** Every whole number up to here is an f32. */
const mostExactFloat = 2 ** 24;

/** Positions, and what else counts from 0: limits.ts bounds the context by 2^24. */
const anyPosition: Whole = { low: 0, high: 2 ** 24 - 1, isExact: true };

export const isMachineInteger = (value: number): boolean => Number.isInteger(value) && Math.abs(value) <= mostInteger;

export const wholeRange = ({ low, high }: IntegerRange): Whole => ({ low, high, isExact: true });

const magnitude = ({ low, high }: IntegerRange): number => Math.max(Math.abs(low), Math.abs(high));

/** A bound of all partial sums of `constant + Σ coefficient · term`, in whatever order they are added. */
function largestPartial(constant: number, summands: readonly Summand[]): number {
  return summands.reduce((sum, [{ whole }, coefficient]) => {
    return sum + Math.abs(coefficient) * Math.max(1, whole === undefined ? Number.POSITIVE_INFINITY : magnitude(whole));
  }, Math.abs(constant));
}

/** Whether a sum is computed in 32-bit integers. */
export function isIntegerSum(constant: number, summands: readonly Summand[]): boolean {
  const areIntegers = summands.every(([term, c]) => term.kind === "integer" && Number.isInteger(c));
  return areIntegers && Number.isInteger(constant) && largestPartial(constant, summands) <= mostInteger;
}

/** Whether a product is computed in 32-bit integers: only a scaled integer is. */
export function isIntegerProduct(scale: number, factors: readonly Factor[]): boolean {
  const [[base, exponent] = []] = factors;
  if (base === undefined || factors.length > 1 || exponent !== 1 || base.kind !== "integer") return false;
  return Number.isInteger(scale) && largestPartial(0, [[base, scale]]) <= mostInteger;
}

/** Whether a call is computed in 32-bit integers. */
export const keepsIntegers = (callee: FunctionName, args: readonly Term[]): boolean =>
  (callee === "max" || callee === "min" || callee === "abs") && args.every(({ kind }) => kind === "integer");

/** What is known of a term that computes with whole numbers only; undefined for all others. */
export function wholeOf(draft: Draft): Whole | undefined {
  switch (draft.op) {
    case "constant":
      if (!Number.isInteger(draft.value)) return undefined;
      return {
        low: draft.value,
        high: draft.value,
        isExact: draft.kind === "integer" || isExactConstant(draft.value),
      };
    case "input":
      return draft.kind === "integer" ? anyPosition : undefined;
    case "index":
      return { low: 0, high: mostInteger, isExact: true };
    case "pick":
      return draft.input.whole;
    case "sum":
      return wholeSum(draft);
    case "product":
      return wholeProduct(draft);
    case "call":
      return wholeCall(draft);
    default:
      return undefined;
  }
}

type DraftOf<Op extends Draft["op"]> = Extract<Draft, { readonly op: Op }>;

function wholeSum({ constant, summands, kind }: DraftOf<"sum">): Whole | undefined {
  let [low, high, isExact] = [constant, constant, true];
  if (!Number.isInteger(constant)) return undefined;
  for (const [{ whole }, coefficient] of summands) {
    if (whole === undefined || !Number.isInteger(coefficient)) return undefined;
    const ends = [whole.low * coefficient, whole.high * coefficient];
    low += Math.min(...ends);
    high += Math.max(...ends);
    isExact &&= whole.isExact;
  }
  return {
    low,
    high,
    isExact: kind === "integer" || (isExact && largestPartial(constant, summands) <= mostExactFloat),
  };
}

function wholeProduct({ coefficient, factors, kind }: DraftOf<"product">): Whole | undefined {
  if (!Number.isInteger(coefficient)) return undefined;
  let product: IntegerRange = { low: coefficient, high: coefficient };
  let largest = Math.abs(coefficient);
  let isExact = true;
  for (const [{ whole }, exponent] of factors) {
    if (whole === undefined || !Number.isInteger(exponent) || exponent < 0) return undefined;
    for (let i = 0; i < exponent; i++) {
      const { low, high } = product;
      const corners = [low * whole.low, low * whole.high, high * whole.low, high * whole.high];
      product = { low: Math.min(...corners), high: Math.max(...corners) };
      largest *= Math.max(1, magnitude(whole));
    }
    // An even power of one thing is not the product of two.
    if (factors.length === 1 && exponent % 2 === 0) product = evenPower(coefficient, product, whole);
    isExact &&= whole.isExact;
  }
  return { ...product, isExact: kind === "integer" || (isExact && largest <= mostExactFloat) };
}

function evenPower(coefficient: number, { low, high }: IntegerRange, base: IntegerRange): IntegerRange {
  const crossesZero = base.low < 0 && base.high > 0;
  if (coefficient > 0) return { low: crossesZero ? 0 : Math.max(0, low), high };
  return { low, high: crossesZero ? 0 : Math.min(0, high) };
}

function wholeCall({ callee, args, kind }: DraftOf<"call">): Whole | undefined {
  const wholes = (callee === "select" ? args.slice(1) : args).map(({ whole }) => whole);
  const [x, y = x] = wholes;
  if (x === undefined || y === undefined || wholes.includes(undefined)) return undefined;
  const range = callRange(callee, x, y);
  const isExact = kind === "integer" || [x, y].every((arg) => arg.isExact && magnitude(arg) <= mostExactFloat);
  return range && { ...range, isExact };
}

function callRange(callee: FunctionName, x: IntegerRange, y: IntegerRange): IntegerRange | undefined {
  switch (callee) {
    case "max":
      return { low: Math.max(x.low, y.low), high: Math.max(x.high, y.high) };
    case "min":
      return { low: Math.min(x.low, y.low), high: Math.min(x.high, y.high) };
    case "select":
      return { low: Math.min(x.low, y.low), high: Math.max(x.high, y.high) };
    case "abs":
      return { low: Math.max(0, x.low, -x.high), high: magnitude(x) };
    case "sign":
      return { low: Math.sign(x.low), high: Math.sign(x.high) };
    case "floor":
    case "stop":
      return { low: x.low, high: x.high };
    default:
      return undefined;
  }
}

/** A side of a comparison with whole numbers: whole itself, or a constant, which may lie between two of them. */
export function comparable(term: Term): Whole | undefined {
  if (term.op !== "constant" || Number.isInteger(term.value)) return term.whole;
  const rounded = Math.fround(term.value);
  const staysBetween = !Number.isInteger(rounded) && Math.floor(rounded) === Math.floor(term.value);
  return { low: term.value, high: term.value, isExact: staysBetween };
}

/** Whether a side of a comparison is exact as an f32. */
export const isExactFloat = (term: Term, side: Whole): boolean =>
  side.isExact && (term.op === "constant" ? isExactConstant(term.value) : magnitude(side) <= mostExactFloat);

const isExactConstant = (value: number): boolean => !Number.isInteger(value) || Math.fround(value) === value;

/** What a comparison of whole numbers is for all their values; undefined where it depends on them. */
export function decided(callee: FunctionName, x: IntegerRange, y: IntegerRange): boolean | undefined {
  switch (callee) {
    case "less":
      return x.high < y.low ? true : x.low >= y.high ? false : undefined;
    case "less_or_equal":
      return x.high <= y.low ? true : x.low > y.high ? false : undefined;
    case "equal":
      return x.high < y.low || y.high < x.low ? false : undefined;
    default:
      return undefined;
  }
}
