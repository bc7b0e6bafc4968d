// The wgsl target in its two profiles: `gpu` for adapters that are one, with memory and barriers of workgroups; `soft` for
// adapters in software, where a barrier costs more than it saves.

import type { Skeletons, Target } from "../target.ts";
import { planAttention } from "./attention.ts";
import { planAttentionBackward } from "./attention-backward.ts";
import { planAttentionPaged } from "./attention-paged.ts";
import { planWorkingCopy } from "./convert.ts";
import { planLinearCrossEntropy } from "./cross-entropy.ts";
import {
  planCombine,
  planCombineDots,
  planDispatch,
  planExpertFractions,
  planExpertOrder,
  planRouterBackward,
} from "./experts.ts";
import { planFormula } from "./formula.ts";
import { planGroupedMatmul, planGroupedWgrad } from "./grouped-matmul.ts";
import { arenaOf, rowsLayout } from "./layout.ts";
import { planMatmul } from "./matmul.ts";
import { planMatmulHeads } from "./matmul-heads.ts";
import { planGather, planScatterAdd, planScatterStore } from "./memory.ts";
import { planReduce } from "./reduce.ts";
import { planRouter } from "./router.ts";

const skeletons: Skeletons = {
  formula: planFormula,
  matmul: planMatmul,
  matmul_heads: planMatmulHeads,
  linear_cross_entropy: planLinearCrossEntropy,
  attention: planAttention,
  attention_backward: planAttentionBackward,
  attention_paged: planAttentionPaged,
  gather: planGather,
  scatter_add: planScatterAdd,
  scatter_store: planScatterStore,
  reduce: planReduce,
  router: planRouter,
  router_backward: planRouterBackward,
  expert_order: planExpertOrder,
  expert_fractions: planExpertFractions,
  dispatch: planDispatch,
  combine: planCombine,
  combine_dots: planCombineDots,
  grouped_matmul: planGroupedMatmul,
  grouped_wgrad: planGroupedWgrad,
  working_copy: planWorkingCopy,
};

const common: Omit<Target, "id" | "profile"> = {
  name: "wgsl",
  skeletons,
  layoutOf: rowsLayout,
  arenaOf,
  // The sizes of a buffer and of a binding that every adapter grants.
  pieceBytes: 2 ** 28,
  bindingBytes: 2 ** 27,
  defaultTile: { rows: 64, columns: 64, depth: 16 },
};

export const gpu: Target = { ...common, id: "wgsl", profile: "gpu" };
export const soft: Target = { ...common, id: "wgsl-soft", profile: "soft" };
