// Sentences about rules: selectors, ranges, signatures.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { either, quoted } from "./words.ts";

type Severity = Diagnostic["severity"];

const rule = (
  severity: Severity,
  code: string,
  claim: string,
  place: Place,
  more: Partial<Diagnostic> = {},
): Diagnostic => ({
  code,
  severity,
  claim,
  place,
  ...more,
});

/** `what` is what the rules are about, such as `operation with weights`. */
export function matchesNothing(
  key: string,
  selector: string,
  nearest: readonly string[],
  place: Place,
  what: string,
): Diagnostic {
  return rule("error", "selector/matches-nothing", `${quoted(selector)} in ${key} matches no ${what}`, place, {
    ...(nearest.length === 0 ? {} : { help: `nearest: ${either(nearest.map((path) => quoted(path, 80)))}` }),
  });
}

export function indexMatchesNothing(
  key: string,
  selector: string,
  name: string,
  count: number,
  place: Place,
): Diagnostic {
  return rule("error", "selector/matches-nothing", `${quoted(selector)} in ${key} names none of the ${name}`, place, {
    details: [`${name} = ${count}, and indices go from 0 to ${count - 1}`],
    help: `write \`${name}[${count === 1 ? "0" : `0..${count - 1}`}]\` or a part of it`,
  });
}

export function shadowed(key: string, selector: string, place: Place, later: Place): Diagnostic {
  return rule("warning", "selector/shadowed", `${quoted(selector)} in ${key} does nothing`, place, {
    related: [{ place: later, label: "the last rule that matches wins, as this one does" }],
    help: "delete it, or move it below the others",
  });
}

export function selectorTwice(selector: string, place: Place, earlier: Place): Diagnostic {
  return rule("error", "selector/twice", `the selector ${quoted(selector)} appears twice`, place, {
    label: "again",
    related: [{ place: earlier, label: "first here" }],
  });
}

export function directionHere(direction: string, place: Place): Diagnostic {
  return rule("error", "selector/direction", `${quoted(direction)} is a direction, and this rule has none`, place, {
    help: "directions belong in precision and tiles",
  });
}

export function mixedDirections(place: Place): Diagnostic {
  return rule("error", "selector/mixed-directions", "the parts of this selector name different directions", place, {
    help: "write a rule for each",
  });
}

export function indexBeyond(index: number, count: number, place: Place): Diagnostic {
  const range = count === 1 ? "0" : `0 to ${count - 1}, or -${count} to -1 from the end`;
  return rule("error", "range/beyond-end", `there is no layer ${index}: layers are ${range}`, place);
}

export function emptyRange(from: number, to: number, place: Place): Diagnostic {
  return rule("error", "range/empty", `this range is empty: it goes from ${from} to ${to}`, place, {
    help: "both ends are included, the smaller stands first",
  });
}

export function uncoveredLayers(section: string, layers: string, place: Place): Diagnostic {
  return rule("error", "range/uncovered-layers", `no entry of ${section} is for layers ${layers}`, place, {
    help: "begin with an entry without `layers`: it is for all",
  });
}

export function mergedMissing(section: string, keys: string, layers: string, place: Place): Diagnostic {
  return rule("error", "range/missing-keys", `layers ${layers} have no ${keys} in any entry of ${section}`, place);
}

export function unknownRecipe(name: string, known: readonly string[], place: Place): Diagnostic {
  return rule("error", "precision/unknown-recipe", `no recipe is called ${quoted(name)}`, place, {
    help: `recipes: ${known.join(", ")}; a signature follows a selector: \`- linear: ${name}\``,
  });
}

export function unknownFormat(name: string, known: readonly string[], place: Place): Diagnostic {
  return rule("error", "precision/unknown-format", `no number format is called ${quoted(name)}`, place, {
    help: `formats: ${known.join(", ")}, or \`_\` for what an earlier rule set`,
  });
}

export function accumulatorFormat(name: string, known: readonly string[], place: Place): Diagnostic {
  return rule("error", "precision/accumulator", `sums are not added in ${name}`, place, {
    help: `accumulators: ${known.join(", ")}; what is stored may be ${name}: \`${name} * ${name} -> ${known[0]} -> ${name}\``,
  });
}

export function wrongStages(found: number, place: Place): Diagnostic {
  return rule("error", "precision/stages", `a signature has no arrow or two, not ${found}`, place, {
    help: "write `a * b -> accumulator -> result`, `in -> compute -> out` or one format",
  });
}
