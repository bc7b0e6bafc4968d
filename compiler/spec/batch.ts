// The batch of each step: the schedule of sequences, the micro-batch that divides all of them, and the clock that
// follows from both.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as sayKey from "../source/messages/key.ts";
import * as say from "../source/messages/schedule.ts";
import { draftSchedule, type PieceDraft, resolveSchedule, type ScheduleDraft } from "./schedule.ts";
import type { Section } from "./section.ts";
import type { NumberShape } from "./shape.ts";
import type { Schedule, SchedulePiece } from "./spec.ts";
import { type Moment, Timeline } from "./timeline.ts";

/** A ramp is followed step by step; ten million are a tenth of a second. */
const mostRampSteps = 1e7;

export interface Batch {
  readonly sequences: Schedule;
  readonly micro: number;
  readonly clock: Timeline;
  readonly steps: number;
}

/** Bounds of what a part of the loss, or a correction, is multiplied by. */
export const coefficient: NumberShape = { kind: "real", least: 0, isFloat: true };

/** The schedule under a key on the clock of the batch. Without one it is undefined, but what is wrong with its text is told. */
export function readSchedule(
  section: Section,
  name: string,
  bounds: NumberShape,
  batch: Batch | undefined,
): Schedule | undefined {
  const draft = draftSchedule(section, name, bounds);
  return draft && batch && resolveSchedule(draft, batch.clock, batch.steps, section);
}

/** How long training goes on. */
export type Length = { readonly steps: number } | { readonly tokens: number };

/** The batch of a run of `length` with `sequence` tokens per sequence; undefined after a fault or without either. */
export function resolveBatch(
  section: Section,
  sequence: number | undefined,
  length: Length | undefined,
): Batch | undefined {
  const draft = draftSchedule(section, "sequences", { kind: "real", least: 1, most: 2 ** 53 });
  const micro = draft && microOf(section, draft);
  if (draft === undefined || micro === undefined || !isDivided(section, draft, micro)) return undefined;
  if (sequence === undefined || length === undefined) return undefined;
  return new BatchBuilder(section, sequence, micro).build(draft, length);
}

function microOf(section: Section, draft: ScheduleDraft): number | undefined {
  if (section.isGiven("micro")) return section.number("micro");
  const [first] = draft.pieces;
  if (draft.pieces.every(({ from, to }) => from === first.from && to === first.from)) return first.to;
  section.reading.diagnostics.add(say.microNeeded(section.place));
  return undefined;
}

function isDivided(section: Section, draft: ScheduleDraft, micro: number): boolean {
  const { diagnostics } = section.reading;
  for (const { from, to, shape, place } of draft.pieces) {
    const isShape = shape === "constant" || shape === "linear";
    const wrong = [from, to].find((sequences) => sequences % micro !== 0);
    const fraction = [from, to].find((sequences) => !Number.isInteger(sequences));
    if (!isShape) diagnostics.add(say.shapeNotForBatch(shape, place));
    else if (fraction !== undefined) diagnostics.add(sayKey.notWhole(draft.path, String(fraction), place));
    else if (wrong !== undefined) {
      diagnostics.add(say.microDoesNotDivide(micro, wrong, section.placeOf("micro"), place));
    } else continue;
    return false;
  }
  return true;
}

class BatchBuilder {
  readonly #diagnostics: Diagnostics;
  readonly #sequence: number;
  readonly #micro: number;
  readonly #clock = new Timeline();

  constructor({ reading }: Section, sequence: number, micro: number) {
    this.#diagnostics = reading.diagnostics;
    this.#sequence = sequence;
    this.#micro = micro;
  }

  build(draft: ScheduleDraft, length: Length): Batch | undefined {
    const pieces: SchedulePiece[] = [];
    let start: Moment = { steps: 0, tokens: 0 };
    let now = start;
    for (const piece of draft.pieces) {
      const placed = this.#place(piece, start, now, length);
      if (placed === undefined) return undefined;
      pieces.push(placed);
      now = this.#follow(placed, now);
      // The step that is the first behind a count of tokens has seen a few more.
      start = placed.unit === "tokens" ? { ...now, tokens: placed.end } : now;
    }
    const last = pieces[pieces.length - 1];
    // What comes after the last piece only matters to learn that there is something after it.
    this.#clock.add(now.steps, now.tokens, last.to * this.#sequence);
    const { steps } = this.#endOf(length);
    if (this.#clock.atStep(steps - 1)[last.unit] >= last.end) {
      this.#diagnostics.add(say.endsEarly(last.end, last.unit, steps, draft.place));
      return undefined;
    }
    return { sequences: { pieces }, micro: this.#micro, clock: this.#clock, steps };
  }

  #endOf(length: Length): Moment {
    return "steps" in length ? this.#clock.atStep(length.steps) : this.#clock.atTokens(length.tokens);
  }

  #place(piece: PieceDraft, start: Moment, now: Moment, length: Length): SchedulePiece | undefined {
    const { shape, from, to, place } = piece;
    if (shape === "constant") this.#clock.add(now.steps, now.tokens, to * this.#sequence);
    const { unit, end } = this.#span(piece, start, length);
    if (piece.extent !== undefined && end <= start[unit]) {
      this.#diagnostics.add(say.emptyPiece(start[unit], end, unit, place));
      return undefined;
    }
    if (end <= start[unit]) this.#diagnostics.add(say.neverBegins(start[unit], unit, end, place));
    const slowest = unit === "steps" ? 1 : Math.min(from, to) * this.#sequence;
    if (shape === "linear" && (end - start[unit]) / slowest > mostRampSteps) {
      this.#diagnostics.add(say.rampTooLong(mostRampSteps, place));
      return undefined;
    }
    return { unit, start: start[unit], end: Math.max(end, start[unit] + 1), shape, from, to };
  }

  /** Where a piece ends; without a span, at the end of training, which a ramp to a count of tokens knows in tokens only. */
  #span({ extent, shape }: PieceDraft, start: Moment, length: Length): { unit: "steps" | "tokens"; end: number } {
    if (extent !== undefined) {
      return { unit: extent.unit, end: extent.isAbsolute ? extent.amount : start[extent.unit] + extent.amount };
    }
    if ("steps" in length) return { unit: "steps", end: length.steps };
    if (shape === "linear") return { unit: "tokens", end: length.tokens };
    return { unit: "steps", end: this.#endOf(length).steps };
  }

  /** Adds the steps of a ramp to the clock and returns when the piece is over. */
  #follow(piece: SchedulePiece, now: Moment): Moment {
    if (piece.shape === "constant") {
      return piece.unit === "steps" ? this.#clock.atStep(piece.end) : this.#clock.atTokens(piece.end);
    }
    let { steps, tokens } = now;
    while ((piece.unit === "steps" ? steps : tokens) < piece.end) {
      const tokensPerStep = sequencesAt(piece, piece.unit === "steps" ? steps : tokens, this.#micro) * this.#sequence;
      this.#clock.add(steps, tokens, tokensPerStep);
      steps++;
      tokens += tokensPerStep;
    }
    return { steps, tokens };
  }
}

/** Sequences of the step that begins at `position` of the piece's unit: rounded down to a multiple of micro. */
export function sequencesAt({ from, to, start, end }: SchedulePiece, position: number, micro: number): number {
  const value = from + (to - from) * ((position - start) / (end - start));
  return Math.max(micro, Math.floor(value / micro) * micro);
}
