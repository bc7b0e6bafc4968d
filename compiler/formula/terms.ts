// The normal form of formulas: hash-consed terms in which simplification is what the constructors do. A product is a
// coefficient times powers of bases, a sum a constant plus scaled terms; everything else is a named function.
// Knows no syntax, no target and no op.

import { invariant } from "../source/diagnostic.ts";
import { walkPostorder } from "./postorder.ts";
import {
  type IntegerRange,
  isIntegerProduct,
  isIntegerSum,
  isMachineInteger,
  keepsIntegers,
  type Whole,
  wholeOf,
  wholeRange,
} from "./whole.ts";

/** A set of axes: a value with extent {row, lane} differs per element, {row} per row, {lane} per column, {} not at all. */
export type Extent = number;
export const UNIFORM: Extent = 0;
export const ROW: Extent = 1;
/** As an extent of its own: what changes per column only, such as a gain. */
export const LANE: Extent = 2;
export const ELEMENT: Extent = ROW | LANE;

export type Kind = "real" | "integer" | "condition";

/** Functions that stay functions in the normal form; quotients, roots and powers are products, silu and the like expand. */
export type FunctionName =
  | "exp"
  | "log"
  | "tanh"
  | "sigmoid"
  | "softplus"
  | "erf"
  | "abs"
  | "sign"
  | "floor"
  | "max"
  | "min"
  | "select"
  | "quotient"
  | "stop"
  | "less"
  | "less_or_equal"
  | "equal"
  | "and"
  | "or"
  | "not";

export type Factor = readonly [base: Term, exponent: number];
export type Summand = readonly [term: Term, coefficient: number];

interface Common {
  readonly id: number;
  readonly extent: Extent;
  readonly kind: Kind;
  /** The longest chain of operands below, so that recursion over terms can be bounded before it starts. */
  readonly depth: number;
  /** What is known of a term that only computes with whole numbers; undefined for all others. */
  readonly whole: Whole | undefined;
}

export type ConstantTerm = Common & { readonly op: "constant"; readonly value: number };
export type InputTerm = Common & { readonly op: "input"; readonly name: string };
/** The column or row number of the element, from 0. */
export type IndexTerm = Common & { readonly op: "index"; readonly axis: Extent };
/** How many columns (LANE) or rows (ROW) there are. */
export type CountTerm = Common & { readonly op: "count"; readonly axis: Extent };
export type ProductTerm = Common & {
  readonly op: "product";
  readonly coefficient: number;
  readonly factors: readonly Factor[];
};
export type SumTerm = Common & {
  readonly op: "sum";
  readonly constant: number;
  readonly summands: readonly Summand[];
};
export type CallTerm = Common & { readonly op: "call"; readonly callee: FunctionName; readonly args: readonly Term[] };
/** Sum or maximum of `argument` over an axis. */
export type ReduceTerm = Common & {
  readonly op: "reduce";
  readonly reduction: "sum" | "max";
  readonly axis: Extent;
  readonly argument: Term;
};
/** The input's value in column `index`, which does not change along the row. */
export type PickTerm = Common & { readonly op: "pick"; readonly input: InputTerm; readonly index: Term };

export type Term =
  | ConstantTerm
  | InputTerm
  | IndexTerm
  | CountTerm
  | ProductTerm
  | SumTerm
  | CallTerm
  | ReduceTerm
  | PickTerm;

/** A term before it is given its number and depth; distributes over the union. */
export type Draft = Term extends infer T ? (T extends Term ? Omit<T, "id" | "depth" | "whole"> : never) : never;

const conditionCalls: ReadonlySet<FunctionName> = new Set(["less", "less_or_equal", "equal", "and", "or", "not"]);

/** Terms a term is made of. */
export function operands(term: Draft): readonly Term[] {
  switch (term.op) {
    case "product":
      return term.factors.map(([base]) => base);
    case "sum":
      return term.summands.map(([summand]) => summand);
    case "call":
      return term.args;
    case "reduce":
      return [term.argument];
    case "pick":
      return [term.input, term.index];
    default:
      return [];
  }
}

/** All terms below the roots, operands first; does not descend where `stop` holds. */
export function postorder(roots: readonly Term[], stop: (term: Term) => boolean = () => false): Term[] {
  return walkPostorder(roots, operands, stop);
}

/** Splits a term into coefficient and factors, as a product has them. */
export function asFactors(term: Term): { coefficient: number; factors: readonly Factor[] } {
  if (term.op === "product") return term;
  if (term.op === "constant") return { coefficient: term.value, factors: [] };
  return { coefficient: 1, factors: [[term, 1]] };
}

/** The table of one formula's terms; equal terms are one object. */
export class Terms {
  readonly #table = new Map<string, Term>();
  readonly zero: Term;
  readonly one: Term;

  constructor() {
    this.zero = this.constant(0);
    this.one = this.constant(1);
  }

  get size(): number {
    return this.#table.size;
  }

  #intern(key: string, draft: Draft, whole = wholeOf(draft)): Term {
    const known = this.#table.get(key);
    if (known !== undefined) return known;
    const depth = operands(draft).reduce((deepest, operand) => Math.max(deepest, operand.depth + 1), 0);
    const term = { ...draft, id: this.#table.size, depth, whole } as Term;
    this.#table.set(key, term);
    return term;
  }

  constant(value: number): Term {
    const clean = value === 0 ? 0 : value;
    return this.#intern(`constant ${clean}`, {
      op: "constant",
      value: clean,
      extent: UNIFORM,
      kind: isMachineInteger(clean) ? "integer" : "real",
    });
  }

  /** `range` bounds an integer; a position below 2^24 if left out. */
  input(name: string, extent: Extent, kind: Kind = "real", range?: IntegerRange): InputTerm {
    const draft: Draft = { op: "input", name, extent, kind };
    return this.#intern(`input ${name}`, draft, range && wholeRange(range)) as InputTerm;
  }

  index(axis: Extent): Term {
    return this.#intern(`index ${axis}`, { op: "index", axis, extent: axis, kind: "integer" });
  }

  count(axis: Extent): Term {
    return this.#intern(`count ${axis}`, { op: "count", axis, extent: UNIFORM, kind: "real" });
  }

  /** coefficient · Π base^exponent. Exponents are multiples of 1/2. 0 · x = 0 and x · x^-1 = 1 drop NaN on purpose. */
  product(coefficient: number, factors: readonly Factor[]): Term {
    const collected = new Map<Term, number>();
    let scale = coefficient;
    const put = (base: Term, exponent: number): void => {
      if (base.op === "constant") scale *= power(base.value, exponent);
      else if (base.op === "product" && Number.isInteger(exponent)) {
        scale *= power(base.coefficient, exponent);
        for (const [inner, power] of base.factors) put(inner, power * exponent);
      } else if (base.op === "product" && base.coefficient !== 1 && base.coefficient > 0) {
        // (c·x)^(k/2) = c^(k/2)·x^(k/2); factors inside stay together, because (x²)^½ is |x|.
        scale *= power(base.coefficient, exponent);
        put(this.product(1, base.factors), exponent);
      } else {
        const sigmoid = exponent < 0 && Number.isInteger(exponent) ? this.#sigmoidOf(base) : undefined;
        if (sigmoid !== undefined) put(sigmoid, -exponent);
        else collected.set(base, (collected.get(base) ?? 0) + exponent);
      }
    };
    for (const [base, exponent] of factors) put(base, exponent);
    this.#absorbExponentials(collected);
    const kept = [...collected].filter(([, exponent]) => exponent !== 0).sort((a, b) => a[0].id - b[0].id);
    if (scale === 0 || kept.length === 0) return this.constant(scale);
    if (scale === 1 && kept.length === 1 && kept[0][1] === 1) return kept[0][0];
    return this.#intern(`product ${scale} ${kept.map(([base, exponent]) => `${base.id}^${exponent}`).join(" ")}`, {
      op: "product",
      coefficient: scale,
      factors: kept,
      extent: unionOf(kept),
      kind: isIntegerProduct(scale, kept) ? "integer" : "real",
    });
  }

  /** 1 + exp(-u) is 1 / sigmoid(u): the only form whose derivative cannot become infinity times zero. */
  #sigmoidOf(base: Term): Term | undefined {
    const exponential = onePlusExponential(base);
    return exponential && this.call("sigmoid", [this.negate(exponential.args[0])]);
  }

  /** exp(u) · sigmoid(-u) = sigmoid(u), for the same reason. */
  #absorbExponentials(factors: Map<Term, number>): void {
    for (const [base, exponent] of [...factors]) {
      if (base.op !== "call" || base.callee !== "sigmoid" || exponent <= 0) continue;
      const opposite = this.negate(base.args[0]);
      for (const [other, power] of [...factors]) {
        if (other.op !== "call" || other.callee !== "exp" || other.args[0] !== opposite || power <= 0) continue;
        const times = Math.min(exponent, power);
        factors.set(base, exponent - times);
        factors.set(other, power - times);
        const flipped = this.call("sigmoid", [opposite]);
        factors.set(flipped, (factors.get(flipped) ?? 0) + times);
      }
    }
  }

  /** constant + Σ coefficient · term; like terms merge and the common monomial is pulled out: g·s - S·s = s·(g - S). */
  sum(constant: number, summands: readonly Summand[]): Term {
    const collected = new Map<Term, number>();
    let offset = constant;
    const put = (term: Term, coefficient: number): void => {
      if (term.op === "constant") offset += coefficient * term.value;
      else if (term.op === "sum") {
        offset += coefficient * term.constant;
        for (const [inner, scale] of term.summands) put(inner, scale * coefficient);
      } else if (term.op === "product" && term.coefficient !== 1) {
        put(this.product(1, term.factors), coefficient * term.coefficient);
      } else collected.set(term, (collected.get(term) ?? 0) + coefficient);
    };
    for (const [term, coefficient] of summands) put(term, coefficient);
    const kept = [...collected].filter(([, coefficient]) => coefficient !== 0).sort((a, b) => a[0].id - b[0].id);
    if (kept.length === 0) return this.constant(offset);
    if (kept.length === 1 && offset === 0) return this.product(kept[0][1], [[kept[0][0], 1]]);
    if (offset === 0) {
      const factored = this.#factorOut(kept);
      if (factored !== undefined) return factored;
    }
    return this.#intern(`sum ${offset} ${kept.map(([term, scale]) => `${scale}*${term.id}`).join(" ")}`, {
      op: "sum",
      constant: offset,
      summands: kept,
      extent: unionOf(kept),
      kind: isIntegerSum(offset, kept) ? "integer" : "real",
    });
  }

  #factorOut(summands: readonly Summand[]): Term | undefined {
    const maps = summands.map(([term]) => new Map(asFactors(term).factors));
    const common: Factor[] = [];
    for (const [base] of maps[0]) {
      const exponents = maps.map((factors) => factors.get(base) ?? 0);
      const shared = exponents.every((e) => e > 0)
        ? Math.min(...exponents)
        : exponents.every((e) => e < 0)
          ? Math.max(...exponents)
          : 0;
      if (shared !== 0) common.push([base, shared]);
    }
    const magnitude = Math.abs(summands[0][1]);
    const isEven = summands.every(([, coefficient]) => Math.abs(coefficient) === magnitude);
    const sign = summands.every(([, coefficient]) => coefficient < 0) ? -1 : 1;
    const scale = sign * (isEven ? magnitude : 1);
    if (common.length === 0 && scale === 1) return undefined;
    const inverse = common.map(([base, exponent]): Factor => [base, -exponent]);
    const rest = this.sum(
      0,
      summands.map(([term, coefficient]) => [this.product(1, [[term, 1], ...inverse]), coefficient / scale]),
    );
    return this.product(scale, [...common, [rest, 1]]);
  }

  add(left: Term, right: Term): Term {
    return this.sum(0, [
      [left, 1],
      [right, 1],
    ]);
  }

  subtract(left: Term, right: Term): Term {
    return this.sum(0, [
      [left, 1],
      [right, -1],
    ]);
  }

  multiply(...terms: readonly Term[]): Term {
    return this.product(
      1,
      terms.map((term) => [term, 1]),
    );
  }

  negate(term: Term): Term {
    return this.product(-1, [[term, 1]]);
  }

  call(callee: FunctionName, args: readonly Term[]): Term {
    const folded = foldCall(callee, args);
    if (folded !== undefined) return this.constant(folded);
    if (callee === "log") {
      const exponential = onePlusExponential(args[0]);
      if (exponential !== undefined) return this.call("softplus", exponential.args);
      const argument = args[0];
      // log(sigmoid(u)) = -softplus(-u): the sigmoid would round to 0 long before its logarithm is infinite.
      if (argument.op === "call" && argument.callee === "sigmoid") {
        return this.negate(this.call("softplus", [this.negate(argument.args[0])]));
      }
    }
    if (callee === "select" && args[1] === args[2]) return args[1];
    const kind = conditionCalls.has(callee) ? "condition" : keepsIntegers(callee, args) ? "integer" : "real";
    const extent = args.reduce((axes, a) => axes | a.extent, UNIFORM);
    return this.#intern(`${callee} ${args.map((a) => a.id).join(" ")}`, { op: "call", callee, args, extent, kind });
  }

  /** Sum or maximum over one axis; factors that do not vary along it leave a sum. */
  reduce(reduction: "sum" | "max", axis: Extent, argument: Term): Term {
    if ((argument.extent & axis) === 0) {
      if (reduction === "max") return argument;
      return this.multiply(argument, this.count(axis));
    }
    if (reduction === "sum") {
      const { coefficient, factors } = asFactors(argument);
      const outside = factors.filter(([base]) => (base.extent & axis) === 0);
      if (coefficient !== 1 || outside.length > 0) {
        const inside = factors.filter(([base]) => (base.extent & axis) !== 0);
        return this.product(coefficient, [...outside, [this.reduce("sum", axis, this.product(1, inside)), 1]]);
      }
    }
    return this.reduceAsIs(reduction, axis, argument);
  }

  /** Like reduce, but leaves every factor under the reduction, so that a kernel stores finished values. */
  reduceAsIs(reduction: "sum" | "max", axis: Extent, argument: Term): Term {
    return this.#intern(`${reduction} ${axis} ${argument.id}`, {
      op: "reduce",
      reduction,
      axis,
      argument,
      extent: argument.extent & ~axis,
      kind: "real",
    });
  }

  pick(input: InputTerm, index: Term): Term {
    invariant((index.extent & LANE) === 0, "an index of pick() changes along the row");
    const extent = (input.extent & ~LANE) | index.extent;
    return this.#intern(`pick ${input.id} ${index.id}`, { op: "pick", input, index, extent, kind: input.kind });
  }

  /** The same term over other operands, given in the order of `operands`. */
  rebuild(term: Term, below: readonly Term[]): Term {
    switch (term.op) {
      case "product":
        return this.product(
          term.coefficient,
          term.factors.map(([, exponent], i) => [below[i], exponent]),
        );
      case "sum":
        return this.sum(
          term.constant,
          term.summands.map(([, coefficient], i) => [below[i], coefficient]),
        );
      case "call":
        return this.call(term.callee, below);
      case "reduce":
        return this.reduce(term.reduction, term.axis, below[0]);
      case "pick": {
        invariant(below[0].op === "input", "pick() must read an input");
        return this.pick(below[0], below[1]);
      }
      default:
        return term;
    }
  }
}

const unionOf = (pairs: readonly (readonly [Term, number])[]): Extent =>
  pairs.reduce((axes, [term]) => axes | term.extent, UNIFORM);

/** The exp(…) of a term 1 + exp(…). */
function onePlusExponential(term: Term): CallTerm | undefined {
  if (term.op !== "sum" || term.constant !== 1 || term.summands.length !== 1) return undefined;
  const [inner, coefficient] = term.summands[0];
  return coefficient === 1 && inner.op === "call" && inner.callee === "exp" ? inner : undefined;
}

/** value^exponent with nothing but products, a quotient and a square root: the same bits on every engine. */
function power(value: number, exponent: number): number {
  const whole = Math.trunc(Math.abs(exponent));
  let result = 1;
  let square = value;
  for (let bits = whole; bits > 0; bits = Math.floor(bits / 2)) {
    if (bits % 2 === 1) result *= square;
    square *= square;
  }
  if (Math.abs(exponent) !== whole) result *= Math.sqrt(value);
  return exponent < 0 ? 1 / result : result;
}

/** Folds what is exact on every engine; transcendentals are left to run time, so that folding cannot differ from it. */
function foldCall(callee: FunctionName, args: readonly Term[]): number | undefined {
  const values: number[] = [];
  for (const arg of args) {
    if (arg.op !== "constant") return undefined;
    values.push(arg.value);
  }
  const [a, b] = values;
  switch (callee) {
    case "abs":
      return Math.abs(a);
    case "sign":
      return Math.sign(a);
    case "floor":
      return Math.floor(a);
    case "max":
      return Math.max(a, b);
    case "min":
      return Math.min(a, b);
    case "quotient":
      return a / b;
    default:
      return undefined;
  }
}
