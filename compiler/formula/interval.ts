// Interval arithmetic on masks: from the ranges of q and k of a block, can the mask be true, and must it be? Blocks where
// it cannot are skipped, blocks where it must need no test. Yields a straight-line program that targets spell.

import type { Formula } from "./formula.ts";
import { type CallTerm, type ProductTerm, postorder, type SumTerm, type Term } from "./terms.ts";

/** Scalar operations on earlier statements (by number) or arguments (by name): f64, and flags of 0 and 1. */
export type ScalarOperation =
  | { readonly op: "constant"; readonly value: number }
  | { readonly op: "flag"; readonly value: 0 | 1 }
  | { readonly op: "argument" | "flag_argument"; readonly name: string }
  | { readonly op: "floor" | "sqrt" | "not"; readonly args: readonly [number] }
  | {
      readonly op: "add" | "multiply" | "min" | "max" | "less" | "less_or_equal" | "and" | "or";
      readonly args: readonly [number, number];
    };

export interface IntervalProgram {
  readonly statements: readonly ScalarOperation[];
  /** Statements that say whether the mask is true somewhere, and everywhere, in the block. */
  readonly may: number;
  readonly must: number;
}

/** Arguments of numeric inputs are `<name>_low` and `<name>_high`, of conditions `<name>_may` and `<name>_must`. */
export function intervalProgram(mask: Formula): IntervalProgram {
  const builder = new IntervalBuilder();
  const root = mask.outputs[0].term;
  for (const term of postorder([root])) builder.visit(term);
  const { low: must, high: may } = builder.condition(root);
  return { statements: builder.statements, may, must };
}

/** 0: nowhere true, 1: somewhere, 2: everywhere. The same program that kernels run, for notes and tests. */
export function classifyBlock(program: IntervalProgram, args: Readonly<Record<string, number>>): 0 | 1 | 2 {
  const values: number[] = [];
  for (const statement of program.statements) values.push(evaluateScalar(statement, values, args));
  if (values[program.must] !== 0) return 2;
  return values[program.may] !== 0 ? 1 : 0;
}

function evaluateScalar(s: ScalarOperation, values: readonly number[], args: Readonly<Record<string, number>>): number {
  if ("value" in s) return s.value;
  if ("name" in s) return args[s.name];
  const x = values[s.args[0]];
  const y = s.args.length > 1 ? values[s.args[1] ?? 0] : 0;
  switch (s.op) {
    case "floor":
      return Math.floor(x);
    case "sqrt":
      return Math.sqrt(x);
    case "not":
      return x === 0 ? 1 : 0;
    case "add":
      return x + y;
    case "multiply":
      return x * y;
    case "min":
      return Math.min(x, y);
    case "max":
      return Math.max(x, y);
    case "less":
      return x < y ? 1 : 0;
    case "less_or_equal":
      return x <= y ? 1 : 0;
    case "and":
      return x !== 0 && y !== 0 ? 1 : 0;
    case "or":
      return x !== 0 || y !== 0 ? 1 : 0;
  }
}

/** Numbers: bounds. Conditions: `low` is "everywhere true", `high` is "somewhere true". */
interface Range {
  readonly low: number;
  readonly high: number;
}

/** Products of more positions than this could overflow f64. */
const mostFactors = 30;

type BinaryOperation = Extract<ScalarOperation, { readonly args: readonly [number, number] }>["op"];

class IntervalBuilder {
  readonly statements: ScalarOperation[] = [];
  /** undefined: nothing is known about the number. */
  readonly #ranges = new Map<Term, Range | undefined>();
  readonly #known = new Map<string, number>();

  /** Whether a condition must and may hold: a comparison of unknown numbers may, and need not. */
  condition(term: Term): Range {
    return (
      this.#ranges.get(term) ?? {
        low: this.#emit({ op: "flag", value: 0 }),
        high: this.#emit({ op: "flag", value: 1 }),
      }
    );
  }

  visit(term: Term): void {
    this.#ranges.set(term, this.#range(term));
  }

  #emit(operation: ScalarOperation): number {
    const key = JSON.stringify(operation);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const index = this.statements.push(operation) - 1;
    this.#known.set(key, index);
    return index;
  }

  #constant(value: number): number {
    return this.#emit({ op: "constant", value });
  }

  #binary(op: BinaryOperation, x: number, y: number): number {
    return this.#emit({ op, args: [x, y] });
  }

  #range(term: Term): Range | undefined {
    switch (term.op) {
      case "constant": {
        const value = this.#constant(term.value);
        return { low: value, high: value };
      }
      case "input": {
        const isFlag = term.kind === "condition";
        const op = isFlag ? "flag_argument" : "argument";
        const argument = (end: string) => this.#emit({ op, name: `${term.name}_${end}` });
        return isFlag
          ? { low: argument("must"), high: argument("may") }
          : { low: argument("low"), high: argument("high") };
      }
      case "sum":
        return this.#sum(term);
      case "product":
        return this.#product(term);
      case "call":
        return this.#call(term);
      default:
        return undefined;
    }
  }

  #scaled(range: Range, by: number): Range {
    if (by === 1) return range;
    const factor = this.#constant(by);
    const [low, high] = by < 0 ? [range.high, range.low] : [range.low, range.high];
    return { low: this.#binary("multiply", low, factor), high: this.#binary("multiply", high, factor) };
  }

  #sum(term: SumTerm): Range | undefined {
    const start = this.#constant(term.constant);
    let total: Range = { low: start, high: start };
    for (const [summand, coefficient] of term.summands) {
      const range = this.#ranges.get(summand);
      if (range === undefined) return undefined;
      const part = this.#scaled(range, coefficient);
      total = { low: this.#binary("add", total.low, part.low), high: this.#binary("add", total.high, part.high) };
    }
    return total;
  }

  #product(term: ProductTerm): Range | undefined {
    const degree = term.factors.reduce((sum, [, exponent]) => sum + Math.abs(exponent), 0);
    if (degree > mostFactors) return undefined;
    let product: Range | undefined;
    for (const [base, exponent] of term.factors) {
      const range = this.#ranges.get(base);
      const power = range && this.#power(range, exponent);
      if (power === undefined) return undefined;
      product = product === undefined ? power : this.#times(product, power);
    }
    return product && this.#scaled(product, term.coefficient);
  }

  /** undefined where the base may be 0 in a denominator, or negative under a root. */
  #power(range: Range, exponent: number): Range | undefined {
    if (exponent < 0) return undefined;
    const whole = Math.floor(exponent);
    let result: Range | undefined;
    for (let i = 0; i < whole; i++) result = result === undefined ? range : this.#times(result, range);
    if (whole === exponent) return result;
    const root = (x: number) => this.#emit({ op: "sqrt", args: [this.#binary("max", x, this.#constant(0))] });
    const roots = { low: root(range.low), high: root(range.high) };
    return result === undefined ? roots : this.#times(result, roots);
  }

  #times(a: Range, b: Range): Range {
    const corners = [a.low, a.high].flatMap((x) => [b.low, b.high].map((y) => this.#binary("multiply", x, y)));
    return {
      low: corners.reduce((x, y) => this.#binary("min", x, y)),
      high: corners.reduce((x, y) => this.#binary("max", x, y)),
    };
  }

  #call(term: CallTerm): Range | undefined {
    const not = (at: number): number => this.#emit({ op: "not", args: [at] });
    switch (term.callee) {
      case "and":
      case "or": {
        const [x, y] = term.args.map((arg) => this.condition(arg));
        return { low: this.#binary(term.callee, x.low, y.low), high: this.#binary(term.callee, x.high, y.high) };
      }
      case "not": {
        const x = this.condition(term.args[0]);
        return { low: not(x.high), high: not(x.low) };
      }
      default: {
        const numbers = (term.callee === "select" ? term.args.slice(1) : term.args).map((arg) => this.#ranges.get(arg));
        const ranges = numbers.filter((range) => range !== undefined);
        return ranges.length === numbers.length ? this.#numeric(term, ranges) : undefined;
      }
    }
  }

  #numeric({ callee }: CallTerm, [x, y]: readonly Range[]): Range | undefined {
    switch (callee) {
      case "min":
      case "max":
        return { low: this.#binary(callee, x.low, y.low), high: this.#binary(callee, x.high, y.high) };
      case "less":
      case "less_or_equal":
        return { low: this.#binary(callee, x.high, y.low), high: this.#binary(callee, x.low, y.high) };
      case "equal": {
        const below = (a: number, b: number) => this.#binary("less_or_equal", a, b);
        const isPoint = this.#binary("and", below(x.high, y.low), below(y.high, x.low));
        return { low: isPoint, high: this.#binary("and", below(x.low, y.high), below(y.low, x.high)) };
      }
      case "floor":
        return { low: this.#emit({ op: "floor", args: [x.low] }), high: this.#emit({ op: "floor", args: [x.high] }) };
      case "abs": {
        const negated = this.#scaled(x, -1);
        const least = this.#binary("max", this.#binary("max", x.low, negated.low), this.#constant(0));
        return { low: least, high: this.#binary("max", x.high, negated.high) };
      }
      case "select":
        return { low: this.#binary("min", x.low, y.low), high: this.#binary("max", x.high, y.high) };
      case "stop":
        return x;
      default:
        return undefined;
    }
  }
}
