// Sentences about schedules and batches.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";

const schedule = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `schedule/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function onlyLastIsOpen(place: Place): Diagnostic {
  return schedule("no-span", "only the last piece of a schedule may be without a span", place, {
    help: "write how long it lasts: `hold(100)`, `1e-3 for 100`, `cosine(until 300) to 1e-4`",
  });
}

export function nothingToHold(place: Place): Diagnostic {
  return schedule("nothing-to-hold", "there is no value before this piece to hold", place, {
    help: "write the value itself",
  });
}

export function noStartingValue(kind: string, place: Place): Diagnostic {
  return schedule("no-starting-value", `there is no value before this piece to start from`, place, {
    help: `write \`${kind}(...) from V to V\``,
  });
}

export function emptyPiece(start: number, end: number, unit: string, place: Place): Diagnostic {
  return schedule("empty-piece", `this piece ends at ${end} ${unit}, but it begins at ${start}`, place);
}

export function endsEarly(end: number, unit: string, steps: number, place: Place): Diagnostic {
  return schedule("ends-early", `this schedule ends at ${end} ${unit}, training goes on to step ${steps}`, place, {
    help: "add `then hold` or another piece without a span",
  });
}

export function neverBegins(start: number, unit: string, steps: number, place: Place): Diagnostic {
  return schedule("never-begins", `this piece begins at ${start} ${unit}, training ends at step ${steps}`, place, {
    severity: "warning",
  });
}

export function shapeNotForBatch(kind: string, place: Place): Diagnostic {
  return schedule("not-for-batch", `batch sizes are constants and linear ramps, not ${kind}`, place);
}

export function rampTooLong(limit: number, place: Place): Diagnostic {
  return schedule("ramp-too-long", `a ramp of the batch size has at most ${limit} steps`, place);
}

export function microDoesNotDivide(micro: number, sequences: number, place: Place, sequencesPlace: Place): Diagnostic {
  return {
    code: "batch/micro-does-not-divide",
    severity: "error",
    claim: `train.batch.micro = ${micro} does not divide a batch of ${sequences} sequences`,
    place,
    label: "micro",
    related: [{ place: sequencesPlace, label: "sequences" }],
    details: [`${sequences} = ${Math.floor(sequences / micro)} * ${micro} + ${sequences % micro}`],
    help: "choose a divisor of every batch size",
  };
}

export function microNeeded(place: Place): Diagnostic {
  return {
    code: "batch/micro-needed",
    severity: "error",
    claim: "train.batch.micro is needed because the batch size changes",
    place,
    help: "write `micro: N` where N divides every batch size",
  };
}

export function stepsOrTokens(found: "both" | "neither", place: Place, other: Place | undefined): Diagnostic {
  const claim = found === "both" ? "train has steps and tokens, it takes one of them" : "train needs steps or tokens";
  return {
    code: "train/steps-or-tokens",
    severity: "error",
    claim,
    place,
    ...(other === undefined ? {} : { related: [{ place: other, label: "the other" }] }),
  };
}
