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

export interface KeptValues {
  /** The term with kept values in place of what they were computed from. */
  rewrite(term: Term): Term;
}

/** `kept` maps a term of the forward formula to the input that carries it. */
export function useKeptValues(terms: Terms, kept: ReadonlyMap<Term, InputTerm>): KeptValues {
  const done = new Map<Term, Term>();
  const rewrite = (term: Term): Term => {
    const known = done.get(term);
    if (known !== undefined) return known;
    const result = kept.get(term) ?? (term.op === "product" ? product(term) : undefined) ?? children(term);
    done.set(term, result);
    return result;
  };
  const children = (term: Term): Term => {
    const below = operands(term);
    if (below.length === 0 || term.op === "pick") return term;
    return terms.rebuild(term, below.map(rewrite));
  };

  /** Tries the three patterns on a product; undefined: none fits. */
  const product = (term: ProductTerm): Term | undefined => {
    for (const [definition, input] of kept) {
      if (definition.op === "product") {
        const found = acrossSum(term, definition, input) ?? dividing(term, definition, input);
        if (found !== undefined) return found;
      } else if (definition.op === "sum") {
        const found = logSumExp(term, definition, input);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  };

  /** A kept monomial divides a product as often as it fits: with r = b^-½ kept, b^-3/2 becomes r³. */
  const dividing = (term: ProductTerm, definition: ProductTerm, input: InputTerm): Term | undefined => {
    const times = timesContained(new Map(term.factors), definition);
    if (times < 1) return undefined;
    const rest = terms.product(term.coefficient / definition.coefficient ** times, [
      ...term.factors,
      ...definition.factors.map(([base, exponent]): Factor => [base, -exponent * times]),
    ]);
    return terms.product(1, [
      [rewrite(rest), 1],
      [input, times],
    ]);
  };

  /** s^-1 · sum(e·g) with y = e/s kept is sum(y·g): the kept value is looked for across the hoisted sum. */
  const acrossSum = (term: ProductTerm, definition: ProductTerm, input: InputTerm): Term | undefined => {
    const entry = term.factors.find(
      ([base, exponent]) => base.op === "reduce" && base.reduction === "sum" && exponent === 1,
    );
    if (entry === undefined || entry[0].op !== "reduce") return undefined;
    const sum = entry[0];
    if ((definition.extent & sum.axis) === 0) return undefined;
    const inside = asFactors(sum.argument);
    const outside = term.factors.filter((factor) => factor !== entry);
    const all = terms.product(1, [...outside, ...inside.factors]);
    if (timesContained(new Map(asFactors(all).factors), definition) < 1) return undefined;
    const left = terms.product(1 / definition.coefficient, [
      [all, 1],
      ...definition.factors.map(([base, exponent]): Factor => [base, -exponent]),
    ]);
    const reduced = terms.reduce("sum", sum.axis, terms.multiply(rewrite(left), input));
    return terms.product(term.coefficient * inside.coefficient, [[reduced, 1]]);
  };

  /** With lse = m + log(s) kept, exp(x - m) / s is exp(x - lse). */
  const logSumExp = (term: ProductTerm, definition: SumTerm, input: InputTerm): Term | undefined => {
    const logarithm = definition.summands.find(([t, c]) => c === 1 && t.op === "call" && t.callee === "log")?.[0];
    if (logarithm?.op !== "call") return undefined;
    const divisor = term.factors.find(([base, exponent]) => base === logarithm.args[0] && exponent === -1);
    const exponential = term.factors.find(
      ([base, exponent]) => base.op === "call" && base.callee === "exp" && exponent === 1,
    );
    if (divisor === undefined || exponential === undefined || exponential[0].op !== "call") return undefined;
    const shifted = terms.sum(-definition.constant, [
      [exponential[0].args[0], 1],
      [input, -1],
      ...definition.summands.filter(([t]) => t !== logarithm),
    ]);
    const others = term.factors.filter((factor) => factor !== divisor && factor !== exponential);
    const rest = terms.product(term.coefficient, others);
    return terms.multiply(rewrite(rest), terms.call("exp", [rewrite(shifted)]));
  };

  return { rewrite };
}

/** How often all factors of `part` are contained in `whole`, exponents in the same direction. */
function timesContained(whole: ReadonlyMap<Term, number>, part: ProductTerm): number {
  return Math.min(...part.factors.map(([base, exponent]) => Math.floor((whole.get(base) ?? 0) / exponent)));
}
