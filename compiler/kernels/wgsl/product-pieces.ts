// Products over weights that are larger than one binding, as several: columns of the output where the weight's rows are
// those, terms of one sum where they are the contraction, rows of a gradient where it is the weight's.

import { rowsOf, widthOf } from "../../graph/types.ts";
import type { PlannedTensor } from "../plan.ts";
import { elementBytes } from "../planner.ts";
import type { Product } from "../product.ts";
import { type Piece, piecesOf, rowBytes } from "./pieces.ts";

/** Columns of a piece are a multiple of this, so that it begins at a multiple of 256 bytes of a row of bf16, too. */
const columnStep = 128;

/** Sizes of a product; the one that is counted at run time is undefined. */
export interface ProductSizes {
  readonly rows: number | undefined;
  readonly columns: number;
  readonly depth: number | undefined;
}

/** How much is bound of the operand that is cut. */
export interface BoundBytes {
  readonly b?: number;
  readonly out?: number;
}

export interface ProductPiece {
  readonly product: Product;
  readonly sizes: ProductSizes;
  readonly bytes: BoundBytes;
}

/** One product, or several that together are it; each is given at most `most` bytes of the weight. */
export function productPieces(product: Product, sizes: ProductSizes, most: number): ProductPiece[] {
  const { form, b, out } = product;
  const cut = (tensor: PlannedTensor, rows: number) => piecesOf(rows, [rowBytes(tensor)], most, columnStep);
  const whole: ProductPiece[] = [{ product, sizes, bytes: {} }];
  // A sum that is stored between its terms as bf16 would be rounded more than once.
  const pieces =
    form === "TN"
      ? cut(out, widthOf(product.a.type))
      : form === "NN" && out.type.dtype === "bf16"
        ? []
        : cut(b, rowsOf(b.type));
  if (pieces.length <= 1) return whole;
  return pieces.map((piece) => (form === "NT" ? columnsOf : form === "NN" ? termOf : rowsOfOut)(product, sizes, piece));
}

function columnsOf(product: Product, sizes: ProductSizes, { first, rows }: Piece): ProductPiece {
  const { b, out, offsets } = product;
  const moved = { ...offsets, b: offsets.b + first * rowBytes(b), out: offsets.out + first * elementBytes(out) };
  return {
    product: { ...product, isPart: true, offsets: moved },
    sizes: { ...sizes, columns: rows },
    bytes: { b: rows * rowBytes(b) },
  };
}

/** The first term goes where the product goes; the others are added to it. */
function termOf(product: Product, sizes: ProductSizes, { first, rows }: Piece): ProductPiece {
  const { a, b, out, offsets } = product;
  const moved = { ...offsets, a: offsets.a + first * elementBytes(a), b: offsets.b + first * rowBytes(b) };
  const sum = first === 0 ? {} : { addend: out, first: undefined };
  return {
    product: { ...product, ...sum, offsets: moved },
    sizes: { ...sizes, depth: rows },
    bytes: { b: rows * rowBytes(b) },
  };
}

function rowsOfOut(product: Product, sizes: ProductSizes, { first, rows }: Piece): ProductPiece {
  const { a, out, offsets } = product;
  const moved = { ...offsets, a: offsets.a + first * elementBytes(a), out: offsets.out + first * rowBytes(out) };
  return {
    product: { ...product, isPart: true, offsets: moved },
    sizes: { ...sizes, rows },
    bytes: { out: rows * rowBytes(out) },
  };
}
