// Sentences about `--set key=value`.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, help?: string): Diagnostic => ({
  code: `set/${code}`,
  severity: "error",
  claim,
  place,
  ...(help === undefined ? {} : { help }),
});

export function malformed(place: Place): Diagnostic {
  return error(
    "malformed",
    "this sets nothing",
    place,
    "write `--set model.layers=2` or `--set 'precision+=all: f32'`",
  );
}

export function emptyValue(place: Place): Diagnostic {
  return error("empty-value", "the value is missing", place);
}

export function notAMap(path: string, place: Place): Diagnostic {
  return error("not-a-map", `${quoted(path, 80)} has no keys below it`, place);
}

export function needsIndex(path: string, place: Place): Diagnostic {
  return error("needs-index", `${quoted(path, 80)} is a list`, place, `name an entry, as in \`${path}[0]\``);
}

export function noEntry(path: string, index: number, count: number, place: Place): Diagnostic {
  return error("no-entry", `${quoted(path, 80)} has no entry ${index}: it has ${count}`, place);
}

export function notIndexed(path: string, place: Place): Diagnostic {
  return error("not-indexed", `${quoted(path, 80)} is not a list and has no entries`, place);
}

export function notAList(path: string, place: Place): Diagnostic {
  return error("not-a-list", `${quoted(path, 80)} is not a list, nothing can be appended to it`, place, "write `=`");
}
