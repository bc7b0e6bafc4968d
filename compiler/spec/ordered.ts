// Values as a normalised spec writes them: maps in the order of their keys, numbers that stay numbers, schedules.

import { Scalar } from "yaml";
import { printNumber } from "../formula/print-syntax.ts";
import type { Schedule, SchedulePiece } from "./spec.ts";

/** A map in the order of its keys; pairs without a value are left out. */
export type Ordered = Map<string, unknown>;

export function ordered(...pairs: readonly (readonly [string, unknown])[]): Ordered {
  return new Map(pairs.filter(([, value]) => value !== undefined).map(([name, value]) => [name, exact(value)]));
}

/** A float beyond 2^53 gets an exponent, as in `printNumber`. */
function exact(value: unknown): unknown {
  if (typeof value !== "number" || Math.abs(value) <= 2 ** 53) return value;
  const scalar = new Scalar(value);
  scalar.format = "EXP";
  return scalar;
}

/** A schedule of one constant is a number, any other is text. */
export function scheduleValue({ pieces }: Schedule, steps: number): number | string {
  const isOpen = (piece: SchedulePiece) => piece === pieces.at(-1) && piece.unit === "steps" && piece.end === steps;
  const [first] = pieces;
  if (pieces.length === 1 && first.shape === "constant" && isOpen(first)) return first.to;
  return pieces.map((piece) => pieceText(piece, isOpen(piece))).join(" then ");
}

function pieceText({ shape, unit, end, from, to }: SchedulePiece, isOpen: boolean): string {
  const until = `until ${end}${unit === "tokens" ? " tokens" : ""}`;
  if (shape === "constant") return isOpen ? printNumber(to) : `${printNumber(to)} ${until}`;
  const span = isOpen && shape !== "warmup" ? "" : `(${until})`;
  const start = shape === "warmup" ? "" : ` from ${printNumber(from)}`;
  return `${shape}${span}${start} to ${printNumber(to)}`;
}
