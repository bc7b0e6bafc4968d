// Kernels of products per head → views of their templates, in bytes.

import type { MatmulHeadsKernel, PackHeadsKernel } from "../../kernels/wasm/kernels.ts";
import { productView, transposeView } from "./product.ts";

export function matmulHeadsView(kernel: MatmulHeadsKernel): object {
  const { facts, a, b, out, columns, copied } = kernel;
  const productName = `${facts.name}.product`;
  const scratchPitch = kernel.scratchPitch * 4;
  return {
    productName,
    products: [productView(productName, { row: a.pitch * 4, depth: 4 }, b, scratchPitch)],
    heads: kernel.heads,
    tileRows: kernel.tileRows,
    depth: kernel.depth,
    panels: Math.ceil(columns / 16),
    columnBytes: columns * 4,
    aPitch: a.pitch * 4,
    aStart: a.start * 4,
    aStep: a.step * 4,
    bStart: b.start,
    bStep: b.step,
    outPitch: out.pitch * 4,
    outStart: out.start * 4,
    outStep: out.step * 4,
    scratchPitch,
    copies: copied !== undefined,
    copyFrom: (copied?.from ?? 0) * 4,
    copyTo: (copied?.to ?? 0) * 4,
    copyBytes: (copied?.size ?? 0) * 4,
  };
}

export function packHeadsView({ facts, first, step, rows, depth, pitch, format }: PackHeadsKernel): object {
  const transposeName = `${facts.name}.transpose`;
  const panelBytes = Math.ceil(depth / 4) * 4 * 16 * (format === "f32" ? 4 : 2);
  return {
    transposeName,
    transposes: [transposeView(transposeName, pitch * 4, format)],
    rows,
    depth,
    panelBytes,
    firstBytes: first * pitch * 4,
    stepBytes: step * pitch * 4,
    headBytes: Math.ceil(rows / 16) * panelBytes,
    sourceBytes: 16 * pitch * 4,
  };
}
