// Sentences about the text of expressions: characters, words, brackets. What names mean is said elsewhere.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { codePoint, either, quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `expression/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function emptyExpression(kind: string, place: Place): Diagnostic {
  return error("empty", `${kind} is missing here`, place);
}

export function tooDeep(limit: number, place: Place): Diagnostic {
  return error("too-deep", `expression too deep (${limit})`, place, {
    label: `level ${limit + 1}`,
    details: ["each bracket, prefix, call and chained operator is one level"],
    help: "give parts of it names with `let name = ...;` or under `formulas:`",
  });
}

export function tooLong(length: number, limit: number, place: Place): Diagnostic {
  return error("too-long", `an expression has at most ${limit} characters, this one has ${length}`, place);
}

export function foreignCharacter(character: string, lookAlike: string | undefined, place: Place): Diagnostic {
  const shown = `${codePoint(character)} (${character})`;
  return error("foreign-character", `${shown} is not a character of the language`, place, {
    ...(lookAlike === undefined
      ? {}
      : { label: `looks like ${quoted(lookAlike)}`, help: `write ${quoted(lookAlike)}` }),
  });
}

export function invisibleCharacter(character: string, place: Place): Diagnostic {
  return error("invisible-character", `${codePoint(character)} cannot be seen and is refused`, place, {
    help: "delete it",
  });
}

const waysOut: ReadonlyMap<string, string> = new Map([
  ["?", "write `if(condition, a, b)`"],
  ["=", "write `==` to compare"],
  ["**", "write `^` for a power"],
  ["&", "write `&&`"],
  ["|", "write `||`"],
  [".", "write a digit before the point, as in `0.5`"],
  ["let", "`let name = ...;` stands before everything else and is not a name"],
]);

export function foreignSign(sign: string, place: Place): Diagnostic {
  const help = waysOut.get(sign);
  return error(
    "foreign-sign",
    `${quoted(sign)} is not a sign of the language`,
    place,
    help === undefined ? {} : { help },
  );
}

/** `found` is undefined at the end of the text; `expected` are labels of words. */
export function unexpected(found: string | undefined, expected: readonly string[], place: Place): Diagnostic {
  if (found === "per") return notYet(found, place);
  const help = found === undefined ? undefined : waysOut.get(found);
  const what = found === undefined ? "the expression ends too early" : `${quoted(found)} does not belong here`;
  return error("unexpected", `${what}: expected ${either(expected)}`, place, help === undefined ? {} : { help });
}

function notYet(word: string, place: Place): Diagnostic {
  return error("not-yet", `${quoted(word)} is not a part of the language yet`, place);
}

export function malformedNumber(word: string, place: Place): Diagnostic {
  const help = decimalOf(word);
  return error("malformed-number", `${quoted(word)} is not a number`, place, {
    label: "write decimal digits: 16, 1.5, 2e-3",
    ...(help === undefined ? {} : { help: `write ${quoted(help)}` }),
  });
}

/** What the writer of `1_000`, `0x10` or `017` meant, if that is plain. */
function decimalOf(word: string): string | undefined {
  if (/^0[xX][0-9a-fA-F]+$/.test(word)) return BigInt(word).toString();
  const digits = word.replaceAll("_", "").replace(/^0+(?=\d)/, "");
  return /^\d+$/.test(digits) ? digits : undefined;
}

export function numberTooLarge(word: string, place: Place): Diagnostic {
  return error("number-too-large", `${quoted(word)} is larger than any number (1.8e308)`, place);
}

export function numberNotExact(word: string, nearest: string, place: Place): Diagnostic {
  return error("number-not-exact", `${quoted(word)} is beyond 2^53 and would be read as ${nearest}`, place);
}

export function malformedName(word: string, place: Place): Diagnostic {
  return error("malformed-name", `${quoted(word)} is not a name: names begin with a letter`, place);
}

export function nameTooLong(word: string, limit: number, place: Place): Diagnostic {
  return error("name-too-long", `a name has at most ${limit} characters, ${quoted(word)} has ${word.length}`, place);
}

export function suffixOutsideSize(word: string, value: number, place: Place): Diagnostic {
  const letter = word.slice(-1);
  return error("suffix", `the suffix ${quoted(letter)} is for sizes and schedules`, place, {
    help: `write ${quoted(String(value))}, or \`${word.slice(0, -1)} * ${letter}\` if ${letter} is a name`,
  });
}

export function chainedComparison(place: Place): Diagnostic {
  return error("chained-comparison", "comparisons do not chain", place, {
    label: "the second comparison",
    help: "write `a < b && b < c`",
  });
}

export function nameTwice(name: string, place: Place, earlier: Place): Diagnostic {
  return error("name-twice", `the name ${quoted(name)} is given twice`, place, {
    label: "again",
    related: [{ place: earlier, label: "first here" }],
  });
}

export function unknownDistribution(name: string, known: readonly string[], place: Place): Diagnostic {
  return error("unknown-distribution", `${quoted(name)} is not a distribution`, place, {
    help: `write ${either(known.map((word) => quoted(word)))}`,
  });
}

export function argumentCount(
  callee: string,
  wanted: readonly [number, number],
  found: number,
  place: Place,
): Diagnostic {
  const [least, most] = wanted;
  const count = least === most ? `${least}` : `${least} to ${most}`;
  return error(
    "argument-count",
    `${quoted(callee)} takes ${count} argument${most === 1 ? "" : "s"}, not ${found}`,
    place,
  );
}

export function indexNotWhole(word: string, place: Place): Diagnostic {
  return error("index-not-whole", `an index is a whole number, not ${quoted(word)}`, place);
}

export function strideNotPositive(place: Place): Diagnostic {
  return error("stride-not-positive", "a stride is at least 1", place);
}
