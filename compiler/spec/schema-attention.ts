// The keys of an attention block, of both kinds.

import {
  blocks,
  count,
  flag,
  type Keys,
  mostContext,
  needed,
  only,
  optional,
  positive,
  positiveFloat,
  section,
} from "./schema-keys.ts";
import type { Key, Shape } from "./shape.ts";

const mscale: Shape = { kind: "real", least: 0, isFloat: true };

const factor: Key = needed({ kind: "real", least: 1 }, "How much longer the context is than the one trained first.", [
  "rope_scaling_factor",
]);

const original: Key = needed(count, "The context of the first training.", ["original_max_position_embeddings"]);

const llama3 = section({
  factor,
  low_freq_factor: needed(positive, "Wavelengths above original / this are stretched in full."),
  high_freq_factor: needed(positive, "Wavelengths below original / this are left alone."),
  original,
});

const yarn = section({
  factor,
  original,
  beta_fast: optional(positive, "Channels that turn more often than this in `original` are left alone.", "32"),
  beta_slow: optional(positive, "Channels that turn less often than this in `original` are stretched in full.", "1"),
  truncate: optional(flag, "Round the bounds between both outwards to whole channels.", "true"),
  attention_factor: optional(
    positiveFloat,
    "What cosines and sines are multiplied by; follows from factor, mscale and mscale_all_dim if left out.",
  ),
  mscale: optional(
    mscale,
    "Grows cosines and sines by 0.1 * this * log(factor) + 1; counts beside mscale_all_dim only.",
  ),
  mscale_all_dim: optional(mscale, "Grows queries and keys by 0.1 * this * log(factor) + 1 in all channels."),
});

const rope = section({
  theta: optional(positive, "Base of the rotation frequencies.", "10000", [
    "rope_theta",
    "rotary_base",
    "rotary_emb_base",
  ]),
  layout: optional(
    { kind: "choice", words: ["half", "interleaved"] },
    "Which channels turn together: the two halves of what turns, or neighbours.",
    "half",
    ["rotary_interleaved", "rope_interleave"],
  ),
  ...only("gqa", {
    dim: optional(count, "Channels of a head that turn, its first ones; even.", "head_dim", [
      "rotary_dim",
      "partial_rotary_factor",
      "rotary_percent",
    ]),
  }),
  llama3: optional(llama3, "Frequency scaling of Llama 3.1; not beside yarn."),
  yarn: optional(yarn, "Frequency scaling of YaRN; not beside llama3."),
});

const gqa = only("gqa", {
  kv_heads: optional(count, "Number of key and value heads; it divides heads.", "heads", [
    "num_key_value_heads",
    "num_query_groups",
    "n_kv_heads",
  ]),
  head_dim: optional(count, "Channels of a head; even, because rope turns pairs.", "width / heads", [
    "kv_channels",
    "d_head",
  ]),
  bias: optional(
    { kind: "choice", words: ["qkv"], isFlagToo: true },
    "Projections that add a bias: all four, those of queries, keys and values (`qkv`), or none.",
    "false",
    ["attention_bias", "qkv_bias", "add_qkv_bias"],
  ),
  qk_norm: optional(
    { kind: "choice", words: ["none", "head", "full"] },
    "Normalise queries and keys before they turn: each head with one gain for all, or the whole projection.",
    "none",
    ["use_qk_norm", "qk_layernorm"],
  ),
  sinks: optional(flag, "Give each head a learned logit that takes part in the softmax and adds nothing.", "false", [
    "attention_sinks",
    "use_sinks",
  ]),
});

const mla = only("mla", {
  q_rank: optional(
    count,
    "Channels of the latent vector that queries come from; queries are projected at once if left out.",
    undefined,
    ["q_lora_rank"],
  ),
  kv_rank: needed(count, "Channels of the latent vector that the keys and values of all heads come from.", [
    "kv_lora_rank",
  ]),
  nope_dim: needed(count, "Channels of a head's query and key that do not turn.", ["qk_nope_head_dim", "qk_head_dim"]),
  rope_dim: needed(count, "Channels of a head's query that turn, and of the one key that all heads share; even.", [
    "qk_rope_head_dim",
    "qk_pos_emb_head_dim",
  ]),
  value_dim: needed(count, "Channels of a head's value.", ["v_head_dim"]),
  norm_eps: optional(positiveFloat, "Added to the mean square of both latent vectors; eps of model.norm if left out."),
});

const attention: Keys = {
  kind: needed(
    { kind: "choice", words: ["gqa", "mla"] },
    "Grouped-query attention, or latent attention (DeepSeek-V2 and V3).",
    ["attention_type"],
  ),
  heads: needed(count, "Number of query heads.", ["num_attention_heads", "n_head", "n_heads", "num_heads"]),
  ...gqa,
  ...mla,
  window: optional(
    { kind: "whole", least: 1, most: mostContext },
    "How many keys a query sees, its own the last; no limit besides the mask if left out.",
    undefined,
    ["sliding_window", "window_size"],
  ),
  rope: optional(rope, "Rotary position embedding.", undefined, ["rope_scaling", "rope_parameters"]),
  score: optional(
    { kind: "formula", example: "30 * tanh(s / 30)" },
    "The attention score of a query and a key as a formula of s (their product / sqrt(channels of a head)), q, k and head.",
    "s",
    ["attn_logit_softcapping"],
  ),
  mask: optional(
    { kind: "formula", example: "k <= q && q - k < 4096" },
    "Which keys a query sees, as a condition on q, k, head and same_document.",
    "k <= q",
    ["attention_mask"],
  ),
};

/** What may stand under `model.attention`. */
export const attentionBlocks = blocks(attention, ["gqa", "mla"], "attention block");
