// The wgsl target in its two profiles: `gpu` for adapters that are one, with memory and barriers of workgroups; `soft` for
// adapters in software, where a barrier costs more than it saves.

import type { Skeletons, Target } from "../target.ts";
import { planAttention } from "./attention.ts";
import { planAttentionBackward } from "./attention-backward.ts";
import { planAttentionPaged } from "./attention-paged.ts";
import { planWorkingCopy } from "./convert.ts";
import { planFormula } from "./formula.ts";
import { arenaOf, rowsLayout } from "./layout.ts";

const missing = (): never => {
  throw new Error("not planned yet");
};

const skeletons: Skeletons = {
  formula: planFormula,
  matmul: missing,
  matmul_heads: missing,
  linear_cross_entropy: missing,
  attention: planAttention,
  attention_backward: planAttentionBackward,
  attention_paged: planAttentionPaged,
  gather: missing,
  scatter_add: missing,
  scatter_store: missing,
  reduce: missing,
  router: missing,
  router_backward: missing,
  expert_order: missing,
  expert_fractions: missing,
  dispatch: missing,
  combine: missing,
  combine_dots: missing,
  grouped_matmul: missing,
  grouped_wgrad: missing,
  working_copy: planWorkingCopy,
};

const common: Omit<Target, "id" | "profile"> = {
  name: "wgsl",
  skeletons,
  layoutOf: rowsLayout,
  arenaOf,
  // The size of a buffer that every adapter grants.
  pieceBytes: 2 ** 28,
  defaultTile: { rows: 64, columns: 64, depth: 16 },
};

export const gpu: Target = { ...common, id: "wgsl", profile: "gpu" };
export const soft: Target = { ...common, id: "wgsl-soft", profile: "soft" };
