// The arithmetic of sizes: exact, on ratios of whole numbers, so that neither 2^53 nor a division loses anything.
// Only a square root that is no ratio leaves it for a float.

import { DiagnosticError } from "../source/diagnostic.ts";
import * as sayExpression from "../source/messages/expression.ts";
import * as say from "../source/messages/size.ts";
import type { ExpressionText, Span } from "../source/text.ts";
import { sizeFunctions } from "./functions.ts";
import type { BinaryOperator, Expression } from "./syntax.ts";

/** A ratio in lowest terms with a denominator above zero, or a float. */
export type Size =
  | { readonly kind: "ratio"; readonly numerator: bigint; readonly denominator: bigint }
  | { readonly kind: "float"; readonly value: number };

/** What a name stands for; throws a DiagnosticError if it stands for nothing. */
export type NameLookup = (name: string, span: Span) => Size;

/** Beyond any size; it bounds the time of the arithmetic. */
const mostBits = 4096;

/** The value of a size; throws a DiagnosticError. */
export function evaluateSize(tree: Expression, text: ExpressionText, lookUp: NameLookup): Size {
  return new Evaluation(text, lookUp).valueOf(tree);
}

export function wholeSize(value: number | bigint): Size {
  return { kind: "ratio", numerator: BigInt(value), denominator: 1n };
}

/** The nearest float; a ratio is rounded once. */
export function sizeNumber(size: Size): number {
  if (size.kind === "float") return size.value;
  const { numerator, denominator } = size;
  if (denominator === 1n) return Number(numerator);
  const magnitude = numerator < 0n ? -numerator : numerator;
  // 66 bits of quotient, or what is left of them above the smallest float.
  const shift = Math.min(66 - (bitLength(magnitude) - bitLength(denominator)), smallestExponent);
  const scaled = shift >= 0 ? magnitude << BigInt(shift) : magnitude;
  const divisor = shift >= 0 ? denominator : denominator << BigInt(-shift);
  const value = timesPowerOfTwo(roundedQuotient(scaled, divisor), -shift);
  return numerator < 0n ? -value : value;
}

/** 2^-1074 is the smallest float above 0. */
const smallestExponent = 1074;

/** The quotient as a float that is scaled without another rounding: a subnormal one keeps its few bits as a whole number. */
function roundedQuotient(dividend: bigint, divisor: bigint): number {
  const [quotient, rest] = [dividend / divisor, dividend % divisor];
  // A sticky bit for the rest makes the rounding of Number() the only one.
  if (quotient >= 2n ** 53n) return Number((quotient << 1n) | (rest === 0n ? 0n : 1n)) / 2;
  const isAbove = 2n * rest > divisor || (2n * rest === divisor && quotient % 2n === 1n);
  return Number(isAbove ? quotient + 1n : quotient);
}

/** A size as a message shows it: `384`, or `1000 / 3 = 333.333`. */
export function sizeWords(size: Size): string {
  if (size.kind === "float") return String(size.value);
  if (size.denominator === 1n) return wholeWords(size.numerator);
  const value = sizeNumber(size);
  const isShort = String(value).length <= 8;
  return isShort ? String(value) : `${size.numerator} / ${size.denominator} = ${value.toPrecision(6)}`;
}

/** All digits of what a person may have meant, the order of magnitude of the rest. */
function wholeWords(value: bigint): string {
  const digits = String(value);
  if (digits.length <= 40) return digits;
  const sign = value < 0n ? 1 : 0;
  return `${digits.slice(0, sign + 1)}.${digits.slice(sign + 1, sign + 6)}e+${digits.length - sign - 1}`;
}

/** Two steps, because 2^-1100 is zero. */
function timesPowerOfTwo(value: number, exponent: number): number {
  const half = Math.trunc(exponent / 2);
  return value * 2 ** half * 2 ** (exponent - half);
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

class Evaluation {
  readonly #text: ExpressionText;
  readonly #lookUp: NameLookup;

  constructor(text: ExpressionText, lookUp: NameLookup) {
    this.#text = text;
    this.#lookUp = lookUp;
  }

  valueOf(tree: Expression): Size {
    switch (tree.kind) {
      case "number":
        return decimalSize(tree.value);
      case "name":
        return this.#lookUp(tree.name, tree.span);
      case "unary":
        if (tree.operator === "!") throw this.#fault(say.wrongOperator("!", this.#text.place(tree.span)));
        return negated(this.valueOf(tree.operand));
      case "binary":
        return this.#bounded(this.#binary(tree.operator, tree), tree.span);
      case "call":
        return this.#bounded(this.#call(tree), tree.span);
    }
  }

  #fault(...diagnostics: ConstructorParameters<typeof DiagnosticError>[0]): DiagnosticError {
    return new DiagnosticError(diagnostics);
  }

  #binary(operator: BinaryOperator, tree: Expression & { kind: "binary" }): Size {
    const left = this.valueOf(tree.left);
    const right = this.valueOf(tree.right);
    switch (operator) {
      case "+":
        return added(left, right);
      case "-":
        return added(left, negated(right));
      case "*":
        return multiplied(left, right);
      case "/":
        return multiplied(left, this.#inverse(right, tree.right.span));
      case "^":
        return this.#power(left, right, tree);
      default:
        throw this.#fault(say.wrongOperator(operator, this.#text.place(tree.operatorSpan)));
    }
  }

  #inverse(size: Size, span: Span): Size {
    if (sizeNumber(size) === 0) throw this.#fault(say.divisionByZero(this.#text.place(span)));
    if (size.kind === "float") return { kind: "float", value: 1 / size.value };
    return ratio(size.denominator, size.numerator);
  }

  /** Whole exponents by multiplication, halves by a square root: both give the same bits on every engine. */
  #power(base: Size, exponent: Size, tree: Expression & { kind: "binary" }): Size {
    const twice = sizeNumber(exponent) * 2;
    const place = this.#text.place(tree.right.span);
    if (!Number.isInteger(twice)) throw this.#fault(say.wrongExponent(sizeWords(exponent), place));
    if (Math.abs(twice) > 2 * mostBits) throw this.#fault(say.exponentTooLarge(sizeWords(exponent), mostBits, place));
    const root = twice % 2 === 0 ? base : this.#squareRoot(base, tree.left.span);
    const count = Math.abs(twice % 2 === 0 ? twice / 2 : twice);
    const positive = this.#repeated(root, count, tree.span);
    return twice < 0 ? this.#inverse(positive, tree.left.span) : positive;
  }

  #repeated(base: Size, count: number, span: Span): Size {
    let result = wholeSize(1);
    let square = base;
    for (let rest = count; rest > 0; rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) result = this.#bounded(multiplied(result, square), span);
      if (rest > 1) square = this.#bounded(multiplied(square, square), span);
    }
    return result;
  }

  #squareRoot(size: Size, span: Span): Size {
    const value = sizeNumber(size);
    if (value < 0) throw this.#fault(say.negativeRoot(sizeWords(size), this.#text.place(span)));
    if (size.kind === "ratio") {
      const numerator = exactRoot(size.numerator);
      const denominator = exactRoot(size.denominator);
      if (numerator !== undefined && denominator !== undefined) return ratio(numerator, denominator);
    }
    return { kind: "float", value: Math.sqrt(value) };
  }

  #call({ callee, calleeSpan, arguments: args }: Expression & { kind: "call" }): Size {
    const place = this.#text.place(calleeSpan);
    const signature = sizeFunctions.get(callee);
    if (signature === undefined) throw this.#fault(say.unknownFunction(callee, [...sizeFunctions.keys()], place));
    const [least, most] = signature.arity;
    if (args.length < least || args.length > most) {
      throw this.#fault(sayExpression.argumentCount(callee, signature.arity, args.length, place));
    }
    const [x, y = wholeSize(1)] = args.map((arg) => this.valueOf(arg));
    switch (callee) {
      case "ceil":
        return negated(this.#floor(negated(x), y, args.at(-1)?.span ?? calleeSpan));
      case "floor":
        return this.#floor(x, y, args.at(-1)?.span ?? calleeSpan);
      case "min":
        return isLess(y, x) ? y : x;
      case "max":
        return isLess(x, y) ? y : x;
      default:
        return this.#squareRoot(x, args[0].span);
    }
  }

  /** The largest multiple of `step` that is not above `size`. */
  #floor(size: Size, step: Size, span: Span): Size {
    const quotient = multiplied(size, this.#inverse(step, span));
    if (quotient.kind === "ratio") {
      const { numerator, denominator } = quotient;
      const down = numerator < 0n && numerator % denominator !== 0n ? 1n : 0n;
      return multiplied(wholeSize(numerator / denominator - down), step);
    }
    if (!Number.isFinite(quotient.value)) throw this.#fault(say.tooLarge(this.#text.place(span)));
    return multiplied(wholeSize(Math.floor(quotient.value)), step);
  }

  #bounded(size: Size, span: Span): Size {
    const limit = 1n << BigInt(mostBits);
    const isBounded =
      size.kind === "float"
        ? Number.isFinite(size.value)
        : size.numerator < limit && size.numerator > -limit && size.denominator < limit;
    if (isBounded) return size;
    throw this.#fault(say.tooLarge(this.#text.place(span)));
  }
}

function ratio(numerator: bigint, denominator: bigint): Size {
  const sign = denominator < 0n ? -1n : 1n;
  let [a, b] = [numerator < 0n ? -numerator : numerator, denominator * sign];
  while (b !== 0n) [a, b] = [b, a % b];
  const common = a === 0n ? 1n : a;
  return { kind: "ratio", numerator: (numerator * sign) / common, denominator: (denominator * sign) / common };
}

/** The decimal that was written: a finite float prints as the shortest decimal that reads back to it. */
export function decimalSize(value: number): Size {
  const [digits, exponent = "0"] = String(value).split("e");
  const [whole, fraction = ""] = digits.split(".");
  const numerator = BigInt(whole + fraction);
  const power = Number(exponent) - fraction.length;
  return power >= 0 ? wholeSize(numerator * 10n ** BigInt(power)) : ratio(numerator, 10n ** BigInt(-power));
}

function negated(size: Size): Size {
  return size.kind === "float" ? { kind: "float", value: -size.value } : { ...size, numerator: -size.numerator };
}

function added(a: Size, b: Size): Size {
  if (a.kind === "float" || b.kind === "float") return { kind: "float", value: sizeNumber(a) + sizeNumber(b) };
  return ratio(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
}

function multiplied(a: Size, b: Size): Size {
  if (a.kind === "float" || b.kind === "float") return { kind: "float", value: sizeNumber(a) * sizeNumber(b) };
  return ratio(a.numerator * b.numerator, a.denominator * b.denominator);
}

function isLess(a: Size, b: Size): boolean {
  const difference = added(a, negated(b));
  return difference.kind === "float" ? difference.value < 0 : difference.numerator < 0n;
}

/** The square root of a whole number if it is whole. */
function exactRoot(value: bigint): bigint | undefined {
  if (value < 2n) return value;
  // Newton's method from above.
  let root = 1n << BigInt(Math.ceil(bitLength(value) / 2));
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) break;
    root = next;
  }
  return root * root === value ? root : undefined;
}
