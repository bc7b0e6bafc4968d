// How often each expert is among the greatest scores: one half of the balance loss, without a gradient.

import { elementCount, widthOf } from "../graph/types.ts";
import { always, attributesOf, inferBy, type Op, standsAlone, stopGradient } from "./contract.ts";
import { chooseExperts } from "./expert-choice.ts";

export interface ExpertFractionsAttributes {
  readonly topK: number;
  /** Rows that are counted together, such as those of a sequence; they divide the rows. */
  readonly rows: number;
}

const shapes = "scores[tokens, experts] -> fractions[tokens, experts]";

export const expertFractions: Op<ExpertFractionsAttributes> = {
  name: "expert_fractions",
  summary: "Each expert's share of the choices of a sequence, times the number of experts: 1 for all at balance.",
  formula: (node) => {
    const { topK, rows } = attributesOf(expertFractions, node);
    return `fractions[t, e] = experts / (${topK} · ${rows}) · Σ 1[e among the ${topK} greatest scores of a row] over the ${rows} rows with t`;
  },
  source: "f of the sequence-wise balance loss, DeepSeek-V3, arXiv:2412.19437, equation 18",
  shapes,
  infer: inferBy(shapes),
  ...standsAlone,
  reference: ([scores], node) => {
    const { topK, rows } = attributesOf(expertFractions, node);
    const experts = widthOf(scores.type);
    const fractions = new Float64Array(scores.data.length);
    const rules = { topK, groups: undefined, normalize: false, scale: 1 };
    for (let first = 0; first < scores.data.length; first += rows * experts) {
      const counts = new Float64Array(experts);
      for (let row = 0; row < rows; row++) {
        const at = first + row * experts;
        for (const e of chooseExperts(scores.data.subarray(at, at + experts), undefined, rules).chosen) counts[e]++;
      }
      const share = counts.map((count) => (count * experts) / (topK * rows));
      for (let row = 0; row < rows; row++) fractions.set(share, first + row * experts);
    }
    return [fractions];
  },
  bounds: ([scores], node) => {
    const { topK, rows } = attributesOf(expertFractions, node);
    // One rounding of a ratio of whole numbers.
    return [new Float64Array(scores.data.length).fill((2 ** -24 * widthOf(scores.type)) / Math.min(topK, topK * rows))];
  },
  gradient: stopGradient("how often an expert is chosen counts as a constant, as in the paper"),
  flops: (node) => elementCount(node.inputs[0].type),
  recompute: "never",
  kernels: always("a tile counts the rows of one sequence", (node) => ({
    skeleton: "expert_fractions",
    ...attributesOf(expertFractions, node),
    scores: 0,
    fractions: 0,
  })),
};
