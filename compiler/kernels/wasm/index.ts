// The wasm target: its skeletons, and memory that is one address space.

import { arenaOfStorage } from "../plan.ts";
import type { Skeletons, Target } from "../target.ts";
import { planAttention, planAttentionBackward, planAttentionPaged } from "./attention.ts";
import { planWorkingCopy } from "./convert.ts";
import { planLinearCrossEntropy } from "./cross-entropy.ts";
import {
  planCombine,
  planCombineDots,
  planDispatch,
  planExpertFractions,
  planExpertOrder,
  planRouter,
  planRouterBackward,
} from "./experts.ts";
import { planFormula } from "./formula.ts";
import { planGroupedMatmul, planGroupedWgrad } from "./grouped-matmul.ts";
import { rowsLayout } from "./layout.ts";
import { planMatmul } from "./matmul.ts";
import { planMatmulHeads } from "./matmul-heads.ts";
import { planGather, planReduce, planScatterAdd, planScatterStore } from "./memory.ts";

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

export const wasm: Target = {
  id: "wasm",
  name: "wasm",
  profile: undefined,
  skeletons,
  layoutOf: rowsLayout,
  arenaOf: arenaOfStorage,
  pieceBytes: Number.POSITIVE_INFINITY,
  bindingBytes: Number.POSITIVE_INFINITY,
  // Rows of a fit into L2 beside a panel of b in L1; the depth is part of the result's bits.
  defaultTile: { rows: 64, columns: 256, depth: 256 },
};
