// Checks the parts of a tokenizer.json that cut and change text, before the library builds them: it skips in silence
// what it does not know of them, and it would run any pattern.

import { badPattern, missingField, unsupportedPart } from "../messages/tokenizer.ts";
import { judgePattern } from "./split-patterns.ts";
import type { Component, TokenizerFile } from "./tokenizer-file.ts";

const DEEPEST = 16;

/** The file with the patterns that are to be run. Errors: a fault `tokenizer/…` at `name`. */
export function checkedComponents(file: TokenizerFile, name: string): TokenizerFile {
  const check = (component: Component, place: string): Component =>
    component && checkedComponent(component, { name, place, depth: 0 });
  return {
    ...file,
    normalizer: check(file.normalizer, "normalizer"),
    pre_tokenizer: check(file.pre_tokenizer, "pre_tokenizer"),
    decoder: check(file.decoder, "decoder"),
  };
}

interface Place {
  readonly name: string;
  readonly place: string;
  readonly depth: number;
}

type Part = Readonly<Record<string, unknown>>;

/** The lists that a `Sequence` of each kind has. */
const lists = ["normalizers", "pretokenizers", "decoders"] as const;

function checkedComponent(component: Part, at: Place): Part {
  const { name, place, depth } = at;
  if (depth === DEEPEST) throw unsupportedPart(name, place, `it is nested deeper than ${DEEPEST}`);
  const changed: Record<string, unknown> = { ...component };
  if (component.type === "Sequence") {
    const key = lists.find((list) => Array.isArray(component[list]));
    if (key === undefined) throw missingField(name, place, "a Sequence with a list");
    changed[key] = (component[key] as unknown[]).map((part, index) => {
      const inside = `${place}.${key}[${index}]`;
      if (!isPart(part)) throw missingField(name, inside, "an object with a type");
      return checkedComponent(part, { name, place: inside, depth: depth + 1 });
    });
  }
  if (component.type === "Split") checkSplit(component, at);
  if (component.type === "FixedLength" && !(Number.isSafeInteger(component.length) && Number(component.length) > 0)) {
    throw missingField(name, `${place}.length`, "a whole number from 1");
  }
  if (component.type === "Split" || component.type === "Replace") changed.pattern = checkedPattern(component, at);
  return changed;
}

/** Of all behaviours the library knows two that keep the text, and takes the others for the first of them. */
function checkSplit({ behavior, invert }: Part, { name, place }: Place): void {
  if ((behavior === "Isolated" && invert === false) || (behavior === "Removed" && invert === true)) return;
  throw unsupportedPart(
    name,
    place,
    `it has behavior ${JSON.stringify(behavior)} and invert ${JSON.stringify(invert)}; ` +
      "mspec runs Isolated with false, and Removed with true",
  );
}

function checkedPattern({ pattern }: Part, { name, place }: Place): unknown {
  if (isPart(pattern) && typeof pattern.Regex === "string" && !Object.hasOwn(pattern, "String")) {
    const verdict = judgePattern(pattern.Regex);
    if ("problem" in verdict) throw badPattern(name, place, pattern.Regex, verdict.problem);
    return { Regex: verdict.run };
  }
  if (
    isPart(pattern) &&
    typeof pattern.String === "string" &&
    pattern.String !== "" &&
    !Object.hasOwn(pattern, "Regex")
  ) {
    return pattern;
  }
  throw missingField(name, `${place}.pattern`, "an object with `Regex` or `String`, and a text that is not empty");
}

function isPart(value: unknown): value is Part {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
