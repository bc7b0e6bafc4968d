// The parameters that a model of a config.json has, by mspec's names: written down from the layers of the papers, apart from
// the code that imports them.

import type { WantedParameter } from "../../runtime/files/hugging-face.ts";

/** A config.json of either spelling. */
export type Config = Readonly<Record<string, unknown>>;

const number = (config: Config, ...keys: readonly string[]): number =>
  Number(keys.map((key) => config[key]).find((value) => value !== undefined && value !== null) ?? Number.NaN);

type Row = readonly [name: string, ...dims: number[]];

const named = (prefix: string, rows: readonly Row[]): WantedParameter[] =>
  rows.map(([name, ...dims]) => ({ name: `${prefix}${name}`, dims }));

function queriesAndKeys(config: Config): Row[] {
  const width = number(config, "hidden_size");
  const [heads, groups] = [number(config, "num_attention_heads"), number(config, "num_key_value_heads")];
  const dim = number({ ...config, otherwise: width / heads }, "head_dim", "otherwise");
  const [queries, keys] = [heads * dim, groups * dim];
  const type = config.model_type;
  const norms: Row[] = [
    ["q_norm.weight", type === "olmoe" ? queries : dim],
    ["k_norm.weight", type === "olmoe" ? keys : dim],
  ];
  const biases: Row[] = [
    ["q.bias", queries],
    ["k.bias", keys],
    ["v.bias", keys],
    ["out.bias", width],
  ];
  return [
    ["norm.weight", width],
    ["q.weight", queries, width],
    ["k.weight", keys, width],
    ["v.weight", keys, width],
    ["out.weight", width, queries],
    ...(["qwen3", "qwen3_moe", "olmoe"].includes(String(type)) ? norms : []),
    ...(config.attention_bias === true ? biases : []),
    ...(type === "gpt_oss" ? [["core.sinks", heads] as const] : []),
  ];
}

function latent(config: Config): Row[] {
  const [width, heads] = [number(config, "hidden_size"), number(config, "num_attention_heads")];
  const [nope, rope, value] = ["qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"].map((key) => number(config, key));
  const kv = number(config, "kv_lora_rank");
  const rank = number(config, "q_lora_rank");
  const queries: Row[] = Number.isNaN(rank)
    ? [["q.weight", heads * (nope + rope), width]]
    : [
        ["q_down.weight", rank, width],
        ["q_norm.weight", rank],
        ["q_up.weight", heads * (nope + rope), rank],
      ];
  return [
    ["norm.weight", width],
    ...queries,
    ["kv_down.weight", kv + rope, width],
    ["kv_norm.weight", kv],
    ["kv_up.weight", heads * (nope + value), kv],
    ["out.weight", width, heads * value],
  ];
}

const block = (prefix: string, width: number, inner: number, experts: readonly number[] = []): Row[] => [
  [`${prefix}gate.weight`, ...experts, inner, width],
  [`${prefix}up.weight`, ...experts, inner, width],
  [`${prefix}down.weight`, ...experts, width, inner],
];

function feedForward(config: Config, layer: number): Row[] {
  const [width, inner] = [number(config, "hidden_size"), number(config, "intermediate_size")];
  const count = number(config, "n_routed_experts", "num_local_experts", "num_experts");
  const dense = number({ ...config, none: 0 }, "first_k_dense_replace", "none");
  const norm: Row = ["norm.weight", width];
  if (Number.isNaN(count) || layer < dense) return [norm, ...block("", width, inner)];
  const expert = number(config, "moe_intermediate_size", "intermediate_size");
  const shared = number({ ...config, none: 0 }, "n_shared_experts", "none") * expert;
  const biases: Row[] = [
    ["router.bias", count],
    ["experts.gate.bias", count, expert],
    ["experts.up.bias", count, expert],
    ["experts.down.bias", count, width],
  ];
  return [
    norm,
    ["router.weight", count, width],
    ...(config.model_type === "deepseek_v3" ? [["router.choice_bias", count] as const] : []),
    ...block("experts.", width, expert, [count]),
    ...(shared > 0 ? block("shared.", width, shared) : []),
    ...(config.model_type === "gpt_oss" ? biases : []),
  ];
}

export function parametersOfConfig(config: Config): WantedParameter[] {
  const [vocab, width, layers] = ["vocab_size", "hidden_size", "num_hidden_layers"].map((key) => number(config, key));
  const attention = config.kv_lora_rank === undefined ? queriesAndKeys(config) : latent(config);
  const layer = (prefix: string, i: number) => [
    ...named(`${prefix}.attention.`, attention),
    ...named(`${prefix}.ffn.`, feedForward(config, i)),
  ];
  const depth = number({ ...config, none: 0 }, "num_nextn_predict_layers", "none");
  const prediction: Row[] = [
    ["embedding_norm.weight", width],
    ["hidden_norm.weight", width],
    ["projection.weight", width, 2 * width],
    ["final_norm.weight", width],
  ];
  return [
    ...named("", [["embedding.weight", vocab, width]]),
    ...Array.from({ length: layers }, (_, i) => layer(`layers.${i}`, i)).flat(),
    ...named("", [["final_norm.weight", width]]),
    ...(config.tie_word_embeddings === true ? [] : named("", [["head.weight", vocab, width]])),
    ...Array.from({ length: depth }, (_, i) => [
      ...named(`mtp.${i}.`, prediction),
      ...layer(`mtp.${i}`, layers + i),
    ]).flat(),
  ];
}
