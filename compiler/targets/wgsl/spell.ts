// Spells lowered formulas in WGSL: values along the row as four at a time in vectors, all others as scalars. Knows operations,
// not where operands lie: loads, stores and loops belong to whoever drives it.

import type { Operation } from "../../formula/lower.ts";
import { LANE } from "../../formula/terms.ts";
import { invariant } from "../../source/diagnostic.ts";
import { type ElementaryName, elementaryNames } from "./elementary.ts";
import { wgslName } from "./names.ts";

/** An expression with how tightly it binds: 3 nothing can part it, 2 products, 1 sums, 0 anything else. */
interface Spelled {
  readonly text: string;
  readonly level: 0 | 1 | 2 | 3;
}

const atom = (text: string): Spelled => ({ text, level: 3 });

/** Where the leaves of a formula come from; each answers with an expression of its extent's type. */
export interface Leaves {
  readonly input: (operation: Operation) => string;
  readonly index: (axis: number) => string;
  readonly count: (axis: number) => string;
  readonly pick: (input: string, index: string) => string;
}

/** The largest f32. */
const largest = 3.4028234663852886e38;

/** A literal of f32: infinities do not exist in WGSL, and finite ones beyond f32 do not compile. */
export function floatText(value: number): string {
  const rounded = Math.fround(Math.max(-largest, Math.min(largest, value)));
  const text = String(rounded);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** Whether a value has four lanes. */
export const isVector = ({ extent }: Pick<Operation, "extent">): boolean => (extent & LANE) !== 0;

/** Names of locals, each of its own. */
export class LocalNames {
  readonly #taken: Set<string>;

  constructor(reserved: Iterable<string>) {
    this.#taken = new Set(reserved);
  }

  fresh(wanted: string): string {
    const base = wgslName(wanted);
    let name = base;
    for (let i = 2; this.#taken.has(name); i++) name = `${base}_${i}`;
    this.#taken.add(name);
    return name;
  }
}

export interface SpellerOptions {
  readonly leaves: Leaves;
  readonly names: ReadonlyMap<Operation, string>;
  readonly locals: LocalNames;
  /** Gathers which elementary functions are called, as `exp4` or `exp1`. */
  readonly called: Set<string>;
  readonly known?: ReadonlyMap<Operation, string>;
}

/** Turns operations into lines and expressions of one body of code. */
export class Speller {
  readonly lines: string[] = [];
  readonly #options: SpellerOptions;
  readonly #known: Map<Operation, string>;

  constructor(options: SpellerOptions) {
    this.#options = options;
    this.#known = new Map(options.known);
  }

  get known(): ReadonlyMap<Operation, string> {
    return this.#known;
  }

  /** Computes operations in order; one gets a name if its author gave it one, or if it is read more than once. */
  compute(operations: readonly Operation[], readers: ReadonlyMap<Operation, number>): void {
    for (const operation of operations) {
      if (this.#known.has(operation) || operation.op === "constant") continue;
      const isShared = (readers.get(operation) ?? 0) > 1;
      if (this.#options.names.has(operation) || isShared) this.#intoLocal(operation);
    }
  }

  #intoLocal(operation: Operation): void {
    const { names, locals } = this.#options;
    const wanted = names.get(operation) ?? (operation.op === "input" ? operation.input : operation.op) ?? "t";
    const { text } = this.#expression(operation);
    const name = locals.fresh(wanted);
    this.lines.push(`let ${name} = ${text};`);
    this.#known.set(operation, name);
  }

  /** An expression for an operation as floats: a vector where it varies along the row. */
  real(operation: Operation): string {
    return this.#real(operation).text;
  }

  /** The same as a vector in any case. */
  realVector(operation: Operation): string {
    const text = this.real(operation);
    return isVector(operation) ? text : `vec4f(${text})`;
  }

  #spelled(operation: Operation): Spelled {
    const known = this.#known.get(operation);
    return known === undefined ? this.#expression(operation) : atom(known);
  }

  #real(operation: Operation): Spelled {
    if (operation.op === "constant") {
      const text = floatText(operation.value ?? 0);
      return { text, level: text.startsWith("-") ? 2 : 3 };
    }
    const spelled = this.#spelled(operation);
    if (operation.kind !== "integer") return spelled;
    return atom(`${isVector(operation) ? "vec4f" : "f32"}(${spelled.text})`);
  }

  #integer(operation: Operation): Spelled {
    if (operation.op === "constant") return atom(integerText(operation.value ?? 0));
    return this.#spelled(operation);
  }

  /** An argument, as a vector where the operation is one. */
  #widened(argument: Operation, isWide: boolean, spelled: Spelled): string {
    if (!isWide || isVector(argument)) return spelled.text;
    const type = argument.kind === "integer" ? "vec4i" : argument.kind === "condition" ? "vec4<bool>" : "vec4f";
    return `${type}(${spelled.text})`;
  }

  #expression(operation: Operation): Spelled {
    const { op, args } = operation;
    const { leaves } = this.#options;
    switch (op) {
      case "constant":
        return operation.kind === "integer" ? this.#integer(operation) : this.#real(operation);
      case "input":
        return atom(leaves.input(operation));
      case "index":
        return atom(leaves.index(operation.axis ?? 0));
      case "count":
        return atom(leaves.count(operation.axis ?? 0));
      case "pick":
        return atom(leaves.pick(operation.input ?? "", this.#integer(args[0]).text));
      case "less":
      case "less_or_equal":
      case "equal":
        return this.#comparison(operation);
      case "and":
      case "or": {
        const [a, b] = args.map((arg) => this.#widened(arg, isVector(operation), this.#spelled(arg)));
        return atom(`(${a} ${op === "and" ? "&" : "|"} ${b})`);
      }
      case "not":
        return atom(`!(${this.#spelled(args[0]).text})`);
      case "select":
        return this.#select(operation);
      default:
        return this.#arithmetic(operation);
    }
  }

  #comparison(operation: Operation): Spelled {
    const { op, args } = operation;
    const isInteger = args.every((arg) => arg.kind === "integer");
    const isWide = isVector(operation);
    if (op === "less_or_equal" && args[1].op === "constant" && args[1].value === largest)
      return this.#isFinite(args[0]);
    const of = (arg: Operation) => {
      if (isInteger) return this.#widened(arg, isWide, this.#integer(arg));
      const text = this.real(arg);
      return isWide && !isVector(arg) ? `vec4f(${text})` : text;
    };
    const sign = { less: "<", less_or_equal: "<=", equal: "==" }[op as "less" | "less_or_equal" | "equal"];
    return atom(`(${of(args[0])} ${sign} ${of(args[1])})`);
  }

  /** x <= the largest f32 is true of all but infinity and NaN: a question to the bits, as compilers may assume neither. */
  #isFinite(argument: Operation): Spelled {
    const isWide = isVector(argument);
    this.#options.called.add(isWide ? "is_finite4" : "is_finite1");
    return atom(`is_finite${isWide ? 4 : 1}(${this.real(argument)})`);
  }

  #select(operation: Operation): Spelled {
    const [condition, yes, no] = operation.args;
    const isWide = isVector(operation);
    const isInteger = operation.kind === "integer";
    const value = (arg: Operation) => {
      if (isInteger) return this.#widened(arg, isWide, this.#integer(arg));
      const text = this.real(arg);
      return isWide && !isVector(arg) ? `vec4f(${text})` : text;
    };
    return atom(`select(${value(no)}, ${value(yes)}, ${this.#widened(condition, isWide, this.#spelled(condition))})`);
  }

  #arithmetic(operation: Operation): Spelled {
    const { op, args, kind } = operation;
    const isInteger = kind === "integer";
    const of = (i: number): Spelled => (isInteger ? this.#integer(args[i]) : this.#real(args[i]));
    /** A part of an infix expression: in parentheses where it binds less tightly than it must. */
    const part = (spelled: Spelled, least: number) => (spelled.level >= least ? spelled.text : `(${spelled.text})`);
    const infix = (sign: string, level: 1 | 2): Spelled => ({
      text: `${part(of(0), level)} ${sign} ${part(of(1), level + 1)}`,
      level,
    });
    switch (op) {
      case "add":
        return infix("+", 1);
      case "subtract":
        return infix("-", 1);
      case "multiply":
        return infix("*", 2);
      case "divide":
      case "quotient":
        return infix("/", 2);
      case "negate":
        return { text: `-${part(of(0), 3)}`, level: 2 };
      case "reciprocal":
        return { text: `1.0f / ${part(of(0), 3)}`, level: 2 };
      case "rsqrt":
        return atom(`inverseSqrt(${of(0).text})`);
      case "stop":
        return of(0);
      case "max":
      case "min":
        return this.#extreme(operation, of);
      case "abs":
      case "floor":
      case "sqrt":
        return atom(`${op}(${of(0).text})`);
      default:
        return this.#elementary(operation, of(0).text);
    }
  }

  #extreme(operation: Operation, of: (i: number) => Spelled): Spelled {
    const isWide = isVector(operation);
    const type = operation.kind === "integer" ? "vec4i" : "vec4f";
    const text = (i: number) => (isWide && !isVector(operation.args[i]) ? `${type}(${of(i).text})` : of(i).text);
    return atom(`${operation.op}(${text(0)}, ${text(1)})`);
  }

  #elementary({ op, args }: Operation, argument: string): Spelled {
    invariant(elementaryNames.has(op as ElementaryName), `${op} has no spelling in WGSL`);
    const name = `${op}${isVector(args[0]) ? 4 : 1}`;
    this.#options.called.add(name);
    return atom(`${name}(${argument})`);
  }
}

/** The most negative integer has no literal of its own. */
function integerText(value: number): string {
  if (value === -2147483648) return "(-2147483647 - 1)";
  return value < 0 ? `(${value})` : String(value);
}
