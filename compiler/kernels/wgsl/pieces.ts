// Tensors larger than one binding, in pieces of whole rows: what is bound of each, and how many rows a piece has in a run.

import type { LiveCount } from "../../graph/types.ts";
import type { Count, PlannedTensor } from "../plan.ts";
import { capacityOf, elementBytes, fixed, pitchBytes } from "../planner.ts";
import type { WgslOperand } from "./launch.ts";

/** Pieces begin at multiples of 256 bytes: rows of a vector are 4 bytes, of all else a multiple of 16. */
export const rowStep = 64;

/** A range of rows. */
export interface Piece {
  readonly first: number;
  readonly rows: number;
}

/** Cuts rows, at multiples of `step`, so that no tensor has more than `most` bytes of them; one piece where all fit. */
export function piecesOf(rows: number, bytesPerRow: readonly number[], most: number, step = rowStep): Piece[] {
  const largest = Math.max(1, ...bytesPerRow);
  if (rows * largest <= most) return [{ first: 0, rows }];
  const each = Math.max(step, Math.floor(most / largest / step) * step);
  return Array.from({ length: Math.ceil(rows / each) }, (_, i) => {
    return { first: i * each, rows: Math.min(each, rows - i * each) };
  });
}

/** How many of a count's rows are in a piece. */
export function countIn(count: Count, { first, rows }: Piece): Count {
  if (first === 0 && rows === capacityOf(count)) return count;
  if (count.kind === "fixed") return fixed(rows);
  const rest: LiveCount = first === 0 ? count.live : ["max", ["-", count.live, first], 0];
  return { kind: "live", live: ["min", rest, rows], capacity: rows };
}

/** Bytes from row to row; of a vector, whose elements are one per row, from one to the next. */
export const rowBytes = (tensor: PlannedTensor): number =>
  tensor.type.dims.length < 2 ? elementBytes(tensor) : pitchBytes(tensor);

/** What is bound of a tensor for a piece, where each of its rows stands for `rowsEach` of those that are cut. */
export function boundRows(
  tensor: PlannedTensor,
  { first, rows }: Piece,
  rowsEach = 1,
): Pick<WgslOperand, "offset" | "bytes"> {
  const bytes = Math.ceil(rows / rowsEach) * rowBytes(tensor);
  return { offset: (first / rowsEach) * rowBytes(tensor), bytes: Math.ceil(bytes / 16) * 16 };
}
