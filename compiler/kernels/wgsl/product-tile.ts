// Numbers that every kernel with a product has: how its operands lie, and which tile is a workgroup's.

import type { MatmulRequest } from "../../ops/skeletons.ts";
import { invariant } from "../../source/diagnostic.ts";
import type { PlannedTensor } from "../plan.ts";
import { type MatmulTile, pitchOf } from "../planner.ts";
import type { WgslNumbers } from "./kernels.ts";

export type Form = MatmulRequest["form"];

/** Rows and columns of one thread. */
const threadRows = 8;
const threadColumns = 8;

/** Vectors of four from row to row. */
export const pitchVectors = (tensor: PlannedTensor): number => pitchOf(tensor) / 4;

/** How blocks of four by four are read; a contraction over rows counted at run time may end anywhere. */
export function blockNumbers(form: Form, a: PlannedTensor, b: PlannedTensor, depth: number | undefined): WgslNumbers {
  const isRagged = depth === undefined || depth % 4 !== 0;
  invariant(form !== "TN" || isRagged, "rows of both operands are counted at run time");
  return {
    aByRows: form !== "TN" && !isRagged,
    aByRowsRagged: form !== "TN" && isRagged,
    aByDepth: form === "TN",
    bByRows: form === "NT" && !isRagged,
    bByRowsRagged: form === "NT" && isRagged,
    bByDepth: form !== "NT" && !isRagged,
    bByDepthRagged: form !== "NT" && isRagged,
    aPitch: pitchVectors(a),
    bPitch: pitchVectors(b),
  };
}

const whole = (size: number, step: number): number => Math.ceil(size / step) * step;

/** The tile, no larger than the output. */
export function fitTile({ rows, columns, depth }: MatmulTile, mostRows: number, mostColumns: number): MatmulTile {
  return {
    rows: Math.min(rows, whole(Math.max(mostRows, 1), threadRows)),
    columns: Math.min(columns, whole(mostColumns, threadColumns)),
    depth,
  };
}

export const threadsOf = ({ rows, columns }: MatmulTile): number => (rows / threadRows) * (columns / threadColumns);

export function tileNumbers(tile: MatmulTile, columns: number): WgslNumbers {
  return {
    tileRows: tile.rows,
    tileColumns: tile.columns,
    columnTiles: Math.ceil(columns / tile.columns),
    columnThreads: tile.columns / threadColumns,
  };
}

export const tileText = ({ rows, columns }: MatmulTile, what = ""): string =>
  `${rows} rows${what} by ${columns} columns, ${threadRows} by ${threadColumns} of them per thread, in registers`;

/** What of the operands' formats a kernel is called after. */
export function narrowName(tensors: readonly PlannedTensor[]): string {
  const formats = tensors.map(({ type }) => type.dtype);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
}
