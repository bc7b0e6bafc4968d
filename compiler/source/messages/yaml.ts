// Sentences about YAML: what of it is refused, and the traps that its library parses silently.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `yaml/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function noDocument(place: Place): Diagnostic {
  return error("no-document", "there is no document in this file", place, { help: "begin with `mspec: 1`" });
}

export function notAMap(found: string, place: Place): Diagnostic {
  return error("not-a-map", `a spec is a map of keys, this is ${found}`, place, { help: "begin with `mspec: 1`" });
}

export function tooDeep(limit: number, place: Place): Diagnostic {
  return error("too-deep", `maps and lists are nested deeper than ${limit}`, place, { label: `level ${limit + 1}` });
}

export function tooManyEntries(limit: number, place: Place): Diagnostic {
  return error("too-many-entries", `a map or list has at most ${limit} entries`, place, {
    label: `entry ${limit + 1}`,
  });
}

export function secondDocument(place: Place): Diagnostic {
  return error("second-document", "a file holds one spec, a second document begins here", place);
}

export function directive(text: string, place: Place): Diagnostic {
  return error("directive", `the directive ${quoted(text)} is refused`, place, {
    help: "delete it: specs are YAML 1.2",
  });
}

export function anchor(text: string, place: Place): Diagnostic {
  return error("anchor", `the anchor ${quoted(text)} is refused`, place, {
    help: "write the value where it is used; quote text that begins with `&`",
  });
}

export function alias(text: string, place: Place): Diagnostic {
  return error("alias", `${quoted(text)} without quotes is a YAML alias, and aliases are refused`, place, {
    help: `if it is a selector write \`"${text}"\``,
  });
}

export function tag(text: string, place: Place): Diagnostic {
  return text.startsWith("!(") || /^![A-Za-z_]\w*$/.test(text)
    ? error("tag", `${quoted(text)} without quotes is a YAML tag, and tags are refused`, place, {
        help: "if it is an expression put all of it in quotes",
      })
    : error("tag", `the tag ${quoted(text)} is refused`, place);
}

export function mergeKey(place: Place): Diagnostic {
  return error("merge-key", "the merge key `<<` is refused", place, { help: "write the keys themselves" });
}

export function reservedKey(key: string, place: Place): Diagnostic {
  return error("reserved-key", `${quoted(key)} is a reserved key`, place);
}

export function duplicateKey(key: string, place: Place, earlier: Place): Diagnostic {
  return error("duplicate-key", `the key ${quoted(key)} appears twice in one map`, place, {
    label: "again",
    related: [{ place: earlier, label: "first here" }],
  });
}

export function keyNotText(place: Place): Diagnostic {
  return error("key-not-text", "a key is a word or text, not a map or a list", place, {
    help: 'put a selector with braces or brackets in quotes: `"{out,down}"`',
  });
}

export function emptyKey(place: Place): Diagnostic {
  return error("empty-key", "a key is missing before this `:`", place);
}

export function commaSplits(whole: string, place: Place): Diagnostic {
  return error("comma-splits-expression", "a comma ends an expression inside braces or brackets", place, {
    help: `put the expression in quotes: \`"${whole}"\``,
  });
}

export function bracketSplits(place: Place): Diagnostic {
  return error("bracket-splits-expression", "inside braces a bracket ends the text before it", place, {
    help: "put the whole text in quotes",
  });
}

export function notFinite(text: string, place: Place): Diagnostic {
  return error("not-finite", `${quoted(text)} is not a finite number`, place);
}

export function notExact(text: string, place: Place): Diagnostic {
  return error("not-exact", `${quoted(text)} is beyond 2^53, where whole numbers are not exact`, place);
}

export function numberNotation(text: string, decimal: string, place: Place): Diagnostic {
  return error("number-notation", `${quoted(text)} does not read as it is written`, place, {
    help: `write \`${decimal}\`, or quote it if it is text`,
  });
}

const sentences: ReadonlyMap<string, string> = new Map([
  ["BAD_INDENT", "this line is indented by another depth than its neighbours, or a bracket is not closed"],
  ["BAD_SCALAR_START", "text cannot begin with this sign unless it is quoted"],
  ["BLOCK_AS_IMPLICIT_KEY", "a second `:` on one line: quote text that has `: ` in it, and align keys"],
  ["BLOCK_IN_FLOW", "lines of their own are not allowed inside braces or brackets"],
  ["KEY_OVER_1024_CHARS", "a key has at most 1024 characters"],
  ["MULTILINE_IMPLICIT_KEY", "a key stands on one line"],
  ["TAB_AS_INDENT", "a tab cannot indent: use spaces"],
]);

/** What the YAML library found; its own words are used where they are clear. */
export function syntax(libraryCode: string, libraryMessage: string, place: Place): Diagnostic {
  const claim = libraryMessage.startsWith("Missing closing")
    ? "a quote is opened and not closed"
    : (sentences.get(libraryCode) ?? `${libraryMessage[0].toLowerCase()}${libraryMessage.slice(1)}`);
  return error("syntax", claim, place);
}
