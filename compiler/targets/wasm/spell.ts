// Spells lowered formulas in WAT: four floats at a time in a v128. Knows operations, not where operands lie: loads,
// stores and loops belong to whoever drives it.

import type { Operation } from "../../formula/lower.ts";
import { invariant } from "../../source/diagnostic.ts";
import { get, type WatCode } from "./code.ts";
import * as elementary from "./elementary.ts";

/** Elementary functions need statements, everything else is one expression. */
const statementFunctions: Partial<Record<Operation["op"], elementary.Elementary>> = {
  exp: elementary.exp,
  log: elementary.log,
  tanh: elementary.tanh,
  sigmoid: elementary.sigmoid,
  softplus: elementary.softplus,
  erf: elementary.erf,
};

/** Where the leaves of a formula come from; each answers with an expression of type v128. */
export interface Leaves {
  readonly input: (operation: Operation) => string;
  readonly index: (axis: number) => string;
  readonly count: (axis: number) => string;
  readonly pick: (input: string, index: string) => string;
}

/** Turns operations into locals and expressions of one body of code. */
export class Speller {
  readonly #code: WatCode;
  readonly #leaves: Leaves;
  readonly #names: ReadonlyMap<Operation, string>;
  /** Operations that already stand in a local or have a short spelling. */
  readonly #known: Map<Operation, string>;

  constructor(
    code: WatCode,
    leaves: Leaves,
    names: ReadonlyMap<Operation, string>,
    known: ReadonlyMap<Operation, string> = new Map(),
  ) {
    this.#code = code;
    this.#leaves = leaves;
    this.#names = names;
    this.#known = new Map(known);
  }

  get known(): ReadonlyMap<Operation, string> {
    return this.#known;
  }

  /** Makes an operation available under a spelling of its own. */
  define(operation: Operation, spelling: string): void {
    this.#known.set(operation, spelling);
  }

  /**
   * Computes operations in order; one gets a local if it has a name, is read more than once, or needs statements.
   *
   * `readers` counts how often each operation is read by what follows.
   */
  compute(operations: readonly Operation[], readers: ReadonlyMap<Operation, number>): void {
    for (const operation of operations) {
      if (this.#known.has(operation)) continue;
      const isNamed = this.#names.has(operation);
      const isShared = (readers.get(operation) ?? 0) > 1 && operation.op !== "constant";
      if (statementFunctions[operation.op] !== undefined || isNamed || isShared) this.#intoLocal(operation);
    }
  }

  #intoLocal(operation: Operation): void {
    const wanted = this.#names.get(operation) ?? (operation.op === "input" ? operation.input : operation.op) ?? "t";
    const local = this.#code.fresh(wanted, "v128");
    const statement = statementFunctions[operation.op];
    if (statement === undefined) this.#code.set(local, this.#expression(operation));
    else statement(this.#code, this.real(operation.args[0]), local);
    this.#known.set(operation, get(local));
  }

  /** An expression for an operation of any kind: a mask, integers or floats. */
  spell(operation: Operation): string {
    return this.#known.get(operation) ?? this.#expression(operation);
  }

  /** An expression for an operation as four floats. */
  real(operation: Operation): string {
    if (operation.op === "constant") return this.#code.float(operation.value ?? 0);
    const text = this.spell(operation);
    return operation.kind === "integer" ? `(f32x4.convert_i32x4_s ${text})` : text;
  }

  #integer(operation: Operation): string {
    if (operation.op === "constant") return this.#code.integer(operation.value ?? 0);
    return this.spell(operation);
  }

  #expression(operation: Operation): string {
    const { op, args } = operation;
    if (statementFunctions[op] !== undefined) {
      this.#intoLocal(operation);
      return this.spell(operation);
    }
    switch (op) {
      case "constant":
        return operation.kind === "integer" ? this.#integer(operation) : this.real(operation);
      case "input":
        return this.#leaves.input(operation);
      case "index":
        return this.#leaves.index(operation.axis ?? 0);
      case "count":
        return this.#leaves.count(operation.axis ?? 0);
      case "pick":
        return this.#leaves.pick(operation.input ?? "", this.#integer(args[0]));
      case "less":
      case "less_or_equal":
      case "equal":
        return this.#comparison(operation);
      case "and":
      case "or":
        return `(v128.${op} ${this.spell(args[0])} ${this.spell(args[1])})`;
      case "not":
        return `(v128.not ${this.spell(args[0])})`;
      default:
        return operation.kind === "integer" ? this.#integerExpression(operation) : this.#realExpression(operation);
    }
  }

  #comparison({ op, args }: Operation): string {
    const isInteger = args.every((arg) => arg.kind === "integer");
    const name = { less: "lt", less_or_equal: "le", equal: "eq" }[op as "less" | "less_or_equal" | "equal"];
    if (!isInteger) return `(f32x4.${name} ${this.real(args[0])} ${this.real(args[1])})`;
    const signed = name === "eq" ? "eq" : `${name}_s`;
    return `(i32x4.${signed} ${this.#integer(args[0])} ${this.#integer(args[1])})`;
  }

  #integerExpression({ op, args }: Operation): string {
    const of = (i: number) => this.#integer(args[i]);
    switch (op) {
      case "add":
        return `(i32x4.add ${of(0)} ${of(1)})`;
      case "subtract":
        return `(i32x4.sub ${of(0)} ${of(1)})`;
      case "multiply":
        return `(i32x4.mul ${of(0)} ${of(1)})`;
      case "negate":
        return `(i32x4.neg ${of(0)})`;
      case "abs":
        return `(i32x4.abs ${of(0)})`;
      case "max":
        return `(i32x4.max_s ${of(0)} ${of(1)})`;
      case "min":
        return `(i32x4.min_s ${of(0)} ${of(1)})`;
      case "select":
        return `(v128.bitselect ${of(1)} ${of(2)} ${this.spell(args[0])})`;
      default:
        invariant(false, `${op} is no operation on integers`);
    }
  }

  #realExpression({ op, args }: Operation): string {
    const of = (i: number) => this.real(args[i]);
    switch (op) {
      case "add":
        return `(f32x4.add ${of(0)} ${of(1)})`;
      case "subtract":
        return `(f32x4.sub ${of(0)} ${of(1)})`;
      case "multiply":
        return `(f32x4.mul ${of(0)} ${of(1)})`;
      case "divide":
      case "quotient":
        return `(f32x4.div ${of(0)} ${of(1)})`;
      case "negate":
        return `(f32x4.neg ${of(0)})`;
      case "reciprocal":
        return `(f32x4.div ${this.#code.float(1)} ${of(0)})`;
      case "sqrt":
        return `(f32x4.sqrt ${of(0)})`;
      case "rsqrt":
        return `(f32x4.div ${this.#code.float(1)} (f32x4.sqrt ${of(0)}))`;
      case "abs":
      case "floor":
        return `(f32x4.${op} ${of(0)})`;
      case "stop":
        return of(0);
      case "sign":
        return this.#sign(of(0));
      case "max":
        return `(f32x4.pmax ${of(0)} ${of(1)})`;
      case "min":
        return `(f32x4.pmin ${of(0)} ${of(1)})`;
      case "select":
        return `(v128.bitselect ${of(1)} ${of(2)} ${this.spell(args[0])})`;
      default:
        invariant(false, `${op} has no spelling in WAT`);
    }
  }

  /** 1 with the sign of x, 0 for 0, and NaN for NaN. */
  #sign(x: string): string {
    const signed = `(v128.or (v128.and ${x} ${this.#code.integer(-2147483648)}) ${this.#code.float(1)})`;
    return `(v128.or (v128.and ${signed} (f32x4.ne ${x} ${this.#code.float(0)})) (f32x4.ne ${x} ${x}))`;
  }
}

/** Instructions of operations, roughly: an elementary function is some twenty. */
export const countInstructions = (operations: readonly Operation[]): number =>
  operations.reduce((sum, { op }) => sum + (statementFunctions[op] === undefined ? 1 : 20), 0);
