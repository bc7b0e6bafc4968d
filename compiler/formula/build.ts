// Syntax tree → normal form. Definitions are inlined, so they are polymorphic in extent; only the parameters that the
// caller names have extents of their own.

import { type Diagnostics, invariant } from "../source/diagnostic.ts";
import * as messages from "../source/messages/formula-building.ts";
import { nearest } from "../source/suggestions.ts";
import type { ExpressionText, Place, Span } from "../source/text.ts";
import { countOperations } from "./count-operations.ts";
import { constantValue } from "./evaluate.ts";
import type { Formula } from "./formula.ts";
import { formulaConstants, formulaFunctions } from "./functions.ts";
import { printTerm } from "./print.ts";
import type { BinaryOperator, Expression, FormulaSyntax } from "./syntax.ts";
import { type Extent, type FunctionName, type Kind, LANE, type Term, Terms, UNIFORM } from "./terms.ts";
import { comparable, decided, type IntegerRange, isExactFloat } from "./whole.ts";

export interface Parameter {
  readonly name: string;
  readonly extent: Extent;
  readonly kind?: Kind;
  /** What an integer can be; a position below 2^24 if left out. */
  readonly range?: IntegerRange;
}

/** A formula that other formulas may call, as the spec's `formulas:` gives it. */
export interface Definition {
  readonly parameters: readonly string[];
  readonly syntax: FormulaSyntax;
  readonly text: ExpressionText;
}

export interface BuildRequest {
  readonly syntax: FormulaSyntax;
  readonly text: ExpressionText;
  readonly parameters: readonly Parameter[];
  readonly definitions?: ReadonlyMap<string, Definition>;
  /** Names that stand for numbers, such as an op's eps. */
  readonly constants?: Readonly<Record<string, number>>;
  readonly diagnostics: Diagnostics;
  /** The name of a single output that has none in the syntax. */
  readonly output: string;
  /** What the output must be. */
  readonly result?: "number" | "condition";
  /** Axes that an output has although its term is the same along them, such as an activation that is a constant. */
  readonly extent?: Extent;
  /** Whether functions along the row are allowed; true unless said otherwise. */
  readonly rows?: boolean;
}

const largestExponent = 16;
const mostSteps = 20_000;
/** As text: a header of 16 000 characters; those of real models have less than 100. */
const mostOperations = 2_000;
/** Recursion over terms (lowering, derivatives, which roughly double the depth) stays far from the stack's end. */
const deepest = 1_000;

/** The formula in normal form, or undefined after reporting why not. */
export function buildFormula(request: BuildRequest): Formula | undefined {
  const builder = new Builder(request);
  try {
    return builder.build();
  } catch (error) {
    if (error instanceof Rejection) return undefined;
    throw error;
  }
}

/** Thrown once a diagnostic has been reported. */
class Rejection extends Error {}

type Scope = ReadonlyMap<string, Term>;

class Builder {
  readonly #request: BuildRequest;
  readonly #terms = new Terms();
  readonly #names = new Map<Term, string>();
  #text: ExpressionText;
  #steps = 0;

  constructor(request: BuildRequest) {
    this.#request = request;
    this.#text = request.text;
  }

  build(): Formula {
    const { syntax, parameters, output, result, extent = UNIFORM } = this.#request;
    const inputs = parameters.map((p) => this.#terms.input(p.name, p.extent, p.kind, p.range));
    const constants = Object.entries(this.#request.constants ?? {});
    const scope: Scope = new Map<string, Term>([
      ...constants.map(([name, value]) => [name, this.#terms.constant(value)] as const),
      ...inputs.map((input) => [input.name, input] as const),
    ]);
    const { outputs } = this.#body(syntax, scope, true);
    for (const { term, span } of outputs) {
      if (result === "condition") this.#needCondition(term, span);
      else this.#needNumber(term, span);
    }
    const formula: Formula = {
      terms: this.#terms,
      inputs,
      outputs: outputs.map(({ name, term }) => ({ name: name ?? output, term, extent: term.extent | extent })),
      names: this.#names,
    };
    const count = countOperations(formula);
    if (count > mostOperations)
      this.#reject(messages.tooManyOperations(this.#place(syntax.span), count, mostOperations));
    return formula;
  }

  #reject(diagnostic: Parameters<Diagnostics["add"]>[0]): never {
    this.#request.diagnostics.add(diagnostic);
    throw new Rejection();
  }

  #place(span: Span): Place {
    return this.#text.place(span);
  }

  #body(syntax: FormulaSyntax, scope: Scope, isEntry: boolean) {
    const inner = new Map(scope);
    for (const { name, value } of syntax.lets) {
      const term = this.#expression(value, inner);
      inner.set(name, term);
      if (isEntry && term.op !== "constant" && term.op !== "input" && !this.#names.has(term))
        this.#names.set(term, name);
    }
    return {
      outputs: syntax.outputs.map(({ name, value }) => ({
        name,
        term: this.#expression(value, inner),
        span: value.span,
      })),
    };
  }

  #needNumber(term: Term, span: Span): Term {
    if (term.kind === "condition") this.#reject(messages.numberExpected(this.#place(span)));
    return term;
  }

  #needCondition(term: Term, span: Span): Term {
    if (term.kind !== "condition") this.#reject(messages.conditionExpected(this.#place(span)));
    return term;
  }

  /** Numbers of a term must survive rounding to f32: an infinity is no literal on WebGPU, and 0 is another number. */
  #held(term: Term, span: Span): Term {
    const lost = numbersOf(term).find((value) => !isHeld(value));
    if (lost !== undefined) this.#reject(messages.notHeld(this.#place(span), String(lost), Math.fround(lost)));
    return term;
  }

  /** A literal such as 1e-400 is 0 in f64 already. */
  #literal(value: number, span: Span): Term {
    const written = this.#text.text.slice(span.start, span.end);
    const isTiny = value === 0 && /[1-9]/.test(written.replace(/[eE].*/, ""));
    if (isTiny) this.#reject(messages.notHeld(this.#place(span), written, 0));
    return this.#terms.constant(value);
  }

  #number(expression: Expression, scope: Scope): Term {
    return this.#needNumber(this.#expression(expression, scope), expression.span);
  }

  #condition(expression: Expression, scope: Scope): Term {
    return this.#needCondition(this.#expression(expression, scope), expression.span);
  }

  #expression(expression: Expression, scope: Scope): Term {
    if (++this.#steps > mostSteps) this.#reject(messages.tooLarge(this.#place(expression.span), mostSteps));
    const term = this.#bounded(this.#held(this.#meaning(expression, scope), expression.span), expression.span);
    if (term.depth > deepest) this.#reject(messages.tooDeep(this.#place(expression.span), deepest));
    return term;
  }

  /** Powers that arise by multiplication are as many multiplications as those that are written. */
  #bounded(term: Term, span: Span): Term {
    if (term.op !== "product") return term;
    const large = term.factors.find(([, exponent]) => Math.abs(exponent) > largestExponent);
    if (large !== undefined) this.#reject(messages.exponentTooLarge(this.#place(span), large[1], largestExponent));
    return term;
  }

  #meaning(expression: Expression, scope: Scope): Term {
    const terms = this.#terms;
    switch (expression.kind) {
      case "number":
        return this.#literal(expression.value, expression.span);
      case "name":
        return this.#lookUp(expression.name, expression.span, scope);
      case "unary":
        if (expression.operator === "!") return terms.call("not", [this.#condition(expression.operand, scope)]);
        return terms.negate(this.#number(expression.operand, scope));
      case "binary":
        return this.#binary(expression.operator, expression, scope);
      case "call":
        return this.#call(expression, scope);
    }
  }

  #lookUp(name: string, span: Span, scope: Scope): Term {
    const found = scope.get(name);
    if (found !== undefined) return found;
    const constant = formulaConstants.get(name);
    if (constant !== undefined) return this.#terms.constant(constant);
    return this.#reject(messages.unknownName(this.#place(span), name, [...scope.keys(), ...formulaConstants.keys()]));
  }

  #binary(operator: BinaryOperator, { left, right, span }: Expression & { kind: "binary" }, scope: Scope): Term {
    const terms = this.#terms;
    if (operator === "&&") return terms.call("and", [this.#condition(left, scope), this.#condition(right, scope)]);
    if (operator === "||") return terms.call("or", [this.#condition(left, scope), this.#condition(right, scope)]);
    const a = this.#number(left, scope);
    const b = this.#number(right, scope);
    switch (operator) {
      case "+":
        return terms.add(a, b);
      case "-":
        return terms.subtract(a, b);
      case "*":
        return terms.multiply(a, b);
      case "/":
        return terms.product(1, [
          [a, 1],
          [b, -1],
        ]);
      case "^":
        return this.#power(a, b, right.span);
      case "<":
        return this.#comparison("less", a, b, span);
      case "<=":
        return this.#comparison("less_or_equal", a, b, span);
      case ">":
        return this.#comparison("less", b, a, span);
      case ">=":
        return this.#comparison("less_or_equal", b, a, span);
      case "==":
        return this.#comparison("equal", a, b, span);
      case "!=":
        return terms.call("not", [this.#comparison("equal", a, b, span)]);
    }
  }

  /** Whole numbers that kernels would round or wrap are compared here if all their values agree, and nowhere else. */
  #comparison(callee: "less" | "less_or_equal" | "equal", x: Term, y: Term, span: Span): Term {
    const terms = this.#terms;
    const plain = terms.call(callee, [x, y]);
    const [left, right] = [comparable(x), comparable(y)];
    if (left === undefined || right === undefined || (x.kind === "integer" && y.kind === "integer")) return plain;
    const [isLeftExact, isRightExact] = [isExactFloat(x, left), isExactFloat(y, right)];
    if (isLeftExact && isRightExact) return plain;
    const answer = decided(callee, left, right);
    if (answer === true) return terms.call("less", [terms.zero, terms.one]);
    if (answer === false) return terms.call("less", [terms.one, terms.zero]);
    const [term, { low, high }] = isLeftExact ? ([y, right] as const) : ([x, left] as const);
    return this.#reject(messages.beyondIntegers(this.#place(span), printTerm(term), low, high));
  }

  #power(base: Term, exponent: Term, span: Span): Term {
    const terms = this.#terms;
    const isMonomial = exponent.op === "constant" && Number.isInteger(exponent.value * 2);
    if (!isMonomial) return terms.call("exp", [terms.multiply(exponent, terms.call("log", [base]))]);
    if (Math.abs(exponent.value) > largestExponent) {
      this.#reject(messages.exponentTooLarge(this.#place(span), exponent.value, largestExponent));
    }
    return terms.product(1, [[base, exponent.value]]);
  }

  #call(expression: Expression & { kind: "call" }, scope: Scope): Term {
    const { callee, calleeSpan, arguments: args } = expression;
    const definition = this.#request.definitions?.get(callee);
    if (definition !== undefined) return this.#inline(definition, expression, scope);
    const signature = formulaFunctions.get(callee);
    if (signature === undefined) {
      const [guess] = nearest(callee, [...formulaFunctions.keys()], 1);
      return this.#reject(messages.unknownFunction(this.#place(calleeSpan), callee, guess));
    }
    this.#checkArity(callee, calleeSpan, signature.arity, args.length);
    if (callee === "if") {
      const condition = this.#condition(args[0], scope);
      return this.#terms.call("select", [condition, this.#number(args[1], scope), this.#number(args[2], scope)]);
    }
    const values = args.map((arg) => this.#number(arg, scope));
    const isRow = signature.kind === "row" || (callee === "max" && values.length === 1);
    if (isRow) this.#checkRow(callee, calleeSpan, values[0]);
    if (callee === "pick" && values[0].op !== "input") this.#reject(messages.pickNeedsInput(this.#place(args[0].span)));
    return applyFunction(this.#terms, callee, values);
  }

  #checkArity(callee: string, span: Span, [least, most]: readonly [number, number], got: number): void {
    if (got >= least && got <= most) return;
    const expected = least === most ? `${least} argument${least === 1 ? "" : "s"}` : `${least} or ${most} arguments`;
    this.#reject(messages.wrongArity(this.#place(span), callee, expected, got));
  }

  #checkRow(callee: string, span: Span, argument: Term): void {
    if (this.#request.rows === false) this.#reject(messages.noRowHere(this.#place(span), callee));
    if ((argument.extent & LANE) === 0) this.#reject(messages.notAlongRow(this.#place(span), callee));
  }

  #inline(definition: Definition, expression: Expression & { kind: "call" }, scope: Scope): Term {
    const count = definition.parameters.length;
    this.#checkArity(expression.callee, expression.calleeSpan, [count, count], expression.arguments.length);
    const values = expression.arguments.map((arg) => this.#expression(arg, scope));
    const inner: Scope = new Map(definition.parameters.map((name, i) => [name, values[i]]));
    const outer = this.#text;
    this.#text = definition.text;
    const { outputs } = this.#body(definition.syntax, inner, false);
    this.#text = outer;
    return outputs[0].term;
  }
}

/** The numbers that a kernel computes a term with; a function of constants is one, although it is computed at run time. */
function numbersOf(term: Term): readonly number[] {
  switch (term.op) {
    case "constant":
      return [term.value];
    case "product":
      return [term.coefficient];
    case "sum":
      return [term.constant, ...term.summands.map(([, coefficient]) => coefficient)];
    case "call": {
      if (term.callee === "quotient" && term.args[1].op === "constant" && term.args[1].value === 0) return [Number.NaN];
      const isConstant = term.kind !== "condition" && term.args.every(({ op }) => op === "constant");
      return isConstant ? [constantValue(term)] : [];
    }
    default:
      return [];
  }
}

const isHeld = (value: number): boolean =>
  Number.isFinite(Math.fround(value)) && (value === 0 || Math.fround(value) !== 0);

/** Built-in functions by what they expand to. */
const expansions: Readonly<Record<string, (terms: Terms, x: Term, y: Term, z: Term) => Term>> = {
  quotient: (terms, x, y) => terms.call("quotient", [x, y]),
  sqrt: (terms, x) => terms.product(1, [[x, 0.5]]),
  rsqrt: (terms, x) => terms.product(1, [[x, -0.5]]),
  min: (terms, x, y) => terms.call("min", [x, y]),
  max: (terms, x, y) => (y === undefined ? terms.reduce("max", LANE, x) : terms.call("max", [x, y])),
  clamp: (terms, x, y, z) => terms.call("min", [terms.call("max", [x, y]), z]),
  silu: (terms, x) => terms.multiply(x, terms.call("sigmoid", [x])),
  gelu: (terms, x) => halfOnePlus(terms, x, terms.call("erf", [terms.product(Math.SQRT1_2, [[x, 1]])])),
  gelu_tanh: (terms, x) => halfOnePlus(terms, x, bentTanh(terms, x)),
  sum: (terms, x) => terms.reduce("sum", LANE, x),
  mean: (terms, x) =>
    terms.product(1, [
      [terms.reduce("sum", LANE, x), 1],
      [terms.count(LANE), -1],
    ]),
  softmax: (terms, x) => {
    const e = terms.call("exp", [terms.subtract(x, terms.reduce("max", LANE, x))]);
    return terms.product(1, [
      [e, 1],
      [terms.reduce("sum", LANE, e), -1],
    ]);
  },
  log_sum_exp: (terms, x) => {
    const m = terms.reduce("max", LANE, x);
    const s = terms.reduce("sum", LANE, terms.call("exp", [terms.subtract(x, m)]));
    return terms.add(m, terms.call("log", [s]));
  },
  pick: (terms, x, y) => {
    invariant(x.op === "input", "pick() must read an input");
    return terms.pick(x, y);
  },
};

/** Functions that the normal form has itself. */
const direct: ReadonlySet<string> = new Set<FunctionName>([
  "exp",
  "log",
  "abs",
  "sign",
  "floor",
  "sigmoid",
  "tanh",
  "softplus",
  "erf",
  "stop",
]);

function applyFunction(terms: Terms, callee: string, [x, y, z]: readonly Term[]): Term {
  if (direct.has(callee)) return terms.call(callee as FunctionName, [x]);
  const expansion = expansions[callee];
  invariant(expansion !== undefined, `function ${callee} has no meaning`);
  return expansion(terms, x, y, z);
}

/** 0.5 x (1 + bent) */
const halfOnePlus = (terms: Terms, x: Term, bent: Term): Term =>
  terms.product(0.5, [
    [x, 1],
    [terms.sum(1, [[bent, 1]]), 1],
  ]);

/** tanh(sqrt(2/pi) (x + 0.044715 x^3)); Hendrycks and Gimpel, arXiv:1606.08415. */
function bentTanh(terms: Terms, x: Term): Term {
  const cubed = terms.sum(0, [
    [x, 1],
    [terms.product(0.044715, [[x, 3]]), 1],
  ]);
  return terms.call("tanh", [terms.product(Math.sqrt(2 / Math.PI), [[cubed, 1]])]);
}
