// What can be wrong with the meaning of a formula whose syntax is right.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { both, quoted } from "./words.ts";

const error = (code: string, place: Place, claim: string, label: string, help: string): Diagnostic => ({
  code: `formula/${code}`,
  severity: "error",
  claim,
  place,
  label,
  help,
});

export const unknownName = (place: Place, name: string, legal: readonly string[]): Diagnostic =>
  error(
    "unknown-name",
    place,
    `no value is called ${name} here`,
    `legal here: ${legal.join(", ")}`,
    "use one of those names, or define it with `let` or under `formulas:`",
  );

/** What other tools have a function for. */
const spelled: ReadonlyMap<string, string> = new Map([
  ["relu", "max(x, 0)"],
  ["relu2", "max(x, 0)^2"],
  ["swish", "silu(x)"],
  ["gelu_new", "gelu_tanh(x)"],
  ["mish", "x * tanh(softplus(x))"],
  ["elu", "if(x > 0, x, exp(x) - 1)"],
  ["leaky_relu", "max(x, 0.01 * x)"],
  ["ln", "log(x)"],
  ["pow", "x^y"],
  ["square", "x^2"],
  ["ceil", "-floor(-x)"],
  ["where", "if(condition, a, b)"],
]);

export function unknownFunction(place: Place, name: string, nearest: string | undefined): Diagnostic {
  const spelling = spelled.get(name.toLowerCase());
  const claim = `no function is called ${name}`;
  if (spelling !== undefined) return error("unknown-function", place, claim, "not built in", `write \`${spelling}\``);
  return error(
    "unknown-function",
    place,
    claim,
    nearest === undefined ? "unknown" : `did you mean ${nearest}?`,
    "see the list of functions in the language reference, or define it under `formulas:`",
  );
}

export const wrongArity = (place: Place, name: string, expected: string, got: number): Diagnostic =>
  error("wrong-arity", place, `${name} takes ${expected}, not ${got}`, `${got} given`, `give ${name} ${expected}`);

export const conditionExpected = (place: Place): Diagnostic =>
  error(
    "condition-expected",
    place,
    "a number stands where a condition is needed",
    "a number",
    "compare it, as in `x > 0`",
  );

export const numberExpected = (place: Place): Diagnostic =>
  error(
    "number-expected",
    place,
    "a condition stands where a number is needed",
    "a condition",
    "turn it into a number with `if(condition, 1, 0)`",
  );

export const notAlongRow = (place: Place, name: string): Diagnostic =>
  error(
    "not-along-row",
    place,
    `${name} needs a value that changes along the row`,
    "the same for the whole row",
    `leave ${name} out, or give it a value that depends on the row's elements`,
  );

export const noRowHere = (place: Place, name: string): Diagnostic =>
  error(
    "no-row-here",
    place,
    `${name} reduces along a row, but this formula is computed element by element`,
    "no row here",
    "use elementwise functions only",
  );

/** `rounded` is what a 32-bit float makes of the value: an infinity, NaN or 0. */
export const notHeld = (place: Place, value: string, rounded: number): Diagnostic => {
  const isZero = rounded === 0;
  const claim = `a number of this expression is ${value}, which a 32-bit float cannot hold`;
  const label = isZero ? "rounds to 0" : Number.isNaN(rounded) ? "no number" : String(rounded);
  const help = isZero
    ? "write 0, or a number of at least 1e-45"
    : "keep constants within ±3.4028235e38, and what divides, roots and logarithms take within their domain";
  return error(isZero ? "rounds-to-zero" : "not-finite", place, claim, label, help);
};

export const beyondIntegers = (place: Place, term: string, low: number, high: number): Diagnostic => ({
  ...error(
    "beyond-integers",
    place,
    `this compares ${quoted(term, 60)}, which leaves the numbers that kernels compute exactly`,
    "not exact",
    "compare smaller numbers: divide both sides, or subtract before you multiply",
  ),
  details: [
    `${quoted(term, 60)} goes from ${low} to ${high}`,
    "whole numbers are exact below 2^31 = 2147483648, products of positions and heads up to 2^24 = 16777216",
  ],
});

export const exponentTooLarge = (place: Place, value: number, most: number): Diagnostic =>
  error(
    "exponent-too-large",
    place,
    `the exponent ${value} is larger than ${most}`,
    "as many multiplications",
    "write a power that large as exp(n * log(x)) of a positive x",
  );

export const tooLarge = (place: Place, most: number): Diagnostic =>
  error(
    "too-large",
    place,
    `the formula grows beyond ${most} operations when its definitions are put in`,
    "too large",
    "share intermediate values with `let`",
  );

const written = (count: number): string => (count < 1e15 ? String(count) : count.toExponential(1));

export const tooManyOperations = (place: Place, count: number, most: number): Diagnostic => ({
  ...error(
    "too-many-operations",
    place,
    `written out, this formula has ${written(count)} operations, more than ${most}`,
    "too large",
    "use an intermediate value fewer times, or begin with one of fewer operations",
  ),
  details: ["a value that is used twice counts twice, unless a `let` of the formula itself names it"],
});

export const derivativeTooLarge = (place: Place, count: number, most: number): Diagnostic => ({
  ...error(
    "derivative-too-large",
    place,
    `written out, the derivative of this formula has ${written(count)} operations, more than ${most}`,
    "too large to differentiate",
    "nest fewer functions of functions, or name intermediate values with `let`",
  ),
  details: ["each nested function multiplies its slope into the derivative of all that it contains"],
});

export const noGradient = (place: Place, inputs: readonly string[]): Diagnostic => ({
  ...error(
    "no-gradient",
    place,
    `the derivative of this formula by ${both(inputs.map((name) => quoted(name)))} is 0 everywhere`,
    "flat",
    "make the value depend on its input where it is not flat; leave out `train` if the model is only served",
  ),
  details: ["floor, sign and stop are flat, and so is a constant: nothing before it would learn"],
});

export const partlyNoGradient = (place: Place, inputs: readonly string[]): Diagnostic => ({
  ...noGradient(place, inputs),
  severity: "warning",
  details: [`the projection${inputs.length === 1 ? "" : "s"} behind it will not learn`],
  help: `leave ${both(inputs.map((name) => quoted(name)))} out of the formula`,
});

export const tooDeep = (place: Place, most: number): Diagnostic =>
  error(
    "too-deep",
    place,
    `the formula nests deeper than ${most} operations when its definitions are put in`,
    "too deep",
    "compute in fewer steps that depend on each other",
  );

export const pickNeedsInput = (place: Place): Diagnostic =>
  error(
    "pick-needs-input",
    place,
    "pick() reads one column of an input, and this is no input",
    "computed",
    "pick from an input and compute afterwards",
  );

export const losesNumber = (place: Place, output: string, at: string, exact: number): Diagnostic => ({
  code: "formula/not-a-number",
  severity: "warning",
  claim: "the formula or its derivative is not a number in 32-bit floats where it is one in exact arithmetic",
  place,
  label: "NaN",
  details: [`at ${at}, ${output} should be ${exact}`],
  help: "keep infinities from meeting zeros: bound the argument with clamp, or use sigmoid, silu, softplus or tanh",
});

export const seesLater = (place: Place, mask: string, q: number, k: number): Diagnostic => ({
  code: "mask/sees-later-tokens",
  severity: "warning",
  claim: `with this mask the token at ${q} sees the one at ${k}, which comes after it`,
  place,
  label: "true where k > q",
  details: ["training sees what it is to predict; generation does not, and will not do as well"],
  help: `write \`k <= q && (${mask})\``,
});
