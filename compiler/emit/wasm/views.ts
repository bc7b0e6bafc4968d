// Kernels → views of their templates. Everything is resolved here: a template has no arithmetic.

import type {
  ColumnSumKernel,
  GatherKernel,
  MatmulKernel,
  PackKernel,
  ReduceFinishKernel,
  ReducePartialKernel,
  ScatterAddKernel,
  ScatterStoreKernel,
  StoredRows,
  WasmKernel,
} from "../../kernels/wasm/kernels.ts";
import { offsetText } from "../../targets/wasm/code.ts";
import { attentionBackwardView, attentionPagedView, attentionView } from "./attention.ts";
import {
  combineDotsView,
  combineView,
  dispatchView,
  expertFractionsView,
  expertOrderView,
  groupedMatmulView,
  groupedWgradView,
  routerBackwardView,
  routerView,
} from "./experts.ts";
import { formulaView } from "./formula.ts";
import { matmulHeadsView, packHeadsView } from "./matmul-heads.ts";
import { type CopyView, copyView, productParts, rowCopyView, transposeView } from "./product.ts";

/** Name of a template and what it is rendered with. */
export interface TemplateView {
  readonly template: string;
  readonly view: object;
}

export function viewOf(kernel: WasmKernel): TemplateView {
  return {
    template: kernel.template,
    view: { name: kernel.facts.name, ...numbersOf(kernel) },
  };
}

function numbersOf(kernel: WasmKernel): object {
  switch (kernel.template) {
    case "formula":
      return formulaView(kernel);
    case "attention":
      return attentionView(kernel);
    case "attention-backward":
      return attentionBackwardView(kernel);
    case "attention-paged":
      return attentionPagedView(kernel);
    case "matmul":
      return matmulView(kernel);
    case "pack":
      return packView(kernel);
    case "column-sum":
      return columnSumView(kernel);
    case "matmul-heads":
      return matmulHeadsView(kernel);
    case "pack-heads":
      return packHeadsView(kernel);
    case "gather":
      return gatherView(kernel);
    case "scatter-add":
      return scatterAddView(kernel);
    case "scatter-store":
      return scatterStoreView(kernel);
    case "reduce-partial":
      return reducePartialView(kernel);
    case "reduce-finish":
      return reduceFinishView(kernel);
    case "router":
      return routerView(kernel);
    case "router-backward":
      return routerBackwardView(kernel);
    case "expert-order":
      return expertOrderView(kernel);
    case "expert-fractions":
      return expertFractionsView(kernel);
    case "dispatch":
      return dispatchView(kernel);
    case "combine":
      return combineView(kernel);
    case "combine-dots":
      return combineDotsView(kernel);
    case "grouped-matmul":
      return groupedMatmulView(kernel);
    case "grouped-wgrad":
      return groupedWgradView(kernel);
  }
}

/** Copies between a tile in scratch and the rows of addend and output. */
function scratchCopies({ facts, inScratch, addend, outPitch }: MatmulKernel): CopyView[] {
  if (inScratch === undefined) return [];
  const scratch = { format: "f32", pitch: inScratch.pitch } as const;
  const from = { format: inScratch.addend, pitch: inScratch.addendPitch };
  const put = copyView(`${facts.name}.put`, scratch, { format: inScratch.out, pitch: outPitch });
  return addend === "rows" ? [copyView(`${facts.name}.take`, from, scratch), put] : [put];
}

function matmulView(kernel: MatmulKernel): object {
  const { facts, a, b, tile, columns, inScratch } = kernel;
  const productName = `${facts.name}.product`;
  const { outPitch } = kernel;
  const product = productParts(productName, a, b, inScratch?.pitch ?? outPitch, kernel.widening);
  return {
    productName,
    ...product,
    panelCopies: [...product.panelCopies, ...scratchCopies(kernel)],
    usesScratch: kernel.scratch > 0,
    sumsInScratch: inScratch !== undefined,
    addendPitch: inScratch?.addendPitch ?? 0,
    addendShift: inScratch?.addend === "bf16" ? 5 : 6,
    outShift: inScratch?.out === "bf16" ? 5 : 6,
    addsRows: kernel.addend === "rows",
    addsState: kernel.addend === "state",
    countsRows: kernel.counted === "rows",
    rows: kernel.rows,
    depth: kernel.depth,
    panels: Math.ceil(columns / 16),
    columnTiles: Math.ceil(columns / tile.columns),
    tileRows: tile.rows,
    tilePanels: tile.columns / 16,
    tileDepth: tile.depth,
    outPitch,
    aRow: a.row,
    aDepth: a.depth,
    bPanel: b.panel,
    bDepth: b.depth,
  };
}

function packView({ facts, matrices, rows, depth, pitch, format, panelsPerTile }: PackKernel): object {
  const panelsPerMatrix = Math.ceil(rows / 16);
  const transposeName = `${facts.name}.transpose`;
  return {
    transposeName,
    transposes: [transposeView(transposeName, pitch * 4, format)],
    rows,
    depth,
    panels: matrices * panelsPerMatrix,
    panelsPerMatrix,
    panelsPerTile,
    pitch: pitch * 4,
    panelBytes: Math.ceil(depth / 4) * 4 * 16 * (format === "f32" ? 4 : 2),
  };
}

const columnSumView = ({ width, pitch, columnsPerTile }: ColumnSumKernel): object => ({
  width,
  pitch: pitch * 4,
  columnsPerTile,
});

const gatherView = ({ facts, width, from, to, rowsPerTile }: GatherKernel): object => ({
  rowBytes: width * (to.format === "f32" ? 4 : 2),
  tablePitch: from.pitch,
  outPitch: to.pitch,
  rowsPerTile,
  ...convertedRows(facts.name, width, from, to),
});

const scatterStoreView = ({ facts, width, from, to, rowsPerTile }: ScatterStoreKernel): object => ({
  rowBytes: width * (to.format === "f32" ? 4 : 2),
  rowsPitch: from.pitch,
  outPitch: to.pitch,
  rowsPerTile,
  ...convertedRows(facts.name, width, from, to),
});

function convertedRows(name: string, width: number, from: StoredRows, to: StoredRows): object {
  const converts = from.format !== to.format;
  return { converts, rowCopies: converts ? [rowCopyView(`${name}.row`, width, from.format, to.format)] : [] };
}

const scatterAddView = ({
  width,
  rowsPitch,
  outPitch,
  entries,
  entriesPerTile,
  accumulates,
}: ScatterAddKernel): object => ({
  vectorBytes: Math.ceil(width / 4) * 16,
  rowsPitch: rowsPitch * 4,
  outPitch: outPitch * 4,
  entries,
  entriesPerTile,
  accumulates,
});

/** Four vectors per pass into four partial sums, then single vectors, then the last lanes with zeros behind them. */
function reducePartialView({ squares, width, pitch, rowsPerTile }: ReducePartialKernel): object {
  const value = "(local.get $value)";
  const element = squares ? `(f32x4.mul ${value} ${value})` : value;
  const unit = (index: number, mask?: string) => {
    const load = `(v128.load${offsetText(16 * index)} (local.get $at))`;
    return {
      load: mask === undefined ? load : `(v128.and ${load} (v128.const i32x4 ${mask}))`,
      part: `part${index}`,
      element,
    };
  };
  const vectors = Math.floor(width / 4);
  const passes = Math.floor(vectors / 4);
  const loops: object[] = [];
  if (passes > 0)
    loops.push({ label: "passes", bytes: passes * 64, step: 64, units: [0, 1, 2, 3].map((i) => unit(i)) });
  if (vectors % 4 > 0) loops.push({ label: "single", bytes: (vectors % 4) * 16, step: 16, units: [unit(0)] });
  if (width % 4 > 0) {
    const mask = [0, 1, 2, 3].map((lane) => (lane < width % 4 ? -1 : 0)).join(" ");
    loops.push({ label: "last", bytes: 16, step: 16, units: [unit(0, mask)] });
  }
  return { pitch: pitch * 4, rowsPerTile, loops };
}

const reduceFinishView = ({ root }: ReduceFinishKernel): object => ({ root });
