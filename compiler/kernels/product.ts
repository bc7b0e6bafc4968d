// One product of two matrices, as every skeleton that multiplies asks a target for it.

import type { MatmulRequest } from "../ops/skeletons.ts";
import type { Count, PlannedTensor } from "./plan.ts";
import { type NodePlanner, rowCount } from "./planner.ts";

/** One product over tensors that are already planned; used by every skeleton that multiplies. */
export interface Product {
  readonly form: MatmulRequest["form"];
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

/** The product that a node is. */
export function productOf(planner: NodePlanner, { form, a, b, out, addend, accumulate }: MatmulRequest): Product {
  return {
    form,
    a: planner.input(a),
    b: planner.input(b),
    out: planner.output(out),
    addend: addend === undefined ? undefined : planner.input(addend),
    first: accumulate === undefined ? undefined : planner.input(accumulate.first),
    count: rowCount(planner.input(a).type),
    isPart: false,
    offsets: { a: 0, b: 0, out: 0 },
  };
}
