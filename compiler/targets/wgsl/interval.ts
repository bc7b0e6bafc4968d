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

const infix = { less: "<", less_or_equal: "<=", and: "&&", or: "||" } as const;

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
      default:
        return this.#arithmetic(statement, at);
    }
  }

  #arithmetic(statement: ScalarOperation, at: number): SpelledNumber | undefined {
    const rule = rules.get(statement.op);
    if (rule === undefined || !("args" in statement)) return undefined;
    const [x, y] = statement.args.map((arg) => this.#number(arg));
    if (x === undefined || y === undefined) return undefined;
    if (isConstant(x) && isConstant(y)) return constant(rule.of(x.low, y.low));
    const corners = [x.low, x.high].flatMap((a) => [y.low, y.high].map((b) => rule.of(a, b)));
    const [low, high] = [Math.min(...corners), Math.max(...corners)];
    if (![x.low, x.high, y.low, y.high, low, high].every(isMachineInteger)) return undefined;
    if (isConstant(x) && x.low === rule.neutral) return y;
    if (isConstant(y) && y.low === rule.neutral) return x;
    const name = `bound_${at}`;
    this.lines.push(`let ${name} = ${rule.text(x.text, y.text)};`);
    return { text: name, low, high };
  }
}

/** Operations on two numbers: what they are, how they are written, and which constant changes nothing. */
const rules: ReadonlyMap<
  ScalarOperation["op"],
  {
    readonly of: (a: number, b: number) => number;
    readonly text: (a: string, b: string) => string;
    readonly neutral?: number;
  }
> = new Map([
  ["add", { of: (a, b) => a + b, text: (a, b) => `${a} + ${b}`, neutral: 0 }],
  ["multiply", { of: (a, b) => a * b, text: (a, b) => `${a} * ${b}`, neutral: 1 }],
  ["min", { of: Math.min, text: (a, b) => `min(${a}, ${b})` }],
  ["max", { of: Math.max, text: (a, b) => `max(${a}, ${b})` }],
]);

const isConstant = ({ low, high }: SpelledNumber): boolean => low === high;

/** A number that is read only where it is a whole one of 32 bits. */
const constant = (value: number): SpelledNumber => ({
  text: value < 0 ? `(${value})` : String(value),
  low: value,
  high: value,
});

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
