// The names nearest to what was written.

import { distance } from "fastest-levenshtein";

/** Up to `most` of `names` that a slip of the finger may have meant, the nearest first. */
export function nearest(written: string, names: Iterable<string>, most: number): string[] {
  const bound = written.length < 4 ? 1 : Math.max(2, Math.floor(written.length / 3));
  const lower = written.toLowerCase();
  return [...new Set(names)]
    .map((name) => ({ name, steps: distance(lower, name.toLowerCase()) }))
    .filter(({ steps, name }) => steps <= bound && steps < name.length)
    .sort((a, b) => a.steps - b.steps || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map(({ name }) => name);
}
