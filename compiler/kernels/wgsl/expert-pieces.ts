// Weights of experts, or gradients of them, that are larger than one binding: ranges of experts, and ranges of the rows of
// one expert where it alone is larger.

import type { PlannedTensor } from "../plan.ts";
import { elementBytes, fixed } from "../planner.ts";
import type { WgslCount, WgslOperand } from "./launch.ts";
import { piecesOf, rowBytes } from "./pieces.ts";

/** Bindings begin at multiples of so many bytes. */
const bindingStep = 256;

/** Where a piece begins. */
interface PiecePlace {
  readonly firstExpert: number;
  /** What is bound, which may begin a little before the piece. */
  readonly bound: Pick<WgslOperand, "offset" | "bytes">;
  /** Vectors of four between the two. */
  readonly shift: number;
}

/** Pieces of one size of the matrices of all experts: one kernel computes them. */
export interface ExpertPieces {
  readonly isWhole: boolean;
  /** Experts of each piece, and the rows that it has of their matrices. */
  readonly experts: number;
  readonly firstRow: number;
  readonly rows: number;
  /** What part of all matrices a piece is. */
  readonly share: number;
  readonly places: readonly PiecePlace[];
}

/**
 * Cuts matrices [experts, rows, columns], so that at most `most` bytes are bound of them; one piece where all of them fit.
 *
 * A range of one expert's rows begins at a multiple of `rowStep` of them; without it experts are not cut. Of two ranges of the
 * same expert the one before comes first.
 */
export function expertPieces(weight: PlannedTensor, most: number, rowStep: number | undefined): ExpertPieces[] {
  const [experts, rows] = weight.type.dims.map(({ size }) => size);
  const expertBytes = rows * rowBytes(weight);
  if (experts * expertBytes <= most) {
    const place = { firstExpert: 0, bound: {}, shift: 0 };
    return [{ isWhole: true, experts, firstRow: 0, rows, share: 1, places: [place] }];
  }
  // Where not every expert begins at a binding's step, there is room for what is bound before it.
  const room = expertBytes % bindingStep === 0 ? most : most - bindingStep;
  const isCut = rowStep !== undefined && expertBytes > room;
  const parts = isCut ? piecesOf(rows, [rowBytes(weight)], room, rowStep) : [{ first: 0, rows }];
  const ranges = piecesOf(experts, [expertBytes], room, 1);
  const sizes = [...new Set(ranges.map((range) => range.rows))];
  return parts.flatMap((part) =>
    sizes.map((size): ExpertPieces => {
      const bytes = size * part.rows * rowBytes(weight);
      const places = ranges
        .filter((range) => range.rows === size)
        .map(({ first }) => placeOf(weight, first, first * expertBytes + part.first * rowBytes(weight), bytes));
      const share = (size * part.rows) / (experts * rows);
      return { isWhole: false, experts: size, firstRow: part.first, rows: part.rows, share, places };
    }),
  );
}

/** For a note: in how many pieces something is bound; undefined: whole. */
export function piecesText(weight: PlannedTensor, all: readonly ExpertPieces[]): string | undefined {
  const [{ isWhole, experts, rows }] = all;
  if (isWhole) return undefined;
  const count = all.reduce((sum, { places }) => sum + places.length, 0);
  const each = experts > 1 ? `${experts} experts` : `${rows} rows of one expert`;
  return `${weight.name} is bound in ${count} pieces of at most ${each}`;
}

function placeOf(weight: PlannedTensor, firstExpert: number, start: number, bytes: number): PiecePlace {
  const before = start % bindingStep;
  const bound = { offset: start - before, bytes: before + bytes };
  return { firstExpert, bound, shift: before / (4 * elementBytes(weight)) };
}

/** Columns of another operand that begin at a binding's step. */
export const columnStepOf = (tensor: PlannedTensor): number => bindingStep / elementBytes(tensor);

/** What a kernel is told of its piece. */
export function countsOf({ isWhole, experts }: ExpertPieces, { firstExpert, shift }: PiecePlace): WgslCount[] {
  if (isWhole) return [];
  return [
    { name: "first_expert", count: fixed(firstExpert), what: "first expert of the piece" },
    { name: "experts", count: fixed(experts), what: "experts of the piece" },
    { name: "shift", count: fixed(shift), what: "vectors that are bound before the piece" },
  ];
}
