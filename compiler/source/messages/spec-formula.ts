// Sentences about the formulas of a spec: how they are defined and which projections they ask for.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `formula/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function builtIn(name: string, place: Place): Diagnostic {
  return error("built-in", `${quoted(name)} is built in and cannot be defined again`, place, {
    help: "choose another name",
  });
}

export function severalOutputs(key: string, place: Place): Diagnostic {
  return error("several-outputs", `${key} has one value, this formula has several`, place);
}

export function recursion(names: readonly string[], places: readonly Place[]): Diagnostic {
  const [place, ...others] = places;
  return error("recursion", `formulas call each other in a circle: ${names.join(" -> ")}`, place, {
    related: others.map((other) => ({ place: other, label: "by way of this" })),
  });
}

export function mixedInputs(place: Place): Diagnostic {
  return error("mixed-inputs", "an activation is a formula of `x`, or of `gate` and `up`, not of both", place);
}

export function noInput(place: Place): Diagnostic {
  return error("no-input", "this activation uses neither `x` nor `gate` and `up`", place, {
    help: "name the projections it works on, as in `silu(gate) * up`",
  });
}

export function sameForAllExperts(place: Place): Diagnostic {
  return error("same-for-all-experts", "a router's score is a number of each expert, and this is one for all", place, {
    help: "let it depend on the expert's own `logit`, as in `softmax(logit)` or `sigmoid(logit)`",
  });
}

export function tooDeepTogether(key: string, depth: number, limit: number, place: Place): Diagnostic {
  return error("definitions-too-deep", `${key} is deeper than ${limit} with the formulas that it calls put in`, place, {
    details: [`levels: ${depth}`],
    help: "let fewer formulas call each other in a row",
  });
}
