// Sorts the choices of all tokens by expert: where each expert's rows lie, and which choice each row is.

import { type Dim, dim, elementCount, type LiveCount, widthOf } from "../graph/types.ts";
import { always, attributesOf, exactBounds, inferBy, noGradient, type Op, standsAlone } from "./contract.ts";

export interface ExpertOrderAttributes {
  readonly experts: number;
}

/** Kernels write rows in pairs, so an expert's rows begin at an even one; what lies between is no expert's. */
const expertAlignment = 2;

/**
 * Room for all choices: every expert that has rows may need one more of padding.
 *
 * tokens · topK + min(experts, tokens · topK) rows, of those tokens that are in use.
 */
export function routedDim(tokens: Dim, topK: number, experts: number): Dim {
  const choices = tokens.size * topK;
  const size = choices + Math.min(experts, choices);
  if (tokens.live === undefined) return dim("routed", size);
  const live: LiveCount = ["*", tokens.live, topK];
  return dim("routed", size, ["+", live, ["min", experts, live]]);
}

const shapes =
  "index:i32[tokens, top_k] -> source:i32[routed], place:i32[tokens, top_k], expert:i32[routed], start:i32[experts], count:i32[experts]";

export const expertOrder: Op<ExpertOrderAttributes> = {
  name: "expert_order",
  summary: "Sorts choices by expert, in the order of the tokens; a row that is nobody's has source and expert -1.",
  formula: () =>
    "source[place[t, k]] = t · top_k + k; expert[place[t, k]] = index[t, k]; start[e] even, start[e] + count[e] <= start[e + 1]",
  source: "dropless routing: Gale et al., arXiv:2211.15841",
  shapes,
  infer: inferBy<ExpertOrderAttributes>(shapes, ({ experts }, [index]) => ({
    routed: routedDim(index.dims[0], widthOf(index), experts),
    experts: dim("experts", experts),
  })),
  ...standsAlone,
  reference: ([index], node) => {
    const { experts } = attributesOf(expertOrder, node);
    const routed = node.outputs[0].type.dims[0].size;
    const choices = Array.from(index.data.keys());
    const place = new Float64Array(index.data.length);
    const [source, expert] = [new Float64Array(routed).fill(-1), new Float64Array(routed).fill(-1)];
    const [start, count] = [new Float64Array(experts), new Float64Array(experts)];
    let row = 0;
    for (let e = 0; e < experts; e++) {
      start[e] = row;
      for (const choice of choices.filter((c) => index.data[c] === e)) {
        place[choice] = row;
        source[row] = choice;
        expert[row++] = e;
      }
      count[e] = row - start[e];
      row += row % expertAlignment;
    }
    return [source, place, expert, start, count];
  },
  bounds: exactBounds,
  gradient: noGradient("what is moved has gradients; where it moves has none"),
  flops: (node) => elementCount(node.inputs[0].type),
  recompute: "never",
  kernels: always("one thread counts, adds up and writes: the order depends on the tokens alone", (node) => ({
    skeleton: "expert_order",
    index: 0,
    source: 0,
    place: 1,
    expert: 2,
    start: 3,
    count: 4,
    experts: attributesOf(expertOrder, node).experts,
  })),
};
