// Sentences about the keys of a spec and the kinds of their values.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { both, either, quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `key/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

/** `section` is empty at the top of a spec. */
const sectionName = (section: string) => (section === "" ? "a spec" : section);

export function unknownKey(key: string, section: string, help: string | undefined, place: Place): Diagnostic {
  const claim = `${quoted(key)} is not a key of ${sectionName(section)}`;
  return error("unknown", claim, place, help === undefined ? {} : { help });
}

/** A key of blocks of other kinds; `path` is the section that would have it. */
export function otherKind(key: string, path: string, kinds: readonly string[], kind: string, place: Place): Diagnostic {
  const others = either(kinds.map((word) => quoted(word)));
  const claim = `${quoted(key)} is a key of ${path} where the kind is ${others}, and here it is ${quoted(kind)}`;
  return error("other-kind", claim, place, {
    help: `leave it out, or write ${either(kinds.map((word) => quoted(`kind: ${word}`)))}`,
  });
}

/** The ways out of an unknown key. */
export const unknownKeyHelp = {
  sameSection: (keys: readonly string[]) => `did you mean ${either(keys.map((key) => quoted(key)))}?`,
  alias: (key: string) => `here it is called ${quoted(key)}`,
  otherKind: (key: string, kinds: readonly string[]) =>
    `here it is called ${quoted(key)}, and it needs ${either(kinds.map((kind) => quoted(`kind: ${kind}`)))}`,
  elsewhere: (paths: readonly string[]) => `write it as ${either(paths.map((path) => quoted(path, 80)))}`,
  listOnly: (key: string) => `${quoted(key)} stands in the entries of a list: write \`- { ${key}: ..., ... }\``,
};

export function missingKeys(
  section: string,
  keys: readonly { name: string; description: string }[],
  place: Place,
): Diagnostic {
  const names = keys.map(({ name }) => quoted(name));
  const claim = `${sectionName(section)} needs the key${keys.length === 1 ? "" : "s"} ${both(names)}`;
  return error("missing", claim, place, { details: keys.map(({ name, description }) => `${name}: ${description}`) });
}

export function wrongKind(path: string, expected: string, found: string, place: Place, help?: string): Diagnostic {
  return error("wrong-kind", `${path} is ${expected}, not ${found}`, place, help === undefined ? {} : { help });
}

export function quotedNumber(path: string, text: string, place: Place): Diagnostic {
  return error("quoted-number", `${path} is a number in quotes`, place, {
    help: `write ${quoted(text.trim())} without quotes`,
  });
}

export function fraction(path: string, text: string, whole: number | undefined, place: Place): Diagnostic {
  const help = whole === undefined ? undefined : `write \`${whole}\``;
  return error(
    "fraction",
    `${path} is a whole number, ${quoted(text)} is a fraction`,
    place,
    help === undefined ? {} : { help },
  );
}

/** `words` is the value as a person reads it, such as `1000 / 3 = 333.333`. */
export function notWhole(path: string, words: string, place: Place): Diagnostic {
  return error("not-whole", `${path} is a whole number, this is ${words}`, place, {
    help: "round it with `ceil(...)` or `floor(...)`",
  });
}

/** The default of a key, which others decide, is no whole number; `sources` are those others. */
export function defaultNotWhole(
  path: string,
  words: string,
  place: Place,
  sources: readonly { readonly name: string; readonly value: string; readonly place: Place }[],
): Diagnostic {
  const values = sources.map(({ name, value }) => `${name} = ${value}`);
  return error("not-whole", `${path} is a whole number, and its default is ${words}`, place, {
    related: sources.slice(1).map((source) => ({ place: source.place, label: `${source.name} = ${source.value}` })),
    label: values[0],
    help: `give ${quoted(path, 80)}, or other ${both(sources.map(({ name }) => name))}`,
  });
}

export interface Bounds {
  readonly least?: number;
  readonly most?: number;
  readonly above?: number;
  readonly below?: number;
}

export function outOfRange(path: string, words: string, bounds: Bounds, place: Place): Diagnostic {
  return error("out-of-range", `${path} is ${boundsWords(bounds)}, not ${words}`, place);
}

function boundsWords({ least, most, above, below }: Bounds): string {
  const words: string[] = [];
  if (least !== undefined) words.push(`at least ${least}`);
  if (above !== undefined) words.push(`above ${above}`);
  if (most !== undefined) words.push(`at most ${most}`);
  if (below !== undefined) words.push(`below ${below}`);
  return both(words);
}

export function beyondExact(path: string, words: string, place: Place): Diagnostic {
  return error("too-large", `${path} is ${words}, more than 2^53`, place, {
    help: "whole numbers are exact up to 9007199254740992",
  });
}

export function notFinite(path: string, words: string, place: Place): Diagnostic {
  return error("not-finite", `${path} is ${words}, larger than any number (1.8e308)`, place);
}

export function beyondFloat(path: string, words: string, place: Place): Diagnostic {
  return error("beyond-float", `${path} is ${words}, larger than the largest 32-bit float`, place, {
    details: ["kernels compute with 32-bit floats, and the largest is 3.4028235e38"],
  });
}

export function roundsToBound(path: string, words: string, rounded: number, place: Place): Diagnostic {
  return error("rounds-to-bound", `${path} is ${words}, which is ${rounded} as a 32-bit float`, place, {
    details: ["kernels compute with 32-bit floats: the smallest above 0 is 1.4e-45, the largest below 1 is 0.99999994"],
  });
}

export function unknownWord(path: string, found: string, words: readonly string[], place: Place): Diagnostic {
  return error("unknown-word", `${path} is ${either(words.map((word) => quoted(word)))}, not ${quoted(found)}`, place);
}

export function malformedText(path: string, text: string, pattern: string, example: string, place: Place): Diagnostic {
  return error("malformed-text", `${quoted(text)} is not a ${path}`, place, {
    details: [`it matches ${pattern}`],
    help: `write something like ${quoted(example)}`,
  });
}

export function malformedName(name: string, section: string, place: Place): Diagnostic {
  return error("malformed-name", `${quoted(name)} is not a name under ${section}`, place, {
    help: "names begin with a letter and go on with at most 62 letters, digits and `_`",
  });
}

export function entryCount(
  path: string,
  found: number,
  bounds: { least: number; most?: number },
  place: Place,
): Diagnostic {
  const { least, most } = bounds;
  const wanted = least === most ? `${least}` : most === undefined ? `at least ${least}` : `${least} to ${most}`;
  return error(
    "entry-count",
    `${path} has ${wanted} ${least === 1 && most === undefined ? "entry" : "entries"}, not ${found}`,
    place,
  );
}

export function notSingle(path: string, found: number, place: Place): Diagnostic {
  return error("not-single", `a rule has one selector, ${path} has ${found}`, place, {
    help: "write each rule as an entry of its own: `- selector: signature`",
  });
}

export function needsNewer(found: string, known: number, place: Place): Diagnostic {
  return error(
    "newer-version",
    `this spec needs mspec >= ${found}; this compiler reads version ${known} of the language`,
    place,
  );
}

export function unknownVersion(found: string, known: number, place: Place): Diagnostic {
  return error("unknown-version", `there is no version ${found} of the language`, place, {
    help: `write \`mspec: ${known}\``,
  });
}
