// From the syntax of a schedule to pieces without gaps. Each piece keeps the unit that it was written in; where the
// piece before it has the other one, its start is converted by the clock of the batch schedule.

import { parseSchedule } from "../formula/parse.ts";
import type { Expression, ExtentSyntax, SchedulePieceSyntax } from "../formula/syntax.ts";
import * as sayKey from "../source/messages/key.ts";
import * as say from "../source/messages/schedule.ts";
import type { ExpressionText, Place } from "../source/text.ts";
import { floatFault, isWithin } from "./scalar-fault.ts";
import type { Section } from "./section.ts";
import type { NumberShape } from "./shape.ts";
import type { Schedule, SchedulePiece } from "./spec.ts";
import type { Moment, Timeline } from "./timeline.ts";

/** A schedule that is parsed and whose numbers are known; only its place in time is open. */
export interface ScheduleDraft {
  readonly path: string;
  readonly place: Place;
  readonly pieces: readonly PieceDraft[];
}

export interface PieceDraft {
  readonly shape: SchedulePiece["shape"];
  readonly from: number;
  readonly to: number;
  readonly extent:
    | { readonly amount: number; readonly unit: "steps" | "tokens"; readonly isAbsolute: boolean }
    | undefined;
  readonly place: Place;
}

/** Parses the schedule under a key of a section and evaluates its numbers; values lie within `bounds`. */
export function draftSchedule(section: Section, name: string, bounds: NumberShape): ScheduleDraft | undefined {
  const text = section.text(name);
  const syntax = text && parseSchedule(text, section.reading.diagnostics);
  if (text === undefined || syntax === undefined) return undefined;
  const drafter = new Drafter(section, section.pathOf(name), text, bounds);
  const pieces: PieceDraft[] = [];
  for (const [i, piece] of syntax.pieces.entries()) {
    const isLast = i === syntax.pieces.length - 1;
    const draft = drafter.piece(piece, pieces.at(-1)?.to, isLast);
    if (draft === undefined) return undefined;
    pieces.push(draft);
  }
  return { path: section.pathOf(name), place: text.place(syntax.span), pieces };
}

class Drafter {
  readonly #section: Section;
  readonly #path: string;
  readonly #text: ExpressionText;
  readonly #bounds: NumberShape;

  constructor(section: Section, path: string, text: ExpressionText, bounds: NumberShape) {
    this.#section = section;
    this.#path = path;
    this.#text = text;
    this.#bounds = bounds;
  }

  piece(piece: SchedulePieceSyntax, before: number | undefined, isLast: boolean): PieceDraft | undefined {
    const { diagnostics } = this.#section.reading;
    const place = this.#text.place(piece.span);
    if (piece.extent === undefined && !isLast) {
      diagnostics.add(say.onlyLastIsOpen(place));
      return undefined;
    }
    const ends = this.#ends(piece, before, place);
    const extent = piece.extent && this.#extent(piece.extent);
    if (ends === undefined || (piece.extent !== undefined && extent === undefined)) return undefined;
    const shape = piece.kind === "value" || piece.kind === "hold" ? "constant" : piece.kind;
    return { shape, ...ends, extent, place };
  }

  #ends(
    piece: SchedulePieceSyntax,
    before: number | undefined,
    place: Place,
  ): { readonly from: number; readonly to: number } | undefined {
    const { diagnostics } = this.#section.reading;
    if (piece.kind === "hold") {
      if (before === undefined) diagnostics.add(say.nothingToHold(place));
      return before === undefined ? undefined : { from: before, to: before };
    }
    if (piece.kind === "value") {
      const value = this.#value(piece.value);
      return value === undefined ? undefined : { from: value, to: value };
    }
    const to = this.#value(piece.to);
    const from = piece.kind === "warmup" ? 0 : piece.from === undefined ? before : this.#value(piece.from);
    if (from === undefined && piece.kind !== "warmup" && piece.from === undefined) {
      diagnostics.add(say.noStartingValue(piece.kind, place));
    }
    return from === undefined || to === undefined ? undefined : { from, to };
  }

  #value(tree: Expression): number | undefined {
    const value = this.#section.evaluate(tree, this.#text, this.#path);
    if (value === undefined) return undefined;
    const place = this.#text.place(tree.span);
    const words = String(value);
    const fault = isWithin(value, this.#bounds)
      ? floatFault(value, this.#bounds, this.#path, words, place)
      : sayKey.outOfRange(this.#path, words, this.#bounds, place);
    if (fault === undefined) return value;
    this.#section.reading.diagnostics.add(fault);
    return undefined;
  }

  #extent(extent: ExtentSyntax): PieceDraft["extent"] {
    const amount = this.#section.evaluate(extent.amount, this.#text, this.#path);
    if (amount === undefined) return undefined;
    const place = this.#text.place(extent.span);
    const { diagnostics } = this.#section.reading;
    if (!Number.isSafeInteger(amount)) diagnostics.add(sayKey.notWhole("a span", String(amount), place));
    else if (amount < 1) diagnostics.add(sayKey.outOfRange("a span", String(amount), { least: 1 }, place));
    else return { amount, unit: extent.unit, isAbsolute: extent.absolute };
    return undefined;
  }
}

/** Places the pieces of a draft in time, on a run of `steps` steps; undefined after a fault. */
export function resolveSchedule(
  draft: ScheduleDraft,
  clock: Timeline,
  steps: number,
  { reading: { diagnostics } }: Section,
): Schedule | undefined {
  const pieces: SchedulePiece[] = [];
  let start: Moment = { steps: 0, tokens: 0 };
  let isReached = true;
  for (const piece of draft.pieces) {
    const { unit, end } = endOf(piece, start, steps);
    if (piece.extent !== undefined && end <= start[unit]) {
      diagnostics.add(say.emptyPiece(start[unit], end, unit, piece.place));
      return undefined;
    }
    if (start.steps >= steps && isReached) diagnostics.add(say.neverBegins(start[unit], unit, steps, piece.place));
    isReached = start.steps < steps;
    const { shape, from, to } = piece;
    pieces.push({ unit, start: start[unit], end: Math.max(end, start[unit] + 1), shape, from, to });
    start = unit === "steps" ? clock.atStep(end) : { steps: clock.atTokens(end).steps, tokens: end };
  }
  const last = pieces[pieces.length - 1];
  const lastStep = clock.atStep(steps - 1);
  if (lastStep[last.unit] < last.end) return { pieces };
  diagnostics.add(say.endsEarly(last.end, last.unit, steps, draft.place));
  return undefined;
}

/** A piece without a span runs to the end of training. */
function endOf({ extent }: PieceDraft, start: Moment, steps: number): { unit: "steps" | "tokens"; end: number } {
  if (extent === undefined) return { unit: "steps", end: steps };
  const { unit, amount, isAbsolute } = extent;
  return { unit, end: isAbsolute ? amount : start[unit] + amount };
}
