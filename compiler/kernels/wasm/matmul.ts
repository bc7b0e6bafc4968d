// Plans products. Activations and weights are read where they lie; only a weight whose rows are the output's columns is
// transposed into panels, once per update.

import { rowsOf, widthOf } from "../../graph/types.ts";
import type { MatmulRequest } from "../../ops/skeletons.ts";
import { invariant } from "../../source/diagnostic.ts";
import { tileStep } from "../../targets/wasm/limits.ts";
import type { KernelFacts, Operand, PlannedTensor } from "../plan.ts";
import {
  capacityOf,
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type MatmulTile,
  type NodePlanner,
  none,
  type OperandFact,
  part,
  pitchBytes,
  pitchOf,
  read,
  update,
  write,
} from "../planner.ts";
import { type Product, productOf } from "../product.ts";
import type { MatmulKernel } from "./kernels.ts";
import { lineFloats } from "./layout.ts";
import { packedWeight } from "./pack.ts";
import { columnsOfA, realFormat, rowsOfA, stridesOfB, wideningOf } from "./strides.ts";

export function planMatmul(planner: NodePlanner, request: MatmulRequest): void {
  launchProduct(planner, productOf(planner, request));
}

export function launchProduct(planner: NodePlanner, product: Product): void {
  const { form, a, count, offsets, addend, first } = product;
  const b = form === "NT" ? packedWeight(planner, product.b) : product.b;
  const columns = form === "NT" ? rowsOf(product.b.type) : widthOf(product.b.type);
  const rows = form === "TN" ? widthOf(a.type) : 0;
  const depth = form === "TN" ? 0 : widthOf(a.type);
  const tile = fitTile(planner.matmulTile, columns);
  invariant(tile.rows % tileStep.rows === 0 && tile.columns % tileStep.columns === 0, "a tile of part registers");
  const kernel = matmulKernel(planner, { ...product, b }, { rows, columns, depth }, tile);
  const extra: Operand = addend !== undefined ? read(addend, offsets.out) : first !== undefined ? read(first) : none;
  const rowTiles = form === "TN" ? fixed(rows) : count;
  planner.launch({
    kernel,
    operands: [read(a, offsets.a), read(b, offsets.b), outOperand(product), extra, countOperand(count)],
    tiles: [
      { count: rowTiles, per: tile.rows },
      { count: fixed(columns), per: tile.columns },
    ],
    flops:
      2 * (form === "TN" ? rows * columns : columns * depth) * (count.kind === "fixed" ? count.value : count.capacity),
  });
}

/** Rows and contraction that are counted at run time are 0. */
function matmulKernel(
  planner: NodePlanner,
  product: Product,
  { rows, columns, depth }: MatmulTile,
  tile: MatmulTile,
): MatmulKernel {
  const { form, a, b, out, count, addend, first } = product;
  const added = addend !== undefined ? "rows" : first !== undefined ? "state" : "none";
  invariant(first === undefined || out.type.dtype === "f32", "a product is added to a state of f32");
  const formats = [a, b, out, ...(addend === undefined ? [] : [addend])].map(realFormat);
  const inScratch = formats.slice(2).includes("bf16") ? scratchTile(tile, out, addend) : undefined;
  const block = {
    rows: Math.min(tile.rows, form === "TN" ? rows : capacityOf(count)),
    depth: Math.min(tile.depth, form === "TN" ? capacityOf(count) : depth),
  };
  const sizes = [rows, columns, depth, tile.rows, tile.columns, tile.depth];
  const narrow = formats.includes("bf16") ? [...formats, block.rows, block.depth] : [];
  return planner.kernels.get<MatmulKernel>(
    ["matmul", form, ...sizes, pitchOf(a), b.layout.kind, pitchOf(b), pitchOf(out), added, ...narrow],
    () => ({
      template: "matmul",
      facts: matmulFacts(product, tile, columns, form === "TN" ? rows : depth),
      a: form === "TN" ? columnsOfA(a) : rowsOfA(a),
      b: stridesOfB(b),
      outPitch: pitchBytes(out),
      inScratch,
      ...wideningOf([a, b], form === "TN" ? "rows" : "depth", block, (inScratch?.pitch ?? 0) * tile.rows),
      addend: added,
      counted: form === "TN" ? "depth" : "rows",
      rows,
      columns,
      depth,
      tile,
    }),
  );
}

/** A tile of f32, its rows an odd number of lines apart. */
function scratchTile({ columns }: MatmulTile, out: PlannedTensor, addend = out): MatmulKernel["inScratch"] {
  const lines = columns / lineFloats;
  const pitch = (lines + 1 - (lines % 2)) * lineFloats * 4;
  return { pitch, out: realFormat(out), addend: realFormat(addend), addendPitch: pitchBytes(addend) };
}

function outOperand({ out, addend, first, isPart, offsets }: Product): Operand {
  if (first !== undefined || addend === out) return update(out);
  return isPart ? part(out, offsets.out) : write(out);
}

/** Whole panels, and no wider than the output. */
export function fitTile(tile: MatmulTile, columns: number): MatmulTile {
  const widest = Math.ceil(columns / lineFloats) * lineFloats;
  return { ...tile, columns: Math.min(tile.columns, widest) };
}

const formulas: Readonly<Record<MatmulRequest["form"], string>> = {
  NT: "out[m, n] = Σ_k a[m, k] · b[n, k]",
  NN: "out[m, n] = Σ_k a[m, k] · b[k, n]",
  TN: "out[m, n] = Σ_k a[k, m] · b[k, n]",
};

function matmulFacts(
  { form, a, b, out, addend, first }: Product,
  { rows, columns, depth }: MatmulTile,
  n: number,
  other: number,
): KernelFacts {
  const [suffix, added] =
    addend !== undefined
      ? ["_addend", " + addend"]
      : first !== undefined
        ? ["_state", " + out unless first"]
        : ["", ""];
  const extents = form === "TN" ? `m${other}n${n}` : `n${n}k${other}`;
  const extra: OperandFact =
    addend !== undefined
      ? { name: "addend", tensor: addend }
      : first !== undefined
        ? { name: "first", tensor: first }
        : { name: "-", description: "not used" };
  const operands = [{ name: "a", tensor: a }, { name: "b", tensor: b }, { name: "out", tensor: out }, extra];
  const formats = [a, b, out].map(realFormat);
  const narrow = formats.includes("bf16") ? `_${formats.join("_")}` : "";
  const said = {
    name: `matmul_${form.toLowerCase()}_${extents}${suffix}_t${rows}x${columns}x${depth}${narrow}`,
    summary: "The product of two matrices.",
    formula: `${formulas[form]}${added}, in ascending k, in blocks of ${depth}`,
    source: "blocking: Goto and van de Geijn, doi:10.1145/1356052.1356053",
  };
  const tile = `${rows} rows by ${columns} columns, contraction in blocks of ${depth}; registers hold 2 by 16`;
  return kernelFacts(said, operands, tile, counted(form === "TN" ? "rows of a and b" : "rows of a"));
}
