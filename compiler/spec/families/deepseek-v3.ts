// DeepseekV3ForCausalLM, with which Kimi K2 shares its keys: sigmoids of the router, a bias of the choice, groups by their
// two best experts, prediction of several tokens. Source: transformers 5.18, models/deepseek_v3.

import { type ConfigKeys, fallback } from "../config-keys.ts";
import {
  deepseekKeys,
  deepseekRefusals,
  fitsDeepseek,
  readDenseLayers,
  readGroups,
  readMla,
  readShared,
  writeDeepseek,
} from "./deepseek.ts";
import { always, expertsOf, never, readExpertCounts } from "./experts.ts";
import type { ConfigFamily } from "./family.ts";
import { must } from "./refusals.ts";
import { readRope } from "./rope.ts";
import { readActivation, readSizes } from "./sizes.ts";

const noBias = never("DeepSeek's blocks have no bias");

export const deepseekV3: ConfigFamily = {
  name: "deepseek_v3",
  modelTypes: ["deepseek_v3", "kimi_k2"],
  architecture: "DeepseekV3ForCausalLM",
  remoteCode: ["Config", "Model", "ForCausalLM"].map((end) => `DeepseekV3${end}`),
  refusals: [
    ...deepseekRefusals,
    must("topk_method", "noaux_tc", "in transformers this model type has a bias of the choice"),
    must("scoring_func", "sigmoid", "in transformers this model type has sigmoid"),
  ],
  keys: [...deepseekKeys, "rope_interleave", "num_nextn_predict_layers"],

  read(config) {
    const denseLayers = readDenseLayers(config, 3);
    const activation = readActivation(config);
    return {
      ...readSizes(config, { context: 4096, eps: 1e-6 }),
      attention: readMla(config),
      window: undefined,
      rope: readRope(config, { layout: layoutOf(config), scalings: ["yarn"], hasMscale: true }),
      dense:
        denseLayers.value.length === 0
          ? undefined
          : { intermediate: config.whole("intermediate_size"), activation, bias: noBias },
      moe: {
        ...readExpertCounts(config),
        ...{ activation, bias: noBias, routerBias: undefined },
        intermediate: config.whole("moe_intermediate_size"),
        shared: readShared(config, 1),
        score: { value: "sigmoid", from: "scoring_func, which is always this one in the model type" },
        groups: readGroups(config, { value: "top2_sum", from: "topk_method: noaux_tc" }, [8, 4]),
        normalize: config.flag("norm_topk_prob", fallback(true)),
        scale: config.positive("routed_scaling_factor", fallback(2.5)),
        choiceBias: always("topk_method: noaux_tc"),
      },
      denseLayers,
      mtp: mtpOf(config),
    };
  },

  fits: (model) => fitsDeepseek(model) && expertsOf(model)?.router.hasChoiceBias === true,

  write(model, refuse) {
    return {
      ...writeDeepseek(model, refuse),
      num_nextn_predict_layers: model.mtp?.depth ?? 0,
      rope_interleave: model.layers[0].attention.rope.layout === "interleaved",
    };
  },
};

function layoutOf(config: ConfigKeys) {
  const { value, from } = config.flag("rope_interleave", fallback(true));
  return { value: value ? "interleaved" : "half", from } as const;
}

/** Left out, it is 0: transformers' default of 1 builds nothing. */
function mtpOf(config: ConfigKeys) {
  const depth = config.whole("num_nextn_predict_layers", { value: 0, from: "" }, 0);
  return depth.value === 0 ? undefined : depth;
}
