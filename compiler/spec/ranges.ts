// Ranges of indices: which of `count` things they name.

import type { RangeSyntax } from "../formula/syntax.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/rule.ts";
import type { ExpressionText } from "../source/text.ts";

/** Whether index `index` of `count` lies in a range; negative ends count from the end. */
export function isInRange(range: RangeSyntax, index: number, count: number): boolean {
  return range.parts.some(({ from, to, by }) => {
    const first = from === undefined ? 0 : fromStart(from, count);
    const last = to === undefined ? count - 1 : fromStart(to, count);
    return index >= first && index <= last && (index - first) % by === 0;
  });
}

/** The indices that a range names, ascending; ends that lie outside and parts that are empty are errors. */
export function rangeIndices(
  range: RangeSyntax,
  count: number,
  text: ExpressionText,
  diagnostics: Diagnostics,
): number[] {
  for (const { from, to, span } of range.parts) {
    const place = text.place(span);
    const beyond = [from, to].find((end) => end !== undefined && (end >= count || end < -count));
    if (beyond !== undefined) diagnostics.add(say.indexBeyond(beyond, count, place));
    else if (from !== undefined && to !== undefined && fromStart(from, count) > fromStart(to, count)) {
      diagnostics.add(say.emptyRange(from, to, place));
    }
  }
  return Array.from({ length: count }, (_, i) => i).filter((i) => isInRange(range, i, count));
}

function fromStart(index: number, count: number): number {
  return index < 0 ? count + index : index;
}

/** Ascending indices as a range that reads back to them: `0..2, 5`. */
export function rangeOf(indices: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < indices.length; i++) {
    const first = indices[i];
    while (indices[i + 1] === indices[i] + 1) i++;
    parts.push(first === indices[i] ? String(first) : `${first}..${indices[i]}`);
  }
  return parts.join(", ");
}
