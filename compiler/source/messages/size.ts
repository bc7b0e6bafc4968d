// Sentences about the arithmetic of sizes and of the numbers of a spec.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `size/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function unknownName(
  name: string,
  nearest: readonly string[],
  legal: readonly string[],
  place: Place,
): Diagnostic {
  return error("unknown-name", `no size is called ${quoted(name)} here`, place, {
    ...(nearest.length === 0 ? {} : { label: `did you mean ${nearest.map((word) => quoted(word)).join(" or ")}?` }),
    details: [`names here: ${legal.join(", ")}`],
  });
}

/** A key without a value and without a default. */
export function notGiven(path: string, place: Place): Diagnostic {
  return error("not-given", `${path} has no value here`, place, {
    help: `give ${quoted(path, 80)}, or write a number`,
  });
}

export function unknownFunction(name: string, legal: readonly string[], place: Place): Diagnostic {
  return error("unknown-function", `no function of sizes is called ${quoted(name)}`, place, {
    details: [`functions here: ${legal.join(", ")}`],
  });
}

export function wrongOperator(operator: string, place: Place): Diagnostic {
  return error("wrong-operator", `${quoted(operator)} has no meaning in a size`, place, {
    help: "sizes have + - * / ^ and the functions ceil, floor, min, max, sqrt",
  });
}

export function divisionByZero(place: Place): Diagnostic {
  return error("division-by-zero", "this divides by zero", place);
}

export function negativeRoot(value: string, place: Place): Diagnostic {
  return error("negative-root", `the square root of ${value} is no number`, place);
}

export function wrongExponent(value: string, place: Place): Diagnostic {
  return error("wrong-exponent", `${value} is not an exponent of a size`, place, {
    help: "exponents are whole numbers or halves of them, as in `width^-0.5`",
  });
}

export function exponentTooLarge(value: string, most: number, place: Place): Diagnostic {
  return error("exponent-too-large", `the exponent ${value} is beyond ${most}`, place, {
    details: [`a size has at most ${most} bits, and 2^${most} has one more`],
  });
}

export function tooLarge(place: Place): Diagnostic {
  return error("too-large", "this number has more than 4096 bits", place);
}

export function cycle(keys: readonly string[], places: readonly Place[]): Diagnostic {
  const [place, ...others] = places;
  return error("cycle", `these sizes need each other: ${keys.join(" -> ")}`, place, {
    related: others.map((other) => ({ place: other, label: "by way of this" })),
    help: "give one of them as a number",
  });
}
