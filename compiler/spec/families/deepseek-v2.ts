// DeepseekV2ForCausalLM, V2-Lite included: softmax of the router, groups by their best expert. Source: transformers 5.18,
// models/deepseek_v2.

import * as say from "../../source/messages/hugging-face.ts";
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
import { expertsOf, never, readExpertCounts } from "./experts.ts";
import type { GroupFacts } from "./facts.ts";
import type { ConfigFamily } from "./family.ts";
import { must } from "./refusals.ts";
import { readRope } from "./rope.ts";
import { readActivation, readSizes } from "./sizes.ts";

const noBias = never("DeepSeek's blocks have no bias");

export const deepseekV2: ConfigFamily = {
  name: "deepseek_v2",
  modelTypes: ["deepseek_v2"],
  architecture: "DeepseekV2ForCausalLM",
  remoteCode: ["Config", "Model", "ForCausalLM"].map((end) => `DeepseekV2${end}`),
  refusals: [
    ...deepseekRefusals,
    must("scoring_func", "softmax", "in transformers this model type has softmax"),
    must("norm_topk_prob", false, "DeepSeek's own code then leaves out the scale, and transformers ignores the key"),
    must("rope_interleave", true, "transformers turns neighbouring channels in this model type"),
  ],
  keys: deepseekKeys,

  read(config) {
    const denseLayers = readDenseLayers(config, 0);
    const activation = readActivation(config);
    return {
      ...readSizes(config, { context: 2048, eps: 1e-6 }),
      attention: readMla(config),
      window: undefined,
      rope: readRope(config, {
        layout: { value: "interleaved", from: "DeepSeek turns neighbouring channels" },
        scalings: ["yarn"],
        hasMscale: true,
      }),
      dense:
        denseLayers.value.length === 0
          ? undefined
          : { intermediate: config.whole("intermediate_size"), activation, bias: noBias },
      moe: {
        ...readExpertCounts(config),
        ...{ activation, bias: noBias, routerBias: undefined, choiceBias: undefined },
        intermediate: config.whole("moe_intermediate_size"),
        shared: readShared(config, 2),
        score: { value: "softmax", from: "scoring_func, which is always this one in the model type" },
        groups: readLimitedGroups(config),
        normalize: config.flag("norm_topk_prob", fallback(false)),
        scale: config.positive("routed_scaling_factor", fallback(1)),
      },
      denseLayers,
      mtp: undefined,
    };
  },

  fits: (model) => fitsDeepseek(model) && expertsOf(model)?.router.hasChoiceBias === false,

  write(model, refuse) {
    if (model.width % model.layers[0].attention.heads !== 0) {
      const what = `the width ${model.width} is not a multiple of ${model.layers[0].attention.heads} heads`;
      refuse(what, "transformers loads no such DeepSeek-V2", "model.width");
    }
    const isGrouped = expertsOf(model)?.router.groups !== undefined;
    return {
      ...writeDeepseek(model, refuse),
      mlp_bias: false,
      topk_method: isGrouped ? "group_limited_greedy" : "greedy",
    };
  },
};

/** `greedy` takes the best of all experts, whatever the keys of groups say. */
function readLimitedGroups(config: ConfigKeys): GroupFacts | undefined {
  const method = config.word("topk_method", fallback("greedy"));
  if (method.value === "group_limited_greedy") {
    return readGroups(config, { value: "max", from: "topk_method: group_limited_greedy" }, [1, 1]);
  }
  if (method.value !== "greedy" && method.value !== "") {
    const known = ["greedy", "group_limited_greedy"];
    config.diagnostics.add(say.unknownKind(config.key("topk_method"), known));
  }
  return undefined;
}
