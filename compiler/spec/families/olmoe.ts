// OlmoeForCausalLM: experts in every layer, and a norm of the whole projection of queries and keys. Source: transformers
// 5.18, models/olmoe.

import * as say from "../../source/messages/hugging-face.ts";
import { fallback } from "../config-keys.ts";
import {
  expertCountKeys,
  expertsOf,
  hasOnlyExperts,
  lossKeys,
  never,
  noLayers,
  readExpertCounts,
  unscaled,
} from "./experts.ts";
import type { ConfigFamily } from "./family.ts";
import { noWindow, onlyHalves } from "./refusals.ts";
import { readRope, ropeKeys, writeRope } from "./rope.ts";
import {
  gqaKeys,
  gqaOf,
  isGqa,
  readActivation,
  readGqa,
  readSizes,
  sizeKeys,
  writeActivation,
  writeGqa,
  writeSizes,
} from "./sizes.ts";

export const olmoe: ConfigFamily = {
  name: "olmoe",
  modelTypes: ["olmoe"],
  architecture: "OlmoeForCausalLM",
  remoteCode: [],
  refusals: [
    onlyHalves,
    ...noWindow,
    {
      key: "clip_qkv",
      isHarmless: () => false,
      why: "queries, keys and values are clipped, and mspec has no such step",
      help: "set it to null only if the model was trained without it",
    },
  ],
  keys: [
    ...[...sizeKeys, ...gqaKeys, ...ropeKeys, ...expertCountKeys, ...lossKeys],
    ...["intermediate_size", "num_experts_per_tok", "norm_topk_prob", "clip_qkv", "use_sliding_window"],
  ],

  read(config) {
    const attention = readGqa(config, { qkNorm: { value: "full", from: "OLMoE's q_norm and k_norm" } });
    // The norm of transformers is as wide as the model, whatever `head_dim` is.
    if (config.isGiven("head_dim") && attention.headDim.value * attention.heads.value !== config.values.hidden_size) {
      config.diagnostics.add(
        say.wrongValue(config.key("head_dim"), "hidden_size / num_attention_heads, as OLMoE has it"),
      );
    }
    return {
      ...readSizes(config, { context: 4096, eps: 1e-5 }),
      attention,
      window: undefined,
      rope: readRope(config, { scalings: ["llama3", "yarn"] }),
      dense: undefined,
      moe: {
        ...readExpertCounts(config),
        ...{ shared: undefined, groups: undefined, scale: unscaled, routerBias: undefined, choiceBias: undefined },
        bias: never("OLMoE's experts have no bias"),
        intermediate: config.whole("intermediate_size"),
        activation: readActivation(config),
        score: { value: "softmax", from: "of all experts, then the best are taken" },
        normalize: config.flag("norm_topk_prob", fallback(false)),
      },
      denseLayers: noLayers,
      mtp: undefined,
    };
  },

  fits: (model) => isGqa(model) && hasOnlyExperts(model) && gqaOf(model).qkNorm === "full",

  write(model, refuse) {
    const moe = expertsOf(model);
    const { heads, headDim, rope } = gqaOf(model);
    if (heads * headDim !== model.width) {
      const what = `${heads} heads of ${headDim} channels are not the width ${model.width}`;
      refuse(what, "the norm of OLMoE's queries is as wide as the model", "model.attention.head_dim");
    }
    const { head_dim: _implied, ...attention } = writeGqa(model);
    return {
      ...writeSizes(model),
      ...attention,
      ...writeActivation(model, refuse),
      intermediate_size: moe?.intermediate,
      norm_topk_prob: moe?.router.normalize,
      num_experts: moe?.experts,
      num_experts_per_tok: moe?.topK,
      rope_parameters: writeRope(rope),
    };
  },
};
