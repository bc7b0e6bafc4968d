// Diagnostics as a person reads them: sorted, without repetition, each with its frame.

import picocolors from "picocolors";
import { codeFrame } from "./code-frame.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { andMore } from "./messages/diagnostics.ts";
import type { Place } from "./text.ts";

const maxShown = 20;

/** Every diagnostic, at most 20, errors and warnings in the order of their places. */
export function formatDiagnostics(diagnostics: readonly Diagnostic[], { color }: { readonly color: boolean }): string {
  const kept = onePerPlace([...diagnostics].sort(byPlace));
  const blocks = kept.slice(0, maxShown).map((diagnostic) => formatDiagnostic(diagnostic, color));
  if (kept.length > maxShown) blocks.push(andMore(kept.slice(maxShown)));
  return blocks.join("\n\n");
}

function formatDiagnostic(diagnostic: Diagnostic, color: boolean): string {
  const paint = picocolors.createColors(color);
  const { severity, code, claim, place, label, related = [], details = [], help } = diagnostic;
  const mark = severity === "error" ? paint.red : paint.yellow;
  const head = severity === "error" ? code : `warning ${code}`;
  const lines = [`${mark(paint.bold(head))}: ${claim}`];
  const draw = (at: Place, words: string | undefined) => {
    const { line, column } = at.source.position(at.span.start);
    lines.push(`  ${paint.cyan(`${at.source.name}:${line}:${column}`)}`);
    lines.push(...codeFrame(at, words));
  };
  if (place !== undefined) draw(place, label);
  for (const other of related) draw(other.place, other.label);
  for (const detail of details) lines.push(`  ${detail}`);
  if (help !== undefined) lines.push(`  ${help}`);
  return lines.join("\n");
}

/** Files by name, offsets ascending, errors before warnings; what has no place comes first. */
function byPlace(a: Diagnostic, b: Diagnostic): number {
  const bySource = compare(a.place?.source.name ?? "", b.place?.source.name ?? "");
  const byStart = (a.place?.span.start ?? 0) - (b.place?.span.start ?? 0);
  return bySource || byStart || compare(a.severity, b.severity);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function onePerPlace(sorted: readonly Diagnostic[]): Diagnostic[] {
  const seen = new Set<string>();
  return sorted.filter(({ place, code, claim }) => {
    const at = place ? `${place.source.name} ${place.span.start} ${place.span.end}` : `${code} ${claim}`;
    const isNew = !seen.has(at);
    seen.add(at);
    return isNew;
  });
}
