// The inner product of every kernel that multiplies → the view of templates/wasm/parts/product.hbs, in bytes; and the copies
// between a tile of f32 in scratch and rows of another format.

import type { PanelStrides, RowStrides, Widening } from "../../kernels/wasm/kernels.ts";
import { loadFour, loadSplat, type Real, storeFour } from "../../targets/wasm/storage.ts";

export interface ProductView {
  readonly name: string;
  readonly aRow: number;
  readonly aRow2: number;
  readonly aDepth: number;
  readonly bPanel: number;
  readonly bDepth: number;
  readonly outPitch: number;
  /** What of a two rows read, and what of b 16 columns. */
  readonly a0: string;
  readonly a1: string;
  readonly b0: string;
  readonly b1: string;
  readonly b2: string;
  readonly b3: string;
}

/** Strides of a and b in bytes, and what their elements are stored as: f32 unless they say otherwise. */
export function productView(
  name: string,
  a: { readonly row: number; readonly depth: number; readonly format?: Real },
  b: { readonly panel: number; readonly depth: number; readonly format?: Real },
  outPitch: number,
): ProductView {
  const [aFormat, bFormat] = [a.format ?? "f32", b.format ?? "f32"];
  const columns = (group: number) => loadFour(bFormat, "(local.get $b_at)", group * (bFormat === "f32" ? 16 : 8));
  return {
    name,
    aRow: a.row,
    aRow2: 2 * a.row,
    aDepth: a.depth,
    bPanel: b.panel,
    bDepth: b.depth,
    outPitch,
    a0: loadSplat(aFormat, "(local.get $a_at)"),
    a1: loadSplat(aFormat, "(local.get $a_at)", a.row),
    b0: columns(0),
    b1: columns(1),
    b2: columns(2),
    b3: columns(3),
  };
}

export interface CopyView {
  readonly name: string;
  readonly fromPitch: number;
  readonly toPitch: number;
  /** Bytes of 16 columns. */
  readonly fromStep: number;
  readonly toStep: number;
  readonly lines: readonly string[];
}

/** Copies rows of whole panels from one format to another; pitches in bytes. */
export function copyView(
  name: string,
  from: { readonly format: Real; readonly pitch: number },
  to: { readonly format: Real; readonly pitch: number },
): CopyView {
  const bytes = (format: Real): number => (format === "f32" ? 16 : 8);
  const lines = [0, 1, 2, 3].flatMap((group) => {
    const value = loadFour(from.format, "(local.get $from_at)", group * bytes(from.format));
    return storeFour(to.format, "(local.get $to_at)", value, "value", group * bytes(to.format));
  });
  return {
    name,
    fromPitch: from.pitch,
    toPitch: to.pitch,
    fromStep: 4 * bytes(from.format),
    toStep: 4 * bytes(to.format),
    lines,
  };
}

export interface TransposeView {
  readonly name: string;
  readonly pitch: number;
  /** Bytes of one element of the panel as a shift, and of four of its columns. */
  readonly elementShift: number;
  readonly columnsBytes: number;
  readonly stores: readonly string[];
}

/** Four columns of a panel out of two halves of transposed rows. */
const transposedColumns = [
  ["0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23", "low"],
  ["8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31", "low"],
  ["0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23", "high"],
  ["8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31", "high"],
] as const;

/** Transposes rows of f32, `pitch` bytes apart, into a panel of 16 of either format. */
export function transposeView(name: string, pitch: number, format: Real = "f32"): TransposeView {
  const column = 16 * (format === "f32" ? 4 : 2);
  const stores = transposedColumns.flatMap(([pattern, half], i) => {
    const value = `(i8x16.shuffle ${pattern} (local.get $${half}0) (local.get $${half}1))`;
    return storeFour(format, "(local.get $to)", value, "r0", i * column);
  });
  return { name, pitch, elementShift: format === "f32" ? 2 : 1, columnsBytes: 4 * column, stores };
}

export interface RowCopyView {
  readonly name: string;
  readonly vectors: number;
  readonly fromStep: number;
  readonly toStep: number;
  readonly lines: readonly string[];
}

/** Copies a row four elements at a time; what stands behind its end is padding on both sides. */
export function rowCopyView(name: string, width: number, from: Real, to: Real): RowCopyView {
  const bytes = (format: Real): number => (format === "f32" ? 16 : 8);
  const value = loadFour(from, "(local.get $from_at)");
  return {
    name,
    vectors: Math.ceil(width / 4),
    fromStep: bytes(from),
    toStep: bytes(to),
    lines: storeFour(to, "(local.get $to_at)", value, "value"),
  };
}

interface WidenedView {
  readonly name: string;
  readonly direct: string;
  readonly wide: string;
  readonly leastRows: number;
  readonly widensA: boolean;
  readonly widensB: boolean;
  readonly aOffset: number;
  readonly bOffset: number;
  readonly aRows: string;
  readonly aColumns: string;
  readonly bPanel: number;
}

/** The functions of a product that kernels call by `name`. */
export interface ProductParts {
  readonly products: readonly ProductView[];
  readonly widened: readonly WidenedView[];
  readonly panelCopies: readonly CopyView[];
}

/** From as many rows on a copy in scratch costs less than it saves: a block is read once per pair of rows. */
const leastWidenedRows = 8;

/** A product of f32 is one function; narrow operands get a second one over their widened copies, where there is room. */
export function productParts(
  name: string,
  a: RowStrides,
  b: PanelStrides,
  outPitch: number,
  widening: Widening | undefined,
): ProductParts {
  if (widening === undefined) return { products: [productView(name, a, b, outPitch)], widened: [], panelCopies: [] };
  const { aAlong, aOffset, aPitch, bOffset } = widening;
  const [widensA, widensB] = [a.format === "bf16", b.format === "bf16"];
  const wideA = aAlong === "depth" ? { row: aPitch, depth: 4 } : { row: 4, depth: aPitch };
  const wideB = { panel: 64, depth: 64 };
  const [direct, wide] = [`${name}.direct`, `${name}.wide`];
  const [rows, depth] = ["(local.get $rows)", "(local.get $depth)"];
  const copy = (part: string, pitch: number, toPitch: number): CopyView =>
    copyView(`${name}.${part}`, { format: "bf16", pitch }, { format: "f32", pitch: toPitch });
  return {
    products: [
      productView(direct, a, b, outPitch),
      productView(wide, widensA ? wideA : a, widensB ? wideB : b, outPitch),
    ],
    widened: [
      {
        name,
        direct,
        wide,
        leastRows: leastWidenedRows,
        widensA,
        widensB,
        aOffset,
        bOffset,
        aRows: aAlong === "depth" ? rows : depth,
        aColumns: aAlong === "depth" ? depth : rows,
        bPanel: b.panel,
      },
    ],
    panelCopies: [
      ...(widensA ? [copy("widen_a", aAlong === "depth" ? a.row : a.depth, aPitch)] : []),
      ...(widensB ? [copy("widen_b", b.depth, 64)] : []),
    ],
  };
}
