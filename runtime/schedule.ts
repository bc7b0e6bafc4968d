// The values of schedules: what the manifest's tables say at a step. Parses nothing and keeps nothing.

import type { ManifestSchedule, ManifestSchedulePiece, ManifestTraining } from "./contract.ts";
import { cos } from "./exact-math.ts";

/** What has been done before a step begins. */
export interface Moment {
  readonly steps: number;
  readonly tokens: number;
}

/**
 * The value for the step that begins at `now` and ends at `end`.
 *
 * A warm-up has its value at the end of the step: its first step already learns, and its last one has the full value.
 */
export function scheduleValue(schedule: ManifestSchedule, now: Moment, end: Moment): number {
  const piece = pieceAt(schedule, now);
  const { unit, start, shape, from, to } = piece;
  const length = piece.end - start;
  switch (shape) {
    case "constant":
      return to;
    case "warmup":
      return to * Math.min(1, (end[unit] - start) / length);
    case "linear":
      return from + (to - from) * ((now[unit] - start) / length);
    case "cosine":
      return between(to, from, 0.5 * (1 + cos(Math.PI * ((now[unit] - start) / length))));
  }
}

/** Exactly `a` at 0 and `b` at 1. */
const between = (a: number, b: number, share: number): number => a * (1 - share) + b * share;

/** Sequences of the step that begins at `now`: rounded down to whole micro-batches, at least one. */
export function sequencesAt({ sequences, micro }: ManifestTraining, now: Moment): number {
  return Math.max(micro, Math.floor(scheduleValue(sequences, now, now) / micro) * micro);
}

/** The last piece that has begun. */
function pieceAt({ pieces }: ManifestSchedule, now: Moment): ManifestSchedulePiece {
  return pieces.findLast(({ unit, start }) => now[unit] >= start) ?? pieces[0];
}
