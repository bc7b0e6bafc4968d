// Kernels of the way to the experts and back → views of their templates. Sizes are in bytes from here on.

import type {
  CombineDotsKernel,
  CombineKernel,
  DispatchKernel,
  ExpertFractionsKernel,
  ExpertOrderKernel,
  GroupedMatmulKernel,
  GroupedWgradKernel,
  RouterBackwardKernel,
  RouterKernel,
} from "../../kernels/wasm/kernels.ts";
import { normalizeFloor } from "../../ops/expert-choice.ts";
import { commentText } from "../comment.ts";
import { formulaView } from "./formula.ts";
import { productParts, productView } from "./product.ts";

/** A number as WAT reads it back: the shortest text of the f32. */
const f32Text = (value: number): string => String(Math.fround(value));

const panelsOf = (columns: number): number => Math.ceil(columns / 16);

export function routerView(kernel: RouterKernel): object {
  const { facts, product, experts, groups, normalize, scale } = kernel;
  const { name } = facts;
  // Routers that share a name by accident are told apart by another one, and so are their functions.
  const score = { ...kernel.score, facts: { ...kernel.score.facts, name: `${name}.score` } };
  const { constants, usesScratch: _usesScratch, ...scoreView } = formulaView(score);
  const productName = `${name}.product`;
  const outPitch = product.outPitch * 4;
  const [formula] = facts.formula.split("; index");
  return {
    constants,
    products: [productView(productName, product.a, product.b, outPitch)],
    scores: [{ ...scoreView, isExported: false, constants }],
    scoreName: score.facts.name,
    scoreText: commentText(formula),
    productName,
    aRow: product.a.row,
    outPitch,
    panels: panelsOf(experts),
    width: kernel.width,
    depthPerBlock: kernel.depthPerBlock,
    rowsPerTile: kernel.rowsPerTile,
    expertBytes: experts * 4,
    choiceBytes: kernel.topK * 4,
    scoresPitch: kernel.scoresPitch * 4,
    choicePitch: kernel.choicePitch * 4,
    keysOffset: kernel.keysOffset,
    groupKeysOffset: kernel.groupKeysOffset,
    hasBias: kernel.hasBias,
    hasChoiceBias: kernel.hasChoiceBias,
    hasGroups: groups !== undefined,
    isTop2Sum: groups?.isTop2Sum ?? false,
    groupText: groups?.isTop2Sum ? "the sum of its two greatest" : "its greatest",
    keep: groups?.keep ?? 0,
    groupsBytes: (groups?.count ?? 0) * 4,
    groupBytes: groups === undefined ? 0 : (experts / groups.count) * 4,
    normalize,
    changesWeights: normalize || scale !== 1,
    scale: f32Text(scale),
    floor: f32Text(normalizeFloor),
  };
}

export const routerBackwardView = (kernel: RouterBackwardKernel): object => ({
  rowsPerTile: kernel.rowsPerTile,
  choiceBytes: kernel.topK * 4,
  choicePitch: kernel.choicePitch * 4,
  scoresPitch: kernel.scoresPitch * 4,
  normalize: kernel.normalize,
  scale: f32Text(kernel.scale),
  floor: f32Text(normalizeFloor),
});

export const expertOrderView = ({ experts, topK, choicePitch }: ExpertOrderKernel): object => ({
  expertBytes: experts * 4,
  topK,
  choiceBytes: topK * 4,
  choicePitch: choicePitch * 4,
});

export const expertFractionsView = ({ experts, topK, rows, pitch }: ExpertFractionsKernel): object => ({
  expertBytes: experts * 4,
  topK,
  rows,
  pitch: pitch * 4,
  countsOffset: Math.ceil(experts / 4) * 16,
  share: f32Text(experts / (topK * rows)),
});

export const dispatchView = (kernel: DispatchKernel): object => ({
  rowBytes: kernel.rowBytes,
  topK: kernel.topK,
  isWeighted: kernel.isWeighted,
  choicePitch: kernel.choicePitch * 4,
  xPitch: kernel.xPitch,
  rowsPitch: kernel.rowsPitch,
  rowsPerTile: kernel.rowsPerTile,
});

export const combineView = (kernel: CombineKernel): object => ({
  rowBytes: kernel.width * 4,
  topK: kernel.topK,
  choiceBytes: kernel.topK * 4,
  isWeighted: kernel.isWeighted,
  addsRows: kernel.addsRows,
  choicePitch: kernel.choicePitch * 4,
  rowsPitch: kernel.rowsPitch * 4,
  yPitch: kernel.yPitch * 4,
  rowsPerTile: kernel.rowsPerTile,
});

export function combineDotsView(kernel: CombineDotsKernel): object {
  const { width } = kernel;
  const inLast = ((width - 1) % 4) + 1;
  return {
    rowBytes: width * 4,
    lastLane: (Math.ceil(width / 4) - 1) * 16,
    lastMask: [0, 1, 2, 3].map((lane) => (lane < inLast ? -1 : 0)).join(" "),
    choiceBytes: kernel.topK * 4,
    choicePitch: kernel.choicePitch * 4,
    rowsPitch: kernel.rowsPitch * 4,
    dYPitch: kernel.dYPitch * 4,
    rowsPerTile: kernel.rowsPerTile,
  };
}

export function groupedMatmulView(kernel: GroupedMatmulKernel): object {
  const { facts, a, b, tile, columns, experts } = kernel;
  const productName = `${facts.name}.product`;
  const outPitch = kernel.outPitch * 4;
  return {
    productName,
    ...productParts(productName, a, b, outPitch, kernel.widening),
    usesScratch: kernel.scratch > 0,
    experts,
    lastExpert: (experts - 1) * 4,
    expertBytes: kernel.expertBytes,
    depth: kernel.depth,
    panels: panelsOf(columns),
    columnTiles: Math.ceil(columns / tile.columns),
    tileRows: tile.rows,
    tileRowsLess1: tile.rows - 1,
    tilePanels: tile.columns / 16,
    tileDepth: tile.depth,
    outPitch,
    aRow: a.row,
    aDepth: a.depth,
    bPanel: b.panel,
    bDepth: b.depth,
  };
}

export function groupedWgradView(kernel: GroupedWgradKernel): object {
  const { facts, a, b, tile, rows, columns } = kernel;
  const productName = `${facts.name}.product`;
  const outPitch = kernel.outPitch * 4;
  return {
    productName,
    ...productParts(productName, a, b, outPitch, kernel.widening),
    accumulates: kernel.accumulates,
    rows,
    panels: panelsOf(columns),
    rowTiles: Math.ceil(rows / tile.rows),
    columnTiles: Math.ceil(columns / tile.columns),
    tileRows: tile.rows,
    tilePanels: tile.columns / 16,
    tileDepth: tile.depth,
    outPitch,
    aDepth: a.depth,
    aShift: Math.log2(a.row),
    bShift: Math.log2(b.panel),
    bDepth: b.depth,
  };
}
