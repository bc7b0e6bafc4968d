// LlamaForCausalLM: dense, grouped queries. Source: transformers 5.18, models/llama.

import { fallback } from "../config-keys.ts";
import { noLayers } from "./experts.ts";
import type { ConfigFamily } from "./family.ts";
import { noWindow, onlyHalves } from "./refusals.ts";
import { readRope, ropeKeys, writeRope } from "./rope.ts";
import {
  gqaKeys,
  gqaOf,
  isDense,
  isGqa,
  readActivation,
  readGqa,
  readSizes,
  sizeKeys,
  writeActivation,
  writeGqa,
  writeSizes,
} from "./sizes.ts";

export const llama: ConfigFamily = {
  name: "llama",
  modelTypes: ["llama"],
  architecture: "LlamaForCausalLM",
  remoteCode: [],
  refusals: [...noWindow, onlyHalves],
  keys: [...sizeKeys, ...gqaKeys, ...ropeKeys, "intermediate_size", "mlp_bias", "use_sliding_window"],

  read(config) {
    return {
      ...readSizes(config, { context: 2048, eps: 1e-6 }),
      attention: readGqa(config),
      window: undefined,
      rope: readRope(config, { scalings: ["llama3", "yarn"] }),
      dense: {
        intermediate: config.whole("intermediate_size"),
        activation: readActivation(config),
        bias: config.flag("mlp_bias", fallback(false)),
      },
      moe: undefined,
      denseLayers: noLayers,
      mtp: undefined,
    };
  },

  fits: (model) => isGqa(model) && isDense(model),

  write(model, refuse) {
    const [{ attention, ffn }] = model.layers;
    if (model.width % attention.heads !== 0) {
      const what = `the width ${model.width} is not a multiple of ${attention.heads} heads`;
      refuse(what, "transformers loads no such Llama, whatever `head_dim` is", "model.width");
    }
    return {
      ...writeSizes(model),
      ...writeGqa(model),
      ...writeActivation(model, refuse),
      intermediate_size: ffn.intermediate,
      mlp_bias: ffn.bias,
      rope_parameters: writeRope(gqaOf(model).rope),
    };
  },
};
