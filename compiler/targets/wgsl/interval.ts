// Spells an interval program in WGSL. There are no wide floats, so numbers are 32-bit integers: what cannot be computed in
// them without rounding or overflow leaves its comparisons open, and a block with open comparisons is tested.

import type { IntervalProgram, ScalarOperation } from "../../formula/interval.ts";
import { decided, isMachineInteger } from "../../formula/whole.ts";

/** A number with the least and the greatest value that it can have. */
export interface SpelledNumber {
  readonly text: string;
  readonly low: number;
  readonly high: number;
}

export interface SpelledInterval {
  readonly lines: readonly string[];
  readonly may: string;
  readonly must: string;
}

export interface IntervalArguments {
  readonly number: (name: string) => SpelledNumber;
  readonly flag: (name: string) => string;
}

export function spellInterval(program: IntervalProgram, given: IntervalArguments): SpelledInterval {
  const writer = new IntervalWriter(program, given);
  // A comparison that is open may hold, and need not.
  const must = writer.flag(program.must, "false");
  const may = writer.flag(program.may, "true");
  return { lines: writer.lines, may, must };
}

const infix = { add: "+", multiply: "*", less: "<", less_or_equal: "<=", and: "&&", or: "||" } as const;

class IntervalWriter {
  readonly lines: string[] = [];
  readonly #statements: readonly ScalarOperation[];
  readonly #given: IntervalArguments;
  readonly #numbers = new Map<number, SpelledNumber | undefined>();

  constructor({ statements }: IntervalProgram, given: IntervalArguments) {
    this.#statements = statements;
    this.#given = given;
  }

  /** A flag; `open` is what stands for a comparison that cannot be decided here. */
  flag(at: number, open: "true" | "false"): string {
    const statement = this.#statements[at];
    switch (statement.op) {
      case "flag":
        return String(statement.value === 1);
      case "flag_argument":
        return this.#given.flag(statement.name);
      case "not":
        return negated(this.flag(statement.args[0], open === "true" ? "false" : "true"));
      case "and":
      case "or": {
        const [x, y] = statement.args.map((arg) => this.flag(arg, open));
        return joined(statement.op, x, y);
      }
      case "less":
      case "less_or_equal":
        return this.#comparison(statement.op, statement.args) ?? open;
      default:
        return open;
    }
  }

  #comparison(op: "less" | "less_or_equal", [a, b]: readonly [number, number]): string | undefined {
    const [x, y] = [this.#number(a), this.#number(b)];
    if (x === undefined || y === undefined) return undefined;
    const known = decided(op, x, y);
    if (known !== undefined) return String(known);
    // Between whole numbers there is a whole number that a constant can be replaced by.
    const isLess = op === "less";
    const left = isConstant(x) ? constant(isLess ? Math.floor(x.low) : Math.ceil(x.low)) : x;
    const right = isConstant(y) ? constant(isLess ? Math.ceil(y.low) : Math.floor(y.low)) : y;
    return `${left.text} ${infix[op]} ${right.text}`;
  }

  #number(at: number): SpelledNumber | undefined {
    if (!this.#numbers.has(at)) this.#numbers.set(at, this.#spelled(at));
    return this.#numbers.get(at);
  }

  #spelled(at: number): SpelledNumber | undefined {
    const statement = this.#statements[at];
    switch (statement.op) {
      case "constant":
        return constant(statement.value);
      case "argument":
        return this.#given.number(statement.name);
      case "floor": {
        const x = this.#number(statement.args[0]);
        return x && (isConstant(x) ? constant(Math.floor(x.low)) : x);
      }
      case "add":
      case "multiply":
      case "min":
      case "max": {
        const [x, y] = statement.args.map((arg) => this.#number(arg));
        return x && y && this.#arithmetic(statement.op, x, y, at);
      }
      default:
        return undefined;
    }
  }

  #arithmetic(
    op: "add" | "multiply" | "min" | "max",
    x: SpelledNumber,
    y: SpelledNumber,
    at: number,
  ): SpelledNumber | undefined {
    if (isConstant(x) && isConstant(y)) return constant(folded(op, x.low, y.low));
    const corners = [x.low, x.high].flatMap((a) => [y.low, y.high].map((b) => folded(op, a, b)));
    const range = { low: Math.min(...corners), high: Math.max(...corners) };
    if (![x.low, x.high, y.low, y.high, range.low, range.high].every(isMachineInteger)) return undefined;
    const neutral = { add: 0, multiply: 1 }[op as "add" | "multiply"];
    if (isConstant(x) && x.low === neutral) return y;
    if (isConstant(y) && y.low === neutral) return x;
    const isCall = op === "min" || op === "max";
    const name = `bound_${at}`;
    this.lines.push(`let ${name} = ${isCall ? `${op}(${x.text}, ${y.text})` : `${x.text} ${infix[op]} ${y.text}`};`);
    return { ...range, text: name };
  }
}

const isConstant = ({ low, high }: SpelledNumber): boolean => low === high;

/** A number that is read only where it is a whole one of 32 bits. */
const constant = (value: number): SpelledNumber => ({
  text: value < 0 ? `(${value})` : String(value),
  low: value,
  high: value,
});

function folded(op: "add" | "multiply" | "min" | "max", a: number, b: number): number {
  switch (op) {
    case "add":
      return a + b;
    case "multiply":
      return a * b;
    default:
      return Math[op](a, b);
  }
}

const negated = (flag: string): string =>
  flag === "true" ? "false" : flag === "false" ? "true" : /^\w+$/.test(flag) ? `!${flag}` : `!(${flag})`;

function joined(op: "and" | "or", x: string, y: string): string {
  const [neutral, absorbing] = op === "and" ? ["true", "false"] : ["false", "true"];
  if (x === absorbing || y === absorbing) return absorbing;
  if (x === neutral || x === y) return y;
  if (y === neutral) return x;
  const part = (flag: string) => (/&&|\|\|/.test(flag) && !flag.startsWith("!(") ? `(${flag})` : flag);
  return `${part(x)} ${infix[op]} ${part(y)}`;
}
