// Plans products of two matrices, which are read where they lie.

import { rowsOf, widthOf } from "../../graph/types.ts";
import type { MatmulRequest } from "../../ops/skeletons.ts";
import { invariant } from "../../source/diagnostic.ts";
import type { Count, KernelFacts, PlannedTensor } from "../plan.ts";
import { capacityOf, fixed, type MatmulTile, type NodePlanner, rowCount } from "../planner.ts";
import { launchWgsl, type WgslOperand } from "./launch.ts";
import {
  blockNumbers,
  type Form,
  fitTile,
  narrowName,
  pitchVectors,
  threadsOf,
  tileNumbers,
  tileText,
} from "./product-tile.ts";

/** One product over tensors that are already planned; used by every skeleton that multiplies. */
export interface Product {
  readonly form: Form;
  readonly a: PlannedTensor;
  readonly b: PlannedTensor;
  readonly out: PlannedTensor;
  readonly addend: PlannedTensor | undefined;
  /** The flag of a state that is the output itself. */
  readonly first: PlannedTensor | undefined;
  /** Rows of a (NT, NN), or the contraction (TN): what may change from run to run. */
  readonly count: Count;
  /** Whether other launches write other rows of out. */
  readonly isPart: boolean;
  /** Byte offsets of a chunk of rows. */
  readonly offsets: { readonly a: number; readonly b: number; readonly out: number };
}

export function planMatmul(planner: NodePlanner, request: MatmulRequest): void {
  const a = planner.input(request.a);
  const { addend, accumulate } = request;
  launchProduct(planner, {
    form: request.form,
    a,
    b: planner.input(request.b),
    out: planner.output(request.out),
    addend: addend === undefined ? undefined : planner.input(addend),
    first: accumulate === undefined ? undefined : planner.input(accumulate.first),
    count: rowCount(a.type),
    isPart: false,
    offsets: { a: 0, b: 0, out: 0 },
  });
}

/** Sizes of a product; the one that is counted at run time is undefined. */
interface Sizes {
  readonly rows: number | undefined;
  readonly columns: number;
  readonly depth: number | undefined;
}

function sizesOf({ form, a, b }: Product): Sizes {
  const columns = form === "NT" ? rowsOf(b.type) : widthOf(b.type);
  return form === "TN"
    ? { rows: widthOf(a.type), columns, depth: undefined }
    : { rows: undefined, columns, depth: widthOf(a.type) };
}

export function launchProduct(planner: NodePlanner, product: Product): void {
  const { form, a, b, out, addend, first, count } = product;
  invariant(first === undefined || out.type.dtype === "f32", "a product is added to a state of f32");
  const sizes = sizesOf(product);
  const { columns } = sizes;
  const rows = sizes.rows === undefined ? count : fixed(sizes.rows);
  const tile = fitTile(planner.matmulTile, capacityOf(rows), columns);
  launchWgsl(planner, {
    template: "matmul",
    said: saidOf(product, sizes, tile),
    tile: tileText(tile),
    operands: operandsOf(product),
    counts: [
      form === "TN"
        ? { name: "depth", count, what: "rows of a and b" }
        : { name: "rows", count, what: "rows of a and out" },
    ],
    threads: threadsOf(tile),
    numbers: {
      ...blockNumbers(form, a, b, sizes.depth),
      ...tileNumbers(tile, columns),
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
    tiles: [
      { count: rows, per: tile.rows },
      { count: fixed(columns), per: tile.columns },
    ],
    flops: 2 * capacityOf(count) * columns * (sizes.depth ?? sizes.rows ?? 0),
  });
}

function operandsOf({ a, b, out, addend, first, isPart, offsets }: Product): WgslOperand[] {
  const operands: WgslOperand[] = [
    { name: "a", tensor: a, access: "read", uses: ["load"], offset: offsets.a },
    { name: "b", tensor: b, access: "read", uses: ["load"], offset: offsets.b },
    {
      name: "out",
      tensor: out,
      access: first !== undefined ? "update" : isPart ? "part" : "write",
      uses: first !== undefined ? ["load", "store"] : ["store"],
      offset: offsets.out,
    },
  ];
  if (addend !== undefined)
    operands.push({ name: "addend", tensor: addend, access: "read", uses: ["load"], offset: offsets.out });
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
  { rows, columns, depth }: Sizes,
  tile: MatmulTile,
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
    name: `matmul_${form.toLowerCase()}_${extents}${suffix}_t${tile.rows}x${tile.columns}${narrow}`,
    summary: "The product of two matrices.",
    formula: `${formulas[form]}${added}, in ascending k`,
    source: "blocking: Goto and van de Geijn, doi:10.1145/1356052.1356053",
  };
}
