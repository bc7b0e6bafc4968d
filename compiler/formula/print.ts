// Prints normal forms as the mathematics they are, for kernel headers, dumps and explain.

import type { Formula } from "./formula.ts";
import type { CallTerm, Factor, Term } from "./terms.ts";
import { LANE } from "./terms.ts";

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

function belowOf(term: Term): readonly Term[] {
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
      return [term.index];
    default:
      return [];
  }
}

/** One term; `name` answers with the name to print instead of a term. */
export function printTerm(term: Term, name: (term: Term) => string | undefined = () => undefined): string {
  const print = (t: Term): string => name(t) ?? inner(t);
  const atom = (t: Term): string => {
    const text = print(t);
    const isCompound = name(t) === undefined && (t.op === "sum" || t.op === "product" || isInfix(t));
    return isCompound ? `(${text})` : text;
  };
  const factor = ([base, exponent]: Factor): string => {
    if (exponent === 0.5) return `sqrt(${print(base)})`;
    if (exponent === -0.5) return `rsqrt(${print(base)})`;
    return exponent === 1 ? atom(base) : `${atom(base)}^${exponent}`;
  };
  const product = (coefficient: number, factors: readonly Factor[]): string => {
    const above = factors.filter(([, e]) => e !== -1).map(factor);
    const below = factors.filter(([, e]) => e === -1).map(([base]) => atom(base));
    if (Math.abs(coefficient) !== 1 || above.length === 0) above.unshift(String(Math.abs(coefficient)));
    return `${coefficient < 0 ? "-" : ""}${[above.join(" * "), ...below].join(" / ")}`;
  };
  const inner = (t: Term): string => {
    switch (t.op) {
      case "constant":
        return String(t.value);
      case "input":
        return t.name;
      case "index":
        return t.axis === LANE ? "column" : "row";
      case "count":
        return t.axis === LANE ? "columns" : "rows";
      case "product":
        return product(t.coefficient, t.factors);
      case "sum": {
        const parts = t.summands.map(([summand, coefficient]) => {
          const magnitude = Math.abs(coefficient);
          const text =
            magnitude === 1
              ? summand.op === "sum"
                ? atom(summand)
                : print(summand)
              : `${magnitude} * ${atom(summand)}`;
          return { sign: coefficient < 0 ? "-" : "+", text };
        });
        parts.sort((a, b) => (a.sign < b.sign ? -1 : a.sign > b.sign ? 1 : 0));
        if (t.constant !== 0) parts.push({ sign: t.constant < 0 ? "-" : "+", text: String(Math.abs(t.constant)) });
        return parts
          .map(({ sign, text }, i) => (i === 0 ? (sign === "-" ? `-${text}` : text) : ` ${sign} ${text}`))
          .join("");
      }
      case "call": {
        const infix = comparison[t.callee];
        if (infix !== undefined) return `${atom(t.args[0])} ${infix} ${atom(t.args[1])}`;
        if (t.callee === "not") return `!${atom(t.args[0])}`;
        return `${t.callee === "select" ? "if" : t.callee}(${t.args.map(print).join(", ")})`;
      }
      case "reduce":
        return `${t.axis === LANE ? "" : "column_"}${t.reduction}(${print(t.argument)})`;
      case "pick":
        return `pick(${t.input.name}, ${print(t.index)})`;
    }
  };
  return inner(term);
}

const isInfix = (term: Term): boolean => term.op === "call" && comparison[term.callee] !== undefined;
