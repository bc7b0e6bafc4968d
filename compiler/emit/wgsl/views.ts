// Kernels → views of their templates. Everything is resolved here: a template has no arithmetic.

import type { WgslKernel } from "../../kernels/wgsl/kernels.ts";
import { headVectorsView, pairsView } from "./attention.ts";
import { declarationsView } from "./declarations.ts";
import { rowsView } from "./formula.ts";

/** Name of a template and what it is rendered with. */
export interface TemplateView {
  readonly template: string;
  readonly view: object;
}

export function viewOf(kernel: WgslKernel, usesSubgroups = false): TemplateView {
  return {
    template: kernel.template,
    view: { ...declarationsView(kernel, usesSubgroups), ...kernel.numbers, ...formulasView(kernel) },
  };
}

function formulasView(kernel: WgslKernel): object {
  const { formulas } = kernel;
  switch (formulas.kind) {
    case "none":
      return {};
    case "rows":
      return rowsView(kernel, formulas.rows);
    case "pairs":
      return pairsView(formulas.pairs);
    case "heads":
      return headVectorsView(formulas.vectors);
    case "functions":
      return {};
  }
}
