// What DeepSeek-V2 and V3 have alike: latent attention, dense layers first, experts with groups and shared ones. Source:
// transformers 5.18, models/deepseek_v2 and deepseek_v3.

import * as say from "../../source/messages/hugging-face.ts";
import { type ConfigKeys, fallback, type Sourced } from "../config-keys.ts";
import type { MlaSpec, ModelSpec } from "../spec.ts";
import { denseIntermediate, expertCountKeys, expertsOf, hasExperts, lossKeys, noLayers } from "./experts.ts";
import type { GroupFacts, MlaFacts } from "./facts.ts";
import type { Refusal, Refuse } from "./family.ts";
import { must, noWindow } from "./refusals.ts";
import { ropeKeys, writeRope } from "./rope.ts";
import { everyLayer, isMla, sizeKeys, writeActivation, writeSizes } from "./sizes.ts";

export const deepseekKeys: readonly string[] = [
  ...[...sizeKeys, ...ropeKeys, ...expertCountKeys, ...lossKeys],
  ...["q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "use_sliding_window"],
  ...["intermediate_size", "moe_intermediate_size", "first_k_dense_replace", "n_shared_experts", "num_experts_per_tok"],
  ...["n_group", "topk_group", "norm_topk_prob", "routed_scaling_factor", "topk_method", "scoring_func"],
  // transformers computes both itself, and the first one means another thing in its other models.
  ...["head_dim", "qk_head_dim"],
];

export const deepseekRefusals: readonly Refusal[] = [
  ...noWindow,
  must("attention_bias", false, "mspec's latent attention has no biases"),
  must("mlp_bias", false, "transformers reads it for none of the blocks of this model type"),
  must("moe_layer_freq", 1, "transformers has experts in every layer behind the first dense ones"),
];

/** transformers builds the norms of both latent vectors without `rms_norm_eps`, as DeepSeek's own code does. */
const latentEps: Sourced<number> = { value: 1e-6, from: "of DeepSeek's latent norms, whatever rms_norm_eps is" };

export function readMla(config: ConfigKeys): MlaFacts {
  const heads = config.whole("num_attention_heads");
  const kvHeads = config.whole("num_key_value_heads", heads);
  if (kvHeads.value !== heads.value && !Number.isNaN(kvHeads.value - heads.value)) {
    const wanted = `num_attention_heads, ${heads.value}: every head has keys of its own`;
    config.diagnostics.add(say.wrongValue(config.key("num_key_value_heads"), wanted));
  }
  const ropeDim = config.whole("qk_rope_head_dim");
  if (ropeDim.value % 2 === 1) {
    config.diagnostics.add(say.wrongValue(config.key("qk_rope_head_dim"), "an even number, whose pairs can turn"));
  }
  // Left out means 1536 to transformers, and null means that there is none; the second is what most take the first for.
  const isDirect = Object.hasOwn(config.values, "q_lora_rank") && !config.isGiven("q_lora_rank");
  return {
    kind: "mla",
    ...{ heads, ropeDim },
    qRank: isDirect ? undefined : config.whole("q_lora_rank"),
    kvRank: config.whole("kv_lora_rank"),
    nopeDim: config.whole("qk_nope_head_dim"),
    valueDim: config.whole("v_head_dim"),
    normEps: latentEps,
  };
}

/** How many layers are dense before those with experts. */
export function readDenseLayers(config: ConfigKeys, otherwise: number): Sourced<readonly number[]> {
  const first = config.whole("first_k_dense_replace", fallback(otherwise), 0);
  const dense = everyLayer(config).filter((i) => i < first.value);
  return dense.length === 0 ? noLayers : { value: dense, from: first.from };
}

export function readShared(config: ConfigKeys, otherwise: number): Sourced<number> | undefined {
  const isNull = Object.hasOwn(config.values, "n_shared_experts") && !config.isGiven("n_shared_experts");
  const shared = config.whole("n_shared_experts", fallback(otherwise), 0);
  return isNull || shared.value === 0 ? undefined : shared;
}

/** Groups of experts; undefined where there is one group only, which keeps nothing out. */
export function readGroups(config: ConfigKeys, score: GroupFacts["score"], defaults: readonly [number, number]) {
  const [count, keep] = [
    config.whole("n_group", fallback(defaults[0])),
    config.whole("topk_group", fallback(defaults[1])),
  ];
  const experts = Number(config.values.n_routed_experts);
  if (experts % count.value !== 0 && !Number.isNaN(experts % count.value)) {
    config.diagnostics.add(say.wrongValue(config.key("n_group"), `a divisor of n_routed_experts, ${experts}`));
  }
  if (keep.value > count.value) {
    config.diagnostics.add(say.wrongValue(config.key("topk_group"), `at most n_group, ${count.value}`));
  }
  return count.value === 1 ? undefined : { count, keep, score };
}

/** Latent attention and experts; the layers before those with experts are dense. */
export const fitsDeepseek = (model: ModelSpec): boolean => isMla(model) && hasExperts(model);

function mlaOf({ layers: [{ attention }] }: ModelSpec): MlaSpec {
  if (attention.kind !== "mla") throw new RangeError("the family was asked whether it fits");
  return attention;
}

export function writeDeepseek(model: ModelSpec, refuse: Refuse): Readonly<Record<string, unknown>> {
  const moe = expertsOf(model);
  const { heads, qRank, kvRank, nopeDim, ropeDim, valueDim, rope } = mlaOf(model);
  const shared = (moe?.sharedIntermediate ?? 0) / (moe?.intermediate ?? 1);
  if (!Number.isSafeInteger(shared) || shared === 0) {
    const what = `the shared block has ${moe?.sharedIntermediate} channels`;
    refuse(what, `theirs are a multiple of an expert's, ${moe?.intermediate}`, "model.ffn");
  }
  return {
    ...writeSizes(model),
    ...writeActivation(model, refuse),
    attention_bias: false,
    first_k_dense_replace: model.layers.findIndex(({ ffn }) => ffn.kind === "moe"),
    head_dim: ropeDim,
    ...denseIntermediate(model),
    kv_lora_rank: kvRank,
    moe_intermediate_size: moe?.intermediate,
    n_group: moe?.router.groups?.count ?? 1,
    n_routed_experts: moe?.experts,
    n_shared_experts: shared,
    norm_topk_prob: moe?.router.normalize,
    num_experts_per_tok: moe?.topK,
    num_key_value_heads: heads,
    q_lora_rank: qRank ?? null,
    qk_head_dim: nopeDim + ropeDim,
    qk_nope_head_dim: nopeDim,
    qk_rope_head_dim: ropeDim,
    rope_parameters: writeRope(rope),
    routed_scaling_factor: moe?.router.scale,
    topk_group: moe?.router.groups?.keep ?? 1,
    v_head_dim: valueDim,
  };
}
