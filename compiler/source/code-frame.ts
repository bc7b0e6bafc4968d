// Draws the lines around a place with carets under it. Columns are those of a terminal: wide characters take two, tabs
// are drawn as the terminal draws them.

import type { Place } from "./text.ts";

/** Lines of a file made by a machine may be endless; only this much of one is shown. */
const maxColumns = 160;

/** A line with a caret, and the line before it for orientation; `label` stands behind the caret. */
export function codeFrame({ source, span }: Place, label: string | undefined): string[] {
  const { line, column } = source.position(span.start);
  const end = source.position(Math.max(span.start, span.end - 1));
  const text = source.line(line);
  const lastColumn = end.line === line ? end.column : Math.max(column, text.length);
  const shown = windowOf(text, column - 1);
  const lines = line > 1 ? [framed(line - 1, windowOf(source.line(line - 1), 0).text, line)] : [];
  lines.push(framed(line, shown.text, line));
  const start = column - 1 - shown.dropped;
  const width = Math.min(lastColumn - shown.dropped, shown.text.length) - start;
  const caret = `${blanks(shown.text.slice(0, start))}${"^".repeat(Math.max(1, cells(shown.text.slice(start, start + width))))}`;
  lines.push(framed(undefined, label === undefined ? caret : `${caret} ${label}`, line));
  return lines;
}

/** Control characters and signs that turn the direction of text would act on the terminal. */
const acting = /(?!\t)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

function framed(number: number | undefined, text: string, widest: number): string {
  const margin = (number === undefined ? "" : String(number)).padStart(String(widest).length);
  return `   ${margin} | ${text.replace(acting, "\ufffd")}`.trimEnd();
}

/** The part of a line around `column` and how many characters of it were left out in front. */
function windowOf(text: string, column: number): { text: string; dropped: number } {
  if (text.length <= maxColumns) return { text, dropped: 0 };
  const start = Math.max(0, Math.min(column - maxColumns / 2, text.length - maxColumns));
  const from = isLowSurrogate(text, start) ? start - 1 : start;
  const to = isLowSurrogate(text, start + maxColumns) ? start + maxColumns - 1 : start + maxColumns;
  const ellipsis = from > 0 ? "…" : "";
  return { text: `${ellipsis}${text.slice(from, to)}${to < text.length ? "…" : ""}`, dropped: from - ellipsis.length };
}

function isLowSurrogate(text: string, index: number): boolean {
  return /[\udc00-\udfff]/.test(text[index] ?? "");
}

/** White space as wide as the text; tabs stay tabs, so they move the caret as they move the text above it. */
function blanks(text: string): string {
  return [...text].map((character) => (character === "\t" ? "\t" : " ".repeat(cells(character)))).join("");
}

const zeroWidth = /[\p{Mn}\p{Me}\p{Cf}]/u;
const doubleWidth =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** How many columns of a terminal a text takes. */
function cells(text: string): number {
  let count = 0;
  for (const character of text) if (!zeroWidth.test(character)) count += doubleWidth.test(character) ? 2 : 1;
  return count;
}
