// How a family's table of names is written, and the names that families share.

/**
 * How one parameter of mspec lies in a checkpoint:
 * `stack`: a tensor for every expert, `{e}` in the name, stacked along the first axis.
 * `columns`: the last axis holds the output channels of `of` parameters in turn, this one's from channel `part` on. Theirs is
 * [experts, in, of * out] and ours [experts, out, in]; a bias is [experts, of * out] and [experts, out].
 */
export type Layout =
  | { readonly kind: "stack" }
  | { readonly kind: "columns"; readonly of: number; readonly part: number };

/** `{i}` stands for the number of a layer, `{e}` for that of an expert. Without a layout both are the same tensor. */
export type NameRow = readonly [ours: string, theirs: string, layout?: Layout];

export interface FamilyNames {
  readonly rows: readonly NameRow[];
  /** What a module that predicts a further token has besides a layer's tensors; undefined: there are none. */
  readonly prediction?: readonly NameRow[];
  /** Tensors of such a module that only repeat the model's own. */
  readonly repeated?: readonly (readonly [theirs: string, ours: string])[];
}

export const stack: Layout = { kind: "stack" };

/** Rows of one block, below `layers.{i}` of both systems. */
export const inLayer = (rows: readonly NameRow[]): NameRow[] =>
  rows.map(([ours, theirs, layout]) => {
    const [left, right] = [`layers.{i}.${ours}`, `model.layers.{i}.${theirs}`] as const;
    return layout === undefined ? [left, right] : [left, right, layout];
  });

export const outside: readonly NameRow[] = [
  ["embedding.weight", "model.embed_tokens.weight"],
  ["final_norm.weight", "model.norm.weight"],
  ["head.weight", "lm_head.weight"],
];

export const norms: readonly NameRow[] = [
  ["attention.norm.weight", "input_layernorm.weight"],
  ["ffn.norm.weight", "post_attention_layernorm.weight"],
];

const projections = [
  ["q", "q_proj"],
  ["k", "k_proj"],
  ["v", "v_proj"],
  ["out", "o_proj"],
] as const;

/** Weights and biases; a model without biases has none of the latter. */
export const gqa: readonly NameRow[] = ["weight", "bias"].flatMap((kind) =>
  projections.map(([ours, theirs]): NameRow => [`attention.${ours}.${kind}`, `self_attn.${theirs}.${kind}`]),
);

export const qkNorms: readonly NameRow[] = [
  ["attention.q_norm.weight", "self_attn.q_norm.weight"],
  ["attention.k_norm.weight", "self_attn.k_norm.weight"],
];

const ffnParts = ["gate", "up", "down"] as const;

export const denseBlock: readonly NameRow[] = ["weight", "bias"].flatMap((kind) =>
  ffnParts.map((part): NameRow => [`ffn.${part}.${kind}`, `mlp.${part}_proj.${kind}`]),
);

/** Experts of Qwen, OLMoE and DeepSeek: three tensors each. */
export const experts: readonly NameRow[] = [
  ["ffn.router.weight", "mlp.gate.weight"],
  ...ffnParts.map((part): NameRow => [`ffn.experts.${part}.weight`, `mlp.experts.{e}.${part}_proj.weight`, stack]),
];

export const sharedExperts: readonly NameRow[] = ffnParts.map((part) => [
  `ffn.shared.${part}.weight`,
  `mlp.shared_experts.${part}_proj.weight`,
]);

export const latentAttention: readonly NameRow[] = [
  ["attention.q.weight", "self_attn.q_proj.weight"],
  ["attention.q_down.weight", "self_attn.q_a_proj.weight"],
  ["attention.q_norm.weight", "self_attn.q_a_layernorm.weight"],
  ["attention.q_up.weight", "self_attn.q_b_proj.weight"],
  ["attention.kv_down.weight", "self_attn.kv_a_proj_with_mqa.weight"],
  ["attention.kv_norm.weight", "self_attn.kv_a_layernorm.weight"],
  ["attention.kv_up.weight", "self_attn.kv_b_proj.weight"],
  ["attention.out.weight", "self_attn.o_proj.weight"],
];
