// MixtralForCausalLM: experts in every layer, whose weights are always divided by their sum. Source: transformers 5.18,
// models/mixtral.

import {
  always,
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
import { writeWindow } from "./layer-types.ts";
import { must, noWindow, onlyHalves } from "./refusals.ts";
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

const noBias = never("Mixtral's projections have no bias");

export const mixtral: ConfigFamily = {
  name: "mixtral",
  modelTypes: ["mixtral"],
  architecture: "MixtralForCausalLM",
  remoteCode: [],
  refusals: [
    onlyHalves,
    ...noWindow.filter(({ key }) => key === "layer_types"),
    must("attention_bias", false, "in transformers this model type has none"),
    must("norm_topk_prob", true, "in transformers this model type always divides the weights by their sum"),
    must("router_jitter_noise", 0, "mspec has no noise of the router", "set it to 0 if you only serve the model"),
  ],
  keys: [
    ...[...sizeKeys, ...gqaKeys, ...ropeKeys, ...expertCountKeys, ...lossKeys],
    ...["intermediate_size", "num_experts_per_tok", "sliding_window", "layer_types"],
  ],

  read(config) {
    const isWindowed = config.isGiven("sliding_window");
    return {
      ...readSizes(config, { context: 131072, eps: 1e-5 }),
      attention: readGqa(config, { bias: noBias }),
      window: isWindowed ? { size: config.whole("sliding_window"), layers: undefined } : undefined,
      rope: readRope(config, { theta: 1e6, scalings: ["llama3", "yarn"] }),
      dense: undefined,
      moe: {
        ...readExpertCounts(config),
        ...{ bias: noBias, shared: undefined, groups: undefined, scale: unscaled },
        ...{ routerBias: undefined, choiceBias: undefined },
        intermediate: config.whole("intermediate_size"),
        activation: readActivation(config),
        score: { value: "softmax", from: "of all experts, then the best are taken" },
        normalize: always("Mixtral's weights are always divided by their sum"),
      },
      denseLayers: noLayers,
      mtp: undefined,
    };
  },

  fits: (model) => isGqa(model) && hasOnlyExperts(model) && gqaOf(model).qkNorm === undefined && !gqaOf(model).sinks,

  write(model, refuse) {
    const moe = expertsOf(model);
    const { attention_bias: _none, ...attention } = writeGqa(model);
    return {
      ...writeSizes(model),
      ...attention,
      ...writeActivation(model, refuse),
      intermediate_size: moe?.intermediate,
      num_experts_per_tok: moe?.topK,
      num_local_experts: moe?.experts,
      rope_parameters: writeRope(gqaOf(model).rope),
      sliding_window: writeWindow(model, refuse),
    };
  },
};
