// How the operands of a product are read: in blocks of four by four, whichever way their rows run.

import type { MatmulRequest } from "../../ops/skeletons.ts";
import { invariant } from "../../source/diagnostic.ts";
import type { PlannedTensor } from "../plan.ts";
import { pitchOf } from "../planner.ts";
import type { WgslNumbers } from "./kernels.ts";

export type Form = MatmulRequest["form"];

/** Vectors of four from row to row. */
export const pitchVectors = (tensor: PlannedTensor): number => pitchOf(tensor) / 4;

/** A contraction over rows counted at run time, with a depth of undefined, may end anywhere. */
export function blockNumbers(form: Form, a: PlannedTensor, b: PlannedTensor, depth: number | undefined): WgslNumbers {
  const isRagged = depth === undefined || depth % 4 !== 0;
  invariant(form !== "TN" || isRagged, "rows of both operands are counted at run time");
  return {
    aByRows: form !== "TN" && !isRagged,
    aByRowsRagged: form !== "TN" && isRagged,
    aByDepth: form === "TN",
    aIsByRows: form !== "TN",
    bByRows: form === "NT" && !isRagged,
    bByRowsRagged: form === "NT" && isRagged,
    bByDepth: form !== "NT" && !isRagged,
    bByDepthRagged: form !== "NT" && isRagged,
    bIsByRows: form === "NT",
    aPitch: pitchVectors(a),
    bPitch: pitchVectors(b),
  };
}

/** What of the operands' formats a kernel is called after. */
export function narrowName(tensors: readonly PlannedTensor[]): string {
  const formats = tensors.map(({ type }) => type.dtype);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
}
