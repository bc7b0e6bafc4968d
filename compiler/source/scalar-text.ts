// The map from the characters of a YAML scalar to the file, through all five styles: plain, single and double quotes,
// literal and folded blocks. The YAML library resolves the text; this only finds where each of its characters stands.

import { invariant } from "./diagnostic.ts";
import type { ExpressionText, SourceText, Span } from "./text.ts";

export type ScalarStyle = "plain" | "single" | "double" | "block";

/** A scalar in the file: `content` spans its characters without quotes or block header. */
export interface ScalarSource {
  readonly source: SourceText;
  readonly content: Span;
  readonly style: ScalarStyle;
}

/** The text of a scalar whose characters know their places; `value` is the text as YAML resolved it. */
export function scalarText(value: string, scalar: ScalarSource): ExpressionText {
  let places: readonly Span[] | undefined;
  return {
    text: value,
    place(span) {
      places ??= characterSpans(value, scalar);
      const start = places[span.start]?.start ?? endOf(places, scalar);
      const end = span.end > span.start ? (places[span.end - 1]?.end ?? Math.max(start, endOf(places, scalar))) : start;
      return { source: scalar.source, span: { start, end } };
    },
  };
}

function endOf(places: readonly Span[], scalar: ScalarSource): number {
  return places[places.length - 1]?.end ?? scalar.content.start;
}

/**
 * The span in the file of each UTF-16 unit of `value`.
 *
 * Folding, indentation and chomping only ever change white space, so every other character is found by skipping white
 * space in the file; white space of the value gets the next white space that is left.
 */
function characterSpans(value: string, { source, content, style }: ScalarSource): Span[] {
  const spans: Span[] = [];
  let at = content.start;
  while (spans.length < value.length) {
    const unit = unitAt(source.text, at, content.end, style);
    const isSpace = /\s/.test(value[spans.length]);
    if (unit === undefined) {
      spans.push({ start: at, end: at });
    } else if (unit.meaning !== "" && value.startsWith(unit.meaning, spans.length)) {
      for (const _ of unit.meaning.split("")) spans.push({ start: at, end: unit.end });
      at = unit.end;
    } else if (isSpace && unit.meaning.trim() !== "") {
      spans.push({ start: at, end: at });
    } else {
      invariant(unit.meaning.trim() === "", "a YAML scalar differs from its text in the file");
      if (isSpace && unit.meaning !== "") spans.push({ start: at, end: unit.end });
      at = unit.end;
    }
  }
  return spans;
}

interface Unit {
  /** What the unit stands for: one or two UTF-16 units, or nothing for an escaped line break. */
  readonly meaning: string;
  readonly end: number;
}

/** The UTF-16 unit of the file at `at`, or the escape that begins there. */
function unitAt(text: string, at: number, end: number, style: ScalarStyle): Unit | undefined {
  if (at >= end) return undefined;
  if (style === "single" && text.startsWith("''", at)) return { meaning: "'", end: at + 2 };
  if (style === "double" && text[at] === "\\") return escapeAt(text, at);
  return { meaning: text[at], end: at + 1 };
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["0", "\0"],
  ["a", "\x07"],
  ["b", "\b"],
  ["e", "\x1b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["N", "\x85"],
  ["_", "\xa0"],
  ["L", "\u2028"],
  ["P", "\u2029"],
  ["\n", ""],
  ["\r", ""],
]);

const escapeDigits: ReadonlyMap<string, number> = new Map([
  ["x", 2],
  ["u", 4],
  ["U", 8],
]);

function escapeAt(text: string, at: number): Unit {
  const letter = text[at + 1];
  const digits = escapeDigits.get(letter);
  if (digits === undefined) return { meaning: escapes.get(letter) ?? letter, end: at + 2 };
  const end = at + 2 + digits;
  return { meaning: String.fromCodePoint(Number.parseInt(text.slice(at + 2, end), 16)), end };
}
