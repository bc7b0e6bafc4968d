// Prints normal forms as the mathematics they are, for kernel headers, dumps and explain.

import type { Formula } from "./formula.ts";
import { type CallTerm, type Factor, LANE, operands, type ProductTerm, type SumTerm, type Term } from "./terms.ts";

const comparison: Partial<Record<CallTerm["callee"], string>> = {
  less: "<",
  less_or_equal: "<=",
  equal: "==",
  and: "&&",
  or: "||",
};

const printed = new WeakMap<Formula, string>();

/** `let` lines for named terms, then one line per output. */
export function printFormula(formula: Formula): string {
  const known = printed.get(formula);
  if (known !== undefined) return known;
  const text = print(formula);
  printed.set(formula, text);
  return text;
}

function print(formula: Formula): string {
  const lines: string[] = [];
  const shown = new Set<Term>();
  const name = (term: Term) => (term.op === "input" || term.op === "constant" ? undefined : formula.names.get(term));
  const declare = (term: Term): void => {
    if (shown.has(term)) return;
    shown.add(term);
    for (const below of directNames(term, name)) declare(below);
    const own = name(term);
    if (own !== undefined) lines.push(`let ${own} = ${printTerm(term, (t) => (t === term ? undefined : name(t)))}`);
  };
  const outputs = formula.outputs.map(({ name: output, term }) => {
    const own = name(term);
    for (const below of directNames(term, name)) declare(below);
    if (own !== undefined && own !== output) declare(term);
    return `${output} = ${printTerm(term, (t) => (t === term && own === output ? undefined : name(t)))}`;
  });
  return [...lines, ...outputs].join("; ");
}

/** The named terms that appear in the printed form of `term`. */
function directNames(term: Term, name: (term: Term) => string | undefined): Term[] {
  const found: Term[] = [];
  const visit = (t: Term): void => {
    for (const below of belowOf(t)) {
      if (name(below) !== undefined) found.push(below);
      else visit(below);
    }
  };
  visit(term);
  return found;
}

/** Operands that are printed: the input of a pick is not one of them. */
const belowOf = (term: Term): readonly Term[] => (term.op === "pick" ? [term.index] : operands(term));

/** Answers with the name to print instead of a term, if it has one. */
export type NameOf = (term: Term) => string | undefined;

/** One term by its own form; what it is made of may be printed by name. */
export function printTerm(term: Term, name: NameOf = () => undefined): string {
  return new TermPrinter(name).form(term);
}

class TermPrinter {
  readonly #name: NameOf;

  constructor(name: NameOf) {
    this.#name = name;
  }

  form(term: Term): string {
    switch (term.op) {
      case "constant":
        return numberText(term.value);
      case "input":
        return term.name;
      case "index":
        return term.axis === LANE ? "column" : "row";
      case "count":
        return term.axis === LANE ? "columns" : "rows";
      case "product":
        return this.#product(term);
      case "sum":
        return this.#sum(term);
      case "call":
        return this.#call(term);
      case "reduce":
        return `${term.axis === LANE ? "" : "column_"}${term.reduction}(${this.#print(term.argument)})`;
      case "pick":
        return `pick(${term.input.name}, ${this.#print(term.index)})`;
    }
  }

  #print(term: Term): string {
    return this.#name(term) ?? this.form(term);
  }

  /** In parentheses where an operator beside it would take it apart. */
  #atom(term: Term): string {
    const isCompound = this.#name(term) === undefined && (term.op === "sum" || term.op === "product" || isInfix(term));
    return isCompound ? `(${this.#print(term)})` : this.#print(term);
  }

  #factor([base, exponent]: Factor): string {
    if (exponent === 0.5) return `sqrt(${this.#print(base)})`;
    if (exponent === -0.5) return `rsqrt(${this.#print(base)})`;
    return exponent === 1 ? this.#atom(base) : `${this.#atom(base)}^${exponent}`;
  }

  #product({ coefficient, factors }: ProductTerm): string {
    const above = factors.filter(([, e]) => e !== -1).map((factor) => this.#factor(factor));
    const below = factors.filter(([, e]) => e === -1).map(([base]) => this.#atom(base));
    if (Math.abs(coefficient) !== 1 || above.length === 0) above.unshift(numberText(Math.abs(coefficient)));
    return `${coefficient < 0 ? "-" : ""}${[above.join(" * "), ...below].join(" / ")}`;
  }

  /** What is added, then what is taken away; the constant last unless it alone is added: 1 - x, but x + 1. */
  #sum({ summands, constant }: SumTerm): string {
    const parts = summands.map(([summand, coefficient]) => {
      const magnitude = Math.abs(coefficient);
      const plain = summand.op === "sum" ? this.#atom(summand) : this.#print(summand);
      return {
        isNegative: coefficient < 0,
        text: magnitude === 1 ? plain : `${numberText(magnitude)} * ${this.#atom(summand)}`,
      };
    });
    parts.sort((a, b) => Number(a.isNegative) - Number(b.isNegative));
    if (constant !== 0) {
      const part = { isNegative: constant < 0, text: numberText(Math.abs(constant)) };
      if (constant > 0 && parts[0].isNegative) parts.unshift(part);
      else parts.push(part);
    }
    const [first, ...rest] = parts;
    const signed = rest.map(({ isNegative, text }) => ` ${isNegative ? "-" : "+"} ${text}`);
    return `${first.isNegative ? "-" : ""}${first.text}${signed.join("")}`;
  }

  #call({ callee, args }: CallTerm): string {
    const infix = comparison[callee];
    if (infix !== undefined) return `${this.#atom(args[0])} ${infix} ${this.#atom(args[1])}`;
    if (callee === "not") return this.#not(args[0]);
    return `${callee === "select" ? "if" : callee}(${args.map((arg) => this.#print(arg)).join(", ")})`;
  }

  #not(term: Term): string {
    const isEquality = term.op === "call" && term.callee === "equal" && this.#name(term) === undefined;
    if (!isEquality) return `!${this.#atom(term)}`;
    const [left, right] = operands(term);
    return `${this.#atom(left)} != ${this.#atom(right)}`;
  }
}

/** As many digits as an f32 keeps: 1 - 0.9 is printed as 0.1. */
const numberText = (value: number): string => String(Number(value.toPrecision(8)));

const isInfix = (term: Term): boolean =>
  term.op === "call" && (comparison[term.callee] !== undefined || (term.callee === "not" && isInfix(term.args[0])));
