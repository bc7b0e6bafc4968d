// The keys of mixtures of experts that several families share, both ways.

import * as say from "../../source/messages/hugging-face.ts";
import type { ConfigKeys, Sourced } from "../config-keys.ts";
import type { FfnSpec, ModelSpec, MoeSpec } from "../spec.ts";

/** `num_experts` is what transformers calls it in some families and `num_local_experts` what it saves, and the other way round. */
export const expertCountKeys = ["num_experts", "num_local_experts", "n_routed_experts"] as const;

/** What training with transformers adds to its loss where it is asked to; nothing of a model's outputs. */
export const lossKeys: readonly string[] = [
  "router_aux_loss_coef",
  "output_router_logits",
  "aux_loss_alpha",
  "seq_aux",
];

export interface ExpertCounts {
  readonly experts: Sourced<number>;
  readonly topK: Sourced<number>;
}

export function readExpertCounts(config: ConfigKeys): ExpertCounts {
  const experts = config.whole(config.spelling(...expertCountKeys));
  const key = config.spelling("experts_per_token", "num_experts_per_tok");
  const topK = config.whole(key);
  if (topK.value > experts.value) {
    config.diagnostics.add(say.wrongValue(config.key(key), `at most ${experts.from}, ${experts.value}`));
  }
  return { experts, topK };
}

const isMoe = (ffn: FfnSpec): ffn is MoeSpec => ffn.kind === "moe";

/** The first layer with experts; undefined: there is none. */
export const expertsOf = ({ layers }: ModelSpec): MoeSpec | undefined => layers.map(({ ffn }) => ffn).find(isMoe);

export const hasExperts = (model: ModelSpec): boolean => expertsOf(model) !== undefined;
export const hasOnlyExperts = ({ layers }: ModelSpec): boolean => layers.every(({ ffn }) => ffn.kind === "moe");

/** Channels of the dense layers; where there are none, the key means nothing, and is left as it was. */
export function denseIntermediate({ layers }: ModelSpec): Readonly<Record<string, number>> {
  const found = layers.map(({ ffn }) => ffn).find(({ kind }) => kind === "dense");
  return found === undefined ? {} : { intermediate_size: found.intermediate };
}

/** A flag that is what the family has. */
export const always = (from: string): Sourced<true> => ({ value: true, from });
export const never = (from: string): Sourced<false> => ({ value: false, from });
/** Weights of a token's experts as they are. */
export const unscaled: Sourced<number> = { value: 1, from: "" };
export const noLayers: Sourced<readonly number[]> = { value: [], from: "" };
