// Plans products of two matrices, which are read where they lie.

import { rowsOf, widthOf } from "../../graph/types.ts";
import type { MatmulRequest } from "../../ops/skeletons.ts";
import { invariant } from "../../source/diagnostic.ts";
import type { Count, KernelFacts, TileCount } from "../plan.ts";
import { capacityOf, fixed, type NodePlanner } from "../planner.ts";
import { type Product, productOf } from "../product.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";
import { blockNumbers, type Form, narrowName, pitchVectors } from "./product-blocks.ts";
import { type BoundBytes, type ProductPiece, type ProductSizes, productPieces } from "./product-pieces.ts";
import { countWhere, fewRows, type ProductWay, productWays } from "./product-ways.ts";

export function planMatmul(planner: NodePlanner, request: MatmulRequest): void {
  launchProduct(planner, productOf(planner, request));
}

function sizesOf({ form, a, b }: Product): ProductSizes {
  const columns = form === "NT" ? rowsOf(b.type) : widthOf(b.type);
  return form === "TN"
    ? { rows: widthOf(a.type), columns, depth: undefined }
    : { rows: undefined, columns, depth: widthOf(a.type) };
}

export function launchProduct(planner: NodePlanner, product: Product): void {
  const { out, first } = product;
  invariant(first === undefined || out.type.dtype === "f32", "a product is added to a state of f32");
  const pieces = productPieces(product, sizesOf(product), planner.target.bindingBytes);
  for (const piece of pieces) launchPiece(planner, piece);
}

function launchPiece(planner: NodePlanner, { product, sizes, bytes }: ProductPiece): void {
  const { form, count } = product;
  const rows = sizes.rows === undefined ? count : fixed(sizes.rows);
  const tile = planner.matmulTile;
  const shape = { form, ...sizes, rows, tile, few: fewRows, fewRows: 8, products: 1 };
  const ways = productWays(planner, shape);
  for (const way of ways)
    launchWay(planner, { product: { ...product, isPart: product.isPart || ways.length > 1 }, sizes, bytes }, rows, way);
}

function launchWay(planner: NodePlanner, { product, sizes, bytes }: ProductPiece, rows: Count, way: ProductWay): void {
  const { form, a, b, out, addend, first, count } = product;
  const { columns } = sizes;
  launchWgsl(planner, {
    template: "matmul",
    said: saidOf(product, sizes, way),
    tile: way.text(""),
    operands: operandsOf(product, bytes),
    counts: [
      form === "TN"
        ? { name: "depth", count, what: "rows of a and b" }
        : { name: "rows", count, what: "rows of a and out" },
    ],
    threads: way.threads,
    addsOverLanes: way.addsOverLanes,
    numbers: {
      ...blockNumbers(form, a, b, sizes.depth),
      ...way.numbers,
      countsRows: form !== "TN",
      rows: sizes.rows ?? 0,
      columns,
      depth: sizes.depth ?? 0,
      outPitch: pitchVectors(out),
      addendPitch: addend === undefined ? 0 : pitchVectors(addend),
      addsRows: addend !== undefined,
      addsState: first !== undefined,
      addsNothing: addend === undefined && first === undefined,
    },
    tiles: rowsAndColumns(way, rows, columns),
    flops: 2 * mostRows(way, rows) * columns * (sizes.depth ?? capacityOf(count)),
  });
}

/** Tiles of rows, where this way is the one for so many, and of columns. */
export function rowsAndColumns(way: ProductWay, rows: Count, columns: number): TileCount {
  const tiles: Count =
    rows.kind === "fixed"
      ? fixed(Math.ceil(rows.value / way.rows))
      : { ...rows, live: ["ceil_div", rows.live, way.rows], capacity: Math.ceil(rows.capacity / way.rows) };
  return [
    { count: countWhere(way, rows, tiles), per: 1 },
    { count: fixed(columns), per: way.columns },
  ];
}

/** A run of all rows is computed in one of the ways; the others' launches have nothing to do in it. */
export const mostRows = ({ upTo }: ProductWay, rows: Count): number => (upTo < capacityOf(rows) ? 0 : capacityOf(rows));

const boundBytes = (bytes: number | undefined): Pick<WgslOperand, "bytes"> => (bytes === undefined ? {} : { bytes });

function operandsOf({ a, b, out, addend, first, isPart, offsets }: Product, bytes: BoundBytes): WgslOperand[] {
  const operands: WgslOperand[] = [
    { name: "a", tensor: a, access: "read", uses: ["load"], offset: offsets.a },
    { name: "b", tensor: b, access: "read", uses: ["load"], offset: offsets.b, ...boundBytes(bytes.b) },
    {
      name: "out",
      tensor: out,
      access: first !== undefined ? "update" : isPart ? "part" : "write",
      uses: first !== undefined ? ["load", "store"] : ["store"],
      offset: offsets.out,
      ...boundBytes(bytes.out),
    },
  ];
  if (addend !== undefined)
    operands.push({
      name: "addend",
      tensor: addend,
      access: "read",
      uses: ["load"],
      offset: offsets.out,
      ...boundBytes(bytes.out),
    });
  if (first !== undefined) operands.push({ name: "first", tensor: first, access: "read", uses: [] });
  return operands;
}

const formulas: Readonly<Record<Form, string>> = {
  NT: "out[m, n] = Σ_k a[m, k] · b[n, k]",
  NN: "out[m, n] = Σ_k a[m, k] · b[k, n]",
  TN: "out[m, n] = Σ_k a[k, m] · b[k, n]",
};

function saidOf(
  { form, a, b, out, addend, first }: Product,
  { rows, columns, depth }: ProductSizes,
  way: ProductWay,
): Pick<KernelFacts, "name" | "summary" | "formula" | "source"> {
  const [suffix, added] =
    addend !== undefined
      ? ["_addend", " + addend"]
      : first !== undefined
        ? ["_state", " + out unless first"]
        : ["", ""];
  const extents = form === "TN" ? `m${rows}n${columns}` : `n${columns}k${depth}`;
  const narrow = narrowName([a, b, out, ...(addend === undefined ? [] : [addend])]);
  return {
    name: `matmul_${form.toLowerCase()}_${extents}${suffix}_${way.name}${narrow}`,
    summary: "The product of two matrices.",
    formula: `${formulas[form]}${added}, ${way.order}`,
    source: "blocking: Goto and van de Geijn, doi:10.1145/1356052.1356053",
  };
}
