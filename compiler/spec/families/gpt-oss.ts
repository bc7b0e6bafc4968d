// GptOssForCausalLM: windows in every other layer, sinks, biases everywhere, experts with a clamped activation. Source:
// transformers 5.18, models/gpt_oss.

import * as say from "../../source/messages/hugging-face.ts";
import { type ConfigKeys, fallback } from "../config-keys.ts";
import {
  always,
  expertCountKeys,
  expertsOf,
  hasOnlyExperts,
  lossKeys,
  noLayers,
  readExpertCounts,
  unscaled,
} from "./experts.ts";
import type { WindowFacts } from "./facts.ts";
import type { ConfigFamily } from "./family.ts";
import { readLayerTypes, writeLayerTypes } from "./layer-types.ts";
import { must, onlyHalves } from "./refusals.ts";
import { readRope, ropeKeys, writeRope } from "./rope.ts";
import { everyLayer, gqaKeys, gqaOf, isGqa, readGqa, readSizes, sizeKeys, writeGqa, writeSizes } from "./sizes.ts";

/** Limit and slope are constants of transformers' GptOssExperts. */
const activation = "min(gate, 7) * sigmoid(1.702 * min(gate, 7)) * (clamp(up, -7, 7) + 1)";
const isFixed = "in transformers it is a constant of this model type";

export const gptOss: ConfigFamily = {
  name: "gpt_oss",
  modelTypes: ["gpt_oss"],
  architecture: "GptOssForCausalLM",
  remoteCode: [],
  refusals: [
    onlyHalves,
    must("swiglu_limit", 7, isFixed, "change the numbers of `activation` after an import without the key"),
    must("swiglu_alpha", 1.702, isFixed, "change the numbers of `activation` after an import without the key"),
    must("hidden_act", "silu", isFixed),
  ],
  keys: [
    ...[...sizeKeys, ...gqaKeys, ...ropeKeys, ...expertCountKeys, ...lossKeys],
    ...["intermediate_size", "num_experts_per_tok", "experts_per_token", "layer_types", "sliding_window"],
    // What rope's original_max_position_embeddings says.
    ...["swiglu_limit", "swiglu_alpha", "initial_context_length"],
  ],

  read(config) {
    if (!config.isGiven("rope_parameters") && !config.isGiven("rope_scaling")) {
      const key = config.key("rope_parameters");
      config.diagnostics.add(say.missing(key.path, "rope_type, rope_theta and the keys of its scaling", key.place));
    }
    return {
      ...readSizes(config, { context: 131072, eps: 1e-5 }),
      attention: readGqa(config, {
        headDim: 64,
        bias: config.flag("attention_bias", fallback(true)),
        sinks: always("gpt-oss has a sink for every head"),
      }),
      window: readWindow(config),
      rope: readRope(config, { theta: 150000, scalings: ["llama3", "yarn"] }),
      dense: undefined,
      moe: {
        ...readExpertCounts(config),
        ...{ shared: undefined, groups: undefined, scale: unscaled, choiceBias: undefined },
        bias: always("gpt-oss has biases in all experts"),
        intermediate: config.whole("intermediate_size"),
        activation: { value: activation, from: "swiglu_limit 7, alpha 1.702" },
        score: { value: "softmax", from: "of the chosen experts' logits, which is that of all over their sum" },
        normalize: always("see score"),
        routerBias: always("gpt-oss has a bias of the router"),
      },
      denseLayers: noLayers,
      mtp: undefined,
    };
  },

  fits: (model) => isGqa(model) && hasOnlyExperts(model) && gqaOf(model).sinks,

  write(model, refuse) {
    const moe = expertsOf(model);
    const { layer_types, sliding_window } = writeLayerTypes(model, refuse);
    return {
      ...writeSizes(model),
      ...writeGqa(model),
      layer_types,
      // transformers makes the mask of a window even where no layer has one, and fails without a size for it.
      sliding_window: sliding_window ?? model.context,
      hidden_act: "silu",
      intermediate_size: moe?.intermediate,
      num_experts_per_tok: moe?.topK,
      num_local_experts: moe?.experts,
      rope_parameters: writeRope(gqaOf(model).rope),
    };
  },
};

/** Where `layer_types` is left out, every other layer from the first one has a window. */
function readWindow(config: ConfigKeys): WindowFacts | undefined {
  const otherwise = fallback(everyLayer(config).filter((i) => i % 2 === 0));
  const layers = config.isGiven("layer_types") ? readLayerTypes(config) : otherwise;
  return layers.value.length === 0 ? undefined : { size: config.whole("sliding_window", fallback(128)), layers };
}
