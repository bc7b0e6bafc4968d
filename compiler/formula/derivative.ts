// Reverse-mode differentiation on the normal form. The derivative of a formula is again a formula, over the same
// inputs, the kept values and one seed `d_<output>` per output.

import { invariant } from "../source/diagnostic.ts";
import type { Formula } from "./formula.ts";
import { withoutUnusedInputs } from "./formula.ts";
import { KeptValues } from "./keep.ts";
import {
  asFactors,
  type CallTerm,
  type Extent,
  type FunctionName,
  type InputTerm,
  LANE,
  operands,
  postorder,
  ROW,
  type Term,
  type Terms,
} from "./terms.ts";

export interface DerivativeRequest {
  /** Inputs to differentiate by. */
  readonly by: readonly string[];
  /** Lets or outputs of the formula that the forward pass stores: they become inputs of the derivative. */
  readonly keep?: readonly string[];
  /** Extent of a seed where it is smaller than its output's, by output: a loss is often seeded with one number. */
  readonly seedExtents?: ReadonlyMap<string, Extent>;
}

/** The formula whose outputs are `d_<input>` for every input in `by`; a zero gradient is the constant 0. */
export function differentiateFormula(formula: Formula, request: DerivativeRequest): Formula {
  const { terms } = formula;
  const adjoints = new Adjoints(formula, request);
  const seeds = formula.outputs.map(({ name, term, extent }) => {
    const seed = terms.input(`d_${name}`, request.seedExtents?.get(name) ?? extent);
    adjoints.push(term, seed, extent);
    return seed;
  });
  adjoints.propagate();
  const kept = keptInputs(formula, request.keep ?? []);
  const use = new KeptValues(terms, kept);
  const outputs = request.by.map((name) => {
    const input = formula.inputs.find((i) => i.name === name);
    invariant(input, `formula has no input ${name}`);
    const term = settleColumnSum(terms, use.rewrite(adjoints.of(input)));
    return { name: `d_${name}`, term, extent: input.extent };
  });
  const names = new Map<Term, string>();
  for (const [term, name] of [...formula.names, ...adjoints.names]) {
    const rewritten = use.rewrite(term);
    if (rewritten.op !== "input" && rewritten.op !== "constant" && !names.has(rewritten)) names.set(rewritten, name);
  }
  const inputs = [...formula.inputs, ...kept.values(), ...seeds];
  return withoutUnusedInputs({ terms, inputs: [...new Set(inputs)], outputs, names });
}

/** Kept terms and the inputs that stand for them in the derivative. */
function keptInputs(formula: Formula, keep: readonly string[]): Map<Term, InputTerm> {
  const kept = new Map<Term, InputTerm>();
  for (const name of keep) {
    const term = namedTerm(formula, name);
    kept.set(term, formula.terms.input(name, term.extent));
  }
  return kept;
}

/** The term that a let or an output of the formula calls `name`. */
export function namedTerm(formula: Formula, name: string): Term {
  const output = formula.outputs.find((o) => o.name === name);
  if (output !== undefined) return output.term;
  for (const [term, given] of formula.names) if (given === name) return term;
  invariant(false, `formula names no value ${name}`);
}

class Adjoints {
  readonly names = new Map<Term, string>();
  readonly #terms: Terms;
  readonly #formula: Formula;
  readonly #contributions = new Map<Term, Term[]>();
  /** Terms that depend on an input in `by`; no other gets an adjoint. */
  readonly #relevant: ReadonlySet<Term>;

  constructor(formula: Formula, request: DerivativeRequest) {
    this.#formula = formula;
    this.#terms = formula.terms;
    const relevant = new Set<Term>();
    for (const term of postorder(formula.outputs.map((o) => o.term))) {
      const isWanted = term.op === "input" && request.by.includes(term.name);
      if (isWanted || operands(term).some((below) => relevant.has(below))) relevant.add(term);
    }
    this.#relevant = relevant;
  }

  /** Adds a contribution that varies over `from`; axes that the target does not have are summed away. */
  push(target: Term, value: Term, from: Extent): void {
    if (!this.#relevant.has(target) || (value.op === "constant" && value.value === 0)) return;
    let contribution = value;
    const surplus = from & ~target.extent;
    for (const axis of [LANE, ROW]) if (surplus & axis) contribution = linearSum(this.#terms, axis, contribution);
    const list = this.#contributions.get(target);
    if (list === undefined) this.#contributions.set(target, [contribution]);
    else list.push(contribution);
  }

  of(term: Term): Term {
    const contributions = this.#contributions.get(term) ?? [];
    return this.#terms.sum(
      0,
      contributions.map((c) => [c, 1]),
    );
  }

  propagate(): void {
    const order = postorder(this.#formula.outputs.map((o) => o.term));
    for (const term of order.reverse()) {
      if (!this.#contributions.has(term)) continue;
      const adjoint = this.of(term);
      const name = this.#formula.names.get(term);
      if (name !== undefined && !this.names.has(adjoint)) this.names.set(adjoint, `d_${name}`);
      this.#through(term, adjoint);
    }
  }

  #through(term: Term, adjoint: Term): void {
    const terms = this.#terms;
    switch (term.op) {
      case "product":
        term.factors.forEach(([base, exponent], i) => {
          const others = term.factors.filter((_, j) => j !== i);
          const partial = terms.product(term.coefficient * exponent, [[adjoint, 1], [base, exponent - 1], ...others]);
          this.push(base, partial, term.extent);
        });
        return;
      case "sum":
        for (const [summand, coefficient] of term.summands) {
          this.push(summand, terms.product(coefficient, [[adjoint, 1]]), term.extent);
        }
        return;
      case "reduce":
        if (term.reduction === "sum") this.push(term.argument, adjoint, term.extent);
        else {
          const isMaximum = terms.call("equal", [term.argument, term]);
          this.push(term.argument, terms.call("select", [isMaximum, adjoint, terms.zero]), term.argument.extent);
        }
        return;
      case "pick": {
        const isPicked = terms.call("equal", [terms.index(LANE), term.index]);
        this.push(term.input, terms.call("select", [isPicked, adjoint, terms.zero]), term.extent | LANE);
        return;
      }
      case "call":
        this.#throughCall(term, adjoint);
        return;
      default:
        return;
    }
  }

  #throughCall(term: CallTerm, adjoint: Term): void {
    const terms = this.#terms;
    const slope = slopes[term.callee];
    if (slope !== undefined) {
      this.push(term.args[0], terms.multiply(adjoint, slope(terms, term.args[0], term)), term.extent);
      return;
    }
    const [x, y] = term.args;
    const to = (index: number, value: Term) => this.push(term.args[index], value, term.extent);
    const either = (condition: Term, chosen: number, other: number) => {
      to(chosen, terms.call("select", [condition, adjoint, terms.zero]));
      to(other, terms.call("select", [condition, terms.zero, adjoint]));
    };
    if (term.callee === "max") either(terms.call("less_or_equal", [y, x]), 0, 1);
    else if (term.callee === "min") either(terms.call("less_or_equal", [x, y]), 0, 1);
    else if (term.callee === "select") either(x, 1, 2);
    else if (term.callee === "quotient") {
      to(
        0,
        terms.product(1, [
          [adjoint, 1],
          [y, -1],
        ]),
      );
      to(
        1,
        terms.product(-1, [
          [adjoint, 1],
          [term, 1],
          [y, -1],
        ]),
      );
    }
    // sign, floor and stop are flat; conditions have no derivative.
  }
}

/** Derivatives of functions of one argument, in terms of their value where that is cheaper. */
const slopes: Partial<Record<FunctionName, (terms: Terms, x: Term, value: Term) => Term>> = {
  exp: (_terms, _x, value) => value,
  log: (terms, x) => terms.product(1, [[x, -1]]),
  tanh: (terms, _x, value) => terms.sum(1, [[terms.product(1, [[value, 2]]), -1]]),
  sigmoid: (terms, _x, value) => terms.multiply(value, terms.sum(1, [[value, -1]])),
  softplus: (terms, x) => terms.call("sigmoid", [x]),
  erf: (terms, x) => terms.product(2 / Math.sqrt(Math.PI), [[terms.call("exp", [terms.product(-1, [[x, 2]])]), 1]]),
  abs: (terms, x) => terms.call("sign", [x]),
};

/**
 * A sum made by differentiation is linear in the adjoint, so it may be distributed over one additive factor where that
 * saves reductions: sum(y·(g - S)) = sum(y·g) - S·sum(y). Sums that the author wrote are never split.
 */
function linearSum(terms: Terms, axis: Extent, argument: Term): Term {
  const plain = terms.reduce("sum", axis, argument);
  const { coefficient, factors } = asFactors(argument);
  const position = factors.findIndex(
    ([base, exponent]) => base.op === "sum" && exponent === 1 && (base.extent & axis) !== 0,
  );
  if (position < 0) return plain;
  const [additive] = factors[position];
  invariant(additive.op === "sum", "only a sum is distributed");
  const others = factors.filter((_, i) => i !== position);
  const distributed = terms.product(coefficient, [
    [
      terms.sum(0, [
        [linearSum(terms, axis, terms.product(additive.constant, others)), 1],
        ...additive.summands.map(([summand, scale]): [Term, number] => [
          linearSum(terms, axis, terms.product(1, [...others, [summand, 1]])),
          scale,
        ]),
      ]),
      1,
    ],
  ]);
  return isCheaper(cost(distributed), cost(plain)) ? distributed : plain;
}

/** Reductions, then phases, then size: phases first would split sum(g·(x - mean)), which cancels catastrophically. */
function cost(root: Term): readonly number[] {
  const levels = new Map<Term, number>();
  let reductions = 0;
  const order = postorder([root]);
  for (const term of order) {
    const isReduction = term.op === "reduce" ? 1 : 0;
    reductions += isReduction;
    levels.set(term, Math.max(0, ...operands(term).map((below) => levels.get(below) ?? 0)) + isReduction);
  }
  return [reductions, levels.get(root) ?? 0, order.length];
}

function isCheaper(left: readonly number[], right: readonly number[]): boolean {
  const i = left.findIndex((value, index) => value !== right[index]);
  return i >= 0 && left[i] < right[i];
}

/** Uniform factors go back under a sum over rows, so that the kernel accumulates finished values. */
function settleColumnSum(terms: Terms, term: Term): Term {
  if (term.op !== "product" || (term.extent & ROW) !== 0) return term;
  const sum = term.factors.find(([base, exponent]) => base.op === "reduce" && base.axis === ROW && exponent === 1)?.[0];
  if (sum?.op !== "reduce") return term;
  const others = term.factors.filter(([base]) => base !== sum);
  return terms.reduceAsIs("sum", ROW, terms.product(term.coefficient, [...others, [sum.argument, 1]]));
}
