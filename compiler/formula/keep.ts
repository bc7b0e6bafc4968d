// Replaces what the forward pass stored in a derivative. A rewrite AFTER differentiation: replaced before, a kept value
// would be opaque and the maximum inside a softmax would not cancel.

import {
  asFactors,
  type Factor,
  type InputTerm,
  operands,
  type ProductTerm,
  type SumTerm,
  type Term,
  type Terms,
} from "./terms.ts";

/** Rewrites terms of a derivative; `kept` maps a term of the forward formula to the input that carries it. */
export class KeptValues {
  readonly #terms: Terms;
  readonly #kept: ReadonlyMap<Term, InputTerm>;
  readonly #done = new Map<Term, Term>();

  constructor(terms: Terms, kept: ReadonlyMap<Term, InputTerm>) {
    this.#terms = terms;
    this.#kept = kept;
  }

  /** The term with kept values in place of what they were computed from. */
  rewrite(term: Term): Term {
    const known = this.#done.get(term);
    if (known !== undefined) return known;
    const product = term.op === "product" ? this.#product(term) : undefined;
    const result = this.#kept.get(term) ?? product ?? this.#children(term);
    this.#done.set(term, result);
    return result;
  }

  #children(term: Term): Term {
    const below = operands(term);
    if (below.length === 0 || term.op === "pick") return term;
    return this.#terms.rebuild(
      term,
      below.map((operand) => this.rewrite(operand)),
    );
  }

  /** Tries the three patterns on a product; undefined: none fits. */
  #product(term: ProductTerm): Term | undefined {
    for (const [definition, input] of this.#kept) {
      if (definition.op === "product") {
        const found = this.#acrossSum(term, definition, input) ?? this.#dividing(term, definition, input);
        if (found !== undefined) return found;
      } else if (definition.op === "sum") {
        const found = this.#logSumExp(term, definition, input);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /** A kept monomial divides a product as often as it fits: with r = b^-½ kept, b^-3/2 becomes r³. */
  #dividing(term: ProductTerm, definition: ProductTerm, input: InputTerm): Term | undefined {
    const times = timesContained(new Map(term.factors), definition);
    if (times < 1) return undefined;
    const rest = this.#terms.product(term.coefficient / definition.coefficient ** times, [
      ...term.factors,
      ...definition.factors.map(([base, exponent]): Factor => [base, -exponent * times]),
    ]);
    return this.#terms.product(1, [
      [this.rewrite(rest), 1],
      [input, times],
    ]);
  }

  /** s^-1 · sum(e·g) with y = e/s kept is sum(y·g): the kept value is looked for across the hoisted sum. */
  #acrossSum(term: ProductTerm, definition: ProductTerm, input: InputTerm): Term | undefined {
    const entry = term.factors.find(([base, e]) => base.op === "reduce" && base.reduction === "sum" && e === 1);
    if (entry === undefined || entry[0].op !== "reduce") return undefined;
    const sum = entry[0];
    if ((definition.extent & sum.axis) === 0) return undefined;
    const inside = asFactors(sum.argument);
    const outside = term.factors.filter((factor) => factor !== entry);
    const all = this.#terms.product(1, [...outside, ...inside.factors]);
    if (timesContained(new Map(asFactors(all).factors), definition) < 1) return undefined;
    const left = this.#terms.product(1 / definition.coefficient, [
      [all, 1],
      ...definition.factors.map(([base, exponent]): Factor => [base, -exponent]),
    ]);
    const reduced = this.#terms.reduce("sum", sum.axis, this.#terms.multiply(this.rewrite(left), input));
    return this.#terms.product(term.coefficient * inside.coefficient, [[reduced, 1]]);
  }

  /** With lse = m + log(s) kept, exp(x - m) / s is exp(x - lse). */
  #logSumExp(term: ProductTerm, definition: SumTerm, input: InputTerm): Term | undefined {
    const logarithm = definition.summands.find(([t, c]) => c === 1 && t.op === "call" && t.callee === "log")?.[0];
    if (logarithm?.op !== "call") return undefined;
    const divisor = term.factors.find(([base, exponent]) => base === logarithm.args[0] && exponent === -1);
    const exponential = term.factors.find(([base, e]) => base.op === "call" && base.callee === "exp" && e === 1);
    if (divisor === undefined || exponential === undefined || exponential[0].op !== "call") return undefined;
    const shifted = this.#terms.sum(-definition.constant, [
      [exponential[0].args[0], 1],
      [input, -1],
      ...definition.summands.filter(([t]) => t !== logarithm),
    ]);
    const others = term.factors.filter((factor) => factor !== divisor && factor !== exponential);
    const rest = this.#terms.product(term.coefficient, others);
    return this.#terms.multiply(this.rewrite(rest), this.#terms.call("exp", [this.rewrite(shifted)]));
  }
}

/** How often all factors of `part` are contained in `whole`, exponents in the same direction. */
function timesContained(whole: ReadonlyMap<Term, number>, part: ProductTerm): number {
  return Math.min(...part.factors.map(([base, exponent]) => Math.floor((whole.get(base) ?? 0) / exponent)));
}
