// The keys of a feed-forward block, dense or of experts.

import {
  blocks,
  count,
  countOrNone,
  flag,
  formula,
  type Keys,
  needed,
  only,
  optional,
  positiveFloat,
  section,
} from "./schema-keys.ts";
import type { Shape } from "./shape.ts";

/** Far more than any model has; numbers of experts stay exact in every format that kernels count with. */
const mostExperts = 2 ** 16;

const coefficient: Shape = { kind: "schedule", example: "1e-4" };

const groups = section({
  count: needed(count, "Number of groups of neighbouring experts; it divides experts.", [
    "n_group",
    "moe_router_num_groups",
  ]),
  keep: needed(count, "Groups of a token whose experts can be chosen.", ["topk_group", "moe_router_group_topk"]),
  score: needed(
    { kind: "choice", words: ["top2_sum", "max"] },
    "What ranks groups: the sum of their two best experts, or their best one.",
    ["topk_method"],
  ),
});

const losses = section({
  sequence: optional(coefficient, "Coefficient of the balance within each sequence.", undefined, [
    "aux_loss_alpha",
    "seq_aux_loss_coef",
  ]),
  batch: optional(coefficient, "Coefficient of the balance within each micro-batch.", undefined, [
    "router_aux_loss_coef",
    "moe_aux_loss_coeff",
  ]),
  z: optional(coefficient, "Coefficient of the mean of the squared log-sum-exp of logits.", undefined, [
    "router_z_loss_coef",
    "moe_z_loss_coeff",
  ]),
});

const router = section({
  score: optional(
    { kind: "formula", example: "sigmoid(logit)" },
    "What an expert is chosen and weighted by, as a formula of logit, the row of all experts' logits.",
    "softmax(logit)",
    ["scoring_func", "moe_router_score_function"],
  ),
  groups: optional(groups, "Choose among the experts of the best groups only; among all if left out."),
  normalize: optional(flag, "Divide the weights of a token's experts by their sum.", "false", ["norm_topk_prob"]),
  scale: optional(positiveFloat, "What the weights are multiplied by.", "1", [
    "routed_scaling_factor",
    "moe_router_topk_scaling_factor",
  ]),
  bias: optional(flag, "Add a trained bias to the logits.", "false", ["router_bias"]),
  bias_update: optional(
    { kind: "schedule", example: "1e-3 until 14T tokens then 0" },
    "Let a bias steer the choice, never the weights; after each step it moves by this much towards balance.",
    undefined,
    ["moe_router_bias_update_rate", "moe_router_enable_expert_bias"],
  ),
  losses: optional(
    losses,
    "Balance losses that are added to the loss; each is 1 * its coefficient at perfect balance.",
  ),
});

const experts = only("moe", {
  experts: needed({ kind: "whole", least: 1, most: mostExperts }, "Number of experts that the router chooses from.", [
    "num_experts",
    "n_routed_experts",
    "num_local_experts",
    "num_moe_experts",
  ]),
  top_k: needed(count, "Experts of a token.", ["num_experts_per_tok", "num_experts_per_token", "moe_router_topk"]),
  shared: optional(countOrNone, "Number of experts that every token goes through besides, as one block.", "0", [
    "n_shared_experts",
    "num_shared_experts",
  ]),
  shared_intermediate: optional(countOrNone, "Channels of the shared experts together.", "shared * intermediate", [
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
  ]),
  router: optional(router, "How experts are chosen and weighted."),
});

const ffn: Keys = {
  kind: needed({ kind: "choice", words: ["dense", "moe"] }, "One dense block, or experts of which a router chooses."),
  intermediate: needed(count, "Channels between the projections, of each expert.", [
    "intermediate_size",
    "ffn_hidden_size",
    "n_inner",
    "ffn_dim",
    "moe_intermediate_size",
    "moe_ffn_hidden_size",
  ]),
  activation: optional(
    formula,
    "Formula of x, or of gate and up; its free names decide which projections there are.",
    "silu(gate) * up",
    ["hidden_act", "activation_function", "hidden_activation"],
  ),
  bias: optional(flag, "Add a bias in every projection.", "false", ["mlp_bias", "add_bias_linear"]),
  ...experts,
};

/** What may stand under `model.ffn`. */
export const ffnBlocks = blocks(ffn, ["dense", "moe"], "feed-forward block");
