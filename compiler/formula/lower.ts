// Normal form → binary operations that every target can spell: powers become products, roots and reciprocals, factors
// are grouped by extent so that only one scalar per row enters a loop, and shared products are computed once.

import type { Formula } from "./formula.ts";
import { walkPostorder } from "./postorder.ts";
import {
  asFactors,
  type Extent,
  type Factor,
  type FunctionName,
  type Kind,
  LANE,
  operands,
  type ProductTerm,
  postorder,
  type SumTerm,
  type Term,
  UNIFORM,
} from "./terms.ts";
import { isIntegerProduct, isMachineInteger } from "./whole.ts";

export type OperationName =
  | "constant"
  | "input"
  | "index"
  | "count"
  | "pick"
  | "add"
  | "subtract"
  | "multiply"
  | "divide"
  | "negate"
  | "reciprocal"
  | "sqrt"
  | "rsqrt"
  | "sum"
  | "maximum"
  | FunctionName;

export interface Operation {
  readonly id: number;
  readonly op: OperationName;
  readonly args: readonly Operation[];
  readonly extent: Extent;
  readonly kind: Kind;
  /** Constants. */
  readonly value?: number;
  /** Inputs and picks: which input. */
  readonly input?: string;
  /** Index, count, sum and maximum: along which axis. */
  readonly axis?: Extent;
}

export interface LoweredFormula {
  readonly outputs: readonly { readonly name: string; readonly operation: Operation; readonly extent: Extent }[];
  readonly names: ReadonlyMap<Operation, string>;
}

/** Lowers all outputs together, so that they share what they have in common. */
export function lowerFormula(formula: Formula): LoweredFormula {
  return new Lowering(formula).run();
}

type OperationFacts = Omit<Operation, "id">;

/** Operations below the roots, arguments first. */
export function operationsBelow(
  roots: readonly Operation[],
  stop: (operation: Operation) => boolean = () => false,
): Operation[] {
  return walkPostorder(roots, (operation) => operation.args, stop);
}

/** A product of element values whose order is still open; resolved once all products are known. */
interface OpenProduct {
  readonly opened: Operation;
  atoms: Operation[];
}

class Lowering {
  readonly #formula: Formula;
  readonly #table = new Map<string, Operation>();
  readonly #done = new Map<Term, Operation>();
  readonly #names = new Map<Operation, string>();
  /** Every exponent with which a base occurs: decides between roots, reciprocals and real divisions. */
  readonly #exponents = new Map<Term, number[]>();
  readonly #namedProducts: readonly ProductTerm[];
  readonly #open = new Map<Operation, OpenProduct>();

  constructor(formula: Formula) {
    this.#formula = formula;
    const products = postorder(formula.outputs.map((o) => o.term)).filter((t) => t.op === "product");
    for (const product of products) {
      for (const [base, exponent] of product.factors) {
        this.#exponents.set(base, [...(this.#exponents.get(base) ?? []), exponent]);
      }
    }
    this.#namedProducts = products.filter((p) => formula.names.has(p) && p.coefficient === 1 && p.factors.length > 1);
  }

  run(): LoweredFormula {
    const outputs = this.#formula.outputs.map((o) => ({
      name: o.name,
      extent: o.extent,
      operation: this.#lower(o.term),
    }));
    this.#sharePairs(outputs.map((o) => o.operation));
    const resolved = new Map<Operation, Operation>();
    return {
      outputs: outputs.map((output) => ({ ...output, operation: this.#resolve(output.operation, resolved) })),
      names: this.#names,
    };
  }

  #make(facts: OperationFacts, discriminator = ""): Operation {
    const key = [facts.op, facts.value, facts.input, facts.axis, discriminator, ...facts.args.map((a) => a.id)].join(
      " ",
    );
    let operation = this.#table.get(key);
    if (operation === undefined) {
      operation = { id: this.#table.size, ...facts };
      this.#table.set(key, operation);
    }
    return operation;
  }

  #apply(op: OperationName, args: readonly Operation[], kind: Kind = "real"): Operation {
    return this.#make({ op, args, kind, extent: args.reduce((axes, a) => axes | a.extent, UNIFORM) });
  }

  #constant(value: number): Operation {
    const kind = isMachineInteger(value) ? "integer" : "real";
    return this.#make({ op: "constant", args: [], extent: UNIFORM, kind, value });
  }

  #lower(term: Term): Operation {
    const known = this.#done.get(term);
    if (known !== undefined) return known;
    const operation = this.#lowered(term);
    this.#done.set(term, operation);
    const name = this.#formula.names.get(term);
    if (name !== undefined && operation.op !== "input" && !this.#names.has(operation)) this.#names.set(operation, name);
    return operation;
  }

  #lowered(term: Term): Operation {
    const { extent, kind } = term;
    switch (term.op) {
      case "constant":
        return this.#constant(term.value);
      case "input":
        return this.#make({ op: "input", args: [], extent, kind, input: term.name });
      case "index":
      case "count":
        return this.#make({ op: term.op, args: [], extent, kind, axis: term.axis });
      case "pick":
        return this.#make({ op: "pick", args: [this.#lower(term.index)], extent, kind, input: term.input.name });
      case "reduce": {
        const op = term.reduction === "sum" ? "sum" : "maximum";
        return this.#make({ op, args: [this.#lower(term.argument)], extent, kind, axis: term.axis });
      }
      case "call":
        return this.#make({ op: term.callee, args: operands(term).map((a) => this.#lower(a)), extent, kind });
      case "product":
        return this.#product(term.coefficient, term.factors, term);
      case "sum":
        return this.#sum(term);
    }
  }

  /** Terms that vary least come first, so that what does not change along the row is added once. */
  #sum(term: SumTerm): Operation {
    const ordered = [...term.summands].sort((a, b) => (a[0].extent & LANE) - (b[0].extent & LANE) || b[1] - a[1]);
    const parts = ordered.map(([summand, coefficient]) => ({
      operation: this.#scaled(Math.abs(coefficient), summand),
      isNegative: coefficient < 0,
    }));
    if (term.constant !== 0) {
      parts.unshift({ operation: this.#constant(Math.abs(term.constant)), isNegative: term.constant < 0 });
    }
    const firstPositive = parts.findIndex((part) => !part.isNegative);
    if (firstPositive > 0) parts.unshift(...parts.splice(firstPositive, 1));
    const [first, ...rest] = parts;
    const start = first.isNegative ? this.#apply("negate", [first.operation], term.kind) : first.operation;
    return rest.reduce(
      (sum, part) => this.#apply(part.isNegative ? "subtract" : "add", [sum, part.operation], term.kind),
      start,
    );
  }

  #scaled(coefficient: number, term: Term): Operation {
    if (coefficient === 1) return this.#lower(term);
    return this.#product(coefficient, asFactors(term).factors, undefined);
  }

  #product(coefficient: number, factors: readonly Factor[], whole: ProductTerm | undefined): Operation {
    const reused = this.#reuseNamed(factors, whole);
    const { numerator, divisors } = this.#atoms(Math.abs(coefficient), reused?.rest ?? factors);
    if (reused !== undefined) numerator.unshift(this.#lower(reused.product));
    const positive = this.#multiplied(numerator, divisors, isIntegerProduct(coefficient, factors) ? "integer" : "real");
    return coefficient < 0 ? this.#apply("negate", [positive], positive.kind) : positive;
  }

  /** A product that the author named is computed anyway: products that contain it start from it. */
  #reuseNamed(
    factors: readonly Factor[],
    whole: ProductTerm | undefined,
  ): { product: ProductTerm; rest: readonly Factor[] } | undefined {
    const exponents = new Map(factors);
    for (const product of this.#namedProducts) {
      if (
        product === whole ||
        product.factors.every(([b, e]) => exponents.get(b) === e && product.factors.length === factors.length)
      )
        continue;
      if (!product.factors.every(([base, exponent]) => (exponents.get(base) ?? 0) / exponent >= 1)) continue;
      const inverse = product.factors.map(([base, exponent]): Factor => [base, -exponent]);
      return { product, rest: asFactors(this.#formula.terms.product(1, [...factors, ...inverse])).factors };
    }
    return undefined;
  }

  /** What gets multiplied, and the element values that divide once. */
  #atoms(magnitude: number, factors: readonly Factor[]): { numerator: Operation[]; divisors: Operation[] } {
    const numerator: Operation[] = [];
    const divisors: Operation[] = [];
    const repeat = (operation: Operation, times: number) => {
      for (let i = 0; i < times; i++) numerator.push(operation);
    };
    for (const [base, exponent] of factors) {
      const all = this.#exponents.get(base) ?? [exponent];
      const hasRoots = all.some((e) => !Number.isInteger(e));
      const whole = Math.floor(Math.abs(exponent));
      const isWhole = Number.isInteger(exponent);
      const operation = this.#lower(base);
      if (isWhole && exponent > 0) repeat(operation, whole);
      else if (isWhole && !hasRoots) {
        if ((base.extent & LANE) !== 0 && all.length === 1 && exponent === -1) divisors.push(operation);
        else repeat(this.#apply("reciprocal", [operation]), whole);
      } else if (exponent < 0) repeat(this.#apply("rsqrt", [operation]), -2 * exponent);
      else if (all.some((e) => !Number.isInteger(e) && e < 0)) {
        // x^½ = x · x^-½ where the reciprocal root is there anyway.
        repeat(operation, Math.ceil(exponent));
        numerator.push(this.#apply("rsqrt", [operation]));
      } else {
        repeat(operation, whole);
        numerator.push(this.#apply("sqrt", [operation]));
      }
    }
    if (magnitude !== 1) numerator.push(this.#constant(magnitude));
    return { numerator, divisors };
  }

  #multiplied(numerator: readonly Operation[], divisors: readonly Operation[], kind: Kind): Operation {
    const flat = numerator.filter((atom) => (atom.extent & LANE) === 0);
    const varying = numerator.filter((atom) => (atom.extent & LANE) !== 0);
    if (varying.length === 0 && divisors.length === 0) return this.#chain(flat, kind);
    if (flat.length > 0) varying.push(this.#chain(flat, kind));
    const above = varying.length === 0 ? this.#constant(1) : this.#openProduct(varying, kind);
    return divisors.length === 0 ? above : this.#apply("divide", [above, this.#chain(divisors, "real")]);
  }

  #chain(factors: readonly Operation[], kind: Kind): Operation {
    if (factors.length === 0) return this.#constant(1);
    const ordered = [...factors].sort((a, b) => a.extent - b.extent || a.id - b.id);
    return ordered.reduce((product, factor) => this.#apply("multiply", [product, factor], kind));
  }

  #openProduct(atoms: Operation[], kind: Kind): Operation {
    if (atoms.length === 1) return atoms[0];
    const sorted = [...atoms].sort((a, b) => a.id - b.id);
    const extent = sorted.reduce((axes, a) => axes | a.extent, UNIFORM);
    const opened = this.#make({ op: "multiply", args: sorted, extent, kind }, "open");
    if (!this.#open.has(opened)) this.#open.set(opened, { opened, atoms: sorted });
    return opened;
  }

  /** Greedily computes the pair of factors that most products share once (Paar's algorithm). */
  #sharePairs(roots: readonly Operation[]): void {
    const live = new Set(operationsBelow(roots));
    // A product of integers stays as it is: the pairs are floats, and what reads it counts on integers.
    const products = [...this.#open.values()].filter(({ opened }) => live.has(opened) && opened.kind !== "integer");
    for (;;) {
      const best = mostSharedPair(products);
      if (best === undefined) return;
      const [left, right] = best;
      const pair = this.#apply("multiply", [left, right]);
      for (const product of products) {
        const i = product.atoms.indexOf(left);
        const j = product.atoms.indexOf(right, left === right ? i + 1 : 0);
        if (i < 0 || j < 0) continue;
        product.atoms = [...product.atoms.filter((_, k) => k !== i && k !== j), pair];
      }
    }
  }

  /** The final operation: open products become chains, elements first. */
  #resolve(operation: Operation, resolved: Map<Operation, Operation>): Operation {
    const known = resolved.get(operation);
    if (known !== undefined) return known;
    const open = this.#open.get(operation);
    let result: Operation;
    if (open !== undefined) {
      const atoms = open.atoms.map((atom) => this.#resolve(atom, resolved));
      atoms.sort((a, b) => b.extent - a.extent || a.id - b.id);
      result = atoms.reduce((product, atom) => this.#apply("multiply", [product, atom], operation.kind));
    } else {
      const args = operation.args.map((arg) => this.#resolve(arg, resolved));
      const isSame = args.every((arg, i) => arg === operation.args[i]);
      const { id: _, ...facts } = operation;
      result = isSame ? operation : this.#make({ ...facts, args });
    }
    resolved.set(operation, result);
    const name = this.#names.get(operation);
    if (name !== undefined && !this.#names.has(result)) this.#names.set(result, name);
    return result;
  }
}

function mostSharedPair(products: readonly OpenProduct[]): readonly [Operation, Operation] | undefined {
  const counts = new Map<string, { count: number; pair: readonly [Operation, Operation] }>();
  for (const { atoms } of products) {
    const seen = new Set<string>();
    for (let i = 0; i < atoms.length; i++) {
      for (let j = i + 1; j < atoms.length; j++) {
        const pair = atoms[i].id <= atoms[j].id ? ([atoms[i], atoms[j]] as const) : ([atoms[j], atoms[i]] as const);
        const key = `${pair[0].id} ${pair[1].id}`;
        if (seen.has(key)) continue;
        seen.add(key);
        counts.set(key, { count: (counts.get(key)?.count ?? 0) + 1, pair });
      }
    }
  }
  const shared = [...counts.values()].filter(({ count }) => count > 1);
  shared.sort((a, b) => b.count - a.count || a.pair[0].id - b.pair[0].id || a.pair[1].id - b.pair[1].id);
  return shared[0]?.pair;
}
