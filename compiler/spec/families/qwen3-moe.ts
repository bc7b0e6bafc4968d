// Qwen3MoeForCausalLM: Qwen3 with experts in all layers but those of `mlp_only_layers` and `decoder_sparse_step`.
// Source: transformers 5.18, models/qwen3_moe.

import * as say from "../../source/messages/hugging-face.ts";
import { type ConfigKeys, fallback, type Sourced } from "../config-keys.ts";
import {
  denseIntermediate,
  expertCountKeys,
  expertsOf,
  hasExperts,
  lossKeys,
  never,
  noLayers,
  readExpertCounts,
  unscaled,
} from "./experts.ts";
import type { ConfigFamily } from "./family.ts";
import { writeWindow } from "./layer-types.ts";
import { perHead } from "./qwen3.ts";
import { onlyHalves } from "./refusals.ts";
import { readRope, ropeKeys, writeRope } from "./rope.ts";
import {
  everyLayer,
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

const noBias = never("Qwen3's blocks have no bias");

export const qwen3Moe: ConfigFamily = {
  name: "qwen3_moe",
  modelTypes: ["qwen3_moe"],
  architecture: "Qwen3MoeForCausalLM",
  remoteCode: [],
  refusals: [onlyHalves],
  keys: [
    ...[...sizeKeys, ...gqaKeys, ...ropeKeys, ...expertCountKeys, ...lossKeys, "intermediate_size"],
    ...["moe_intermediate_size", "num_experts_per_tok", "norm_topk_prob", "mlp_only_layers", "decoder_sparse_step"],
    // Hub configs keep the last one of Qwen2; transformers does not read it in this model type.
    ...["use_sliding_window", "sliding_window", "max_window_layers"],
  ],

  read(config) {
    const isWindowed =
      config.flag("use_sliding_window", fallback(false)).value && config.values.sliding_window !== null;
    const denseLayers = readDenseLayers(config);
    const activation = readActivation(config);
    return {
      ...readSizes(config, { context: 32768, eps: 1e-6 }),
      attention: readGqa(config, { qkNorm: perHead }),
      window: isWindowed ? { size: config.whole("sliding_window", fallback(4096)), layers: undefined } : undefined,
      rope: readRope(config, { scalings: ["llama3", "yarn"] }),
      dense:
        denseLayers.value.length === 0
          ? undefined
          : { intermediate: config.whole("intermediate_size"), activation, bias: noBias },
      moe: {
        ...readExpertCounts(config),
        ...{ activation, bias: noBias, shared: undefined, groups: undefined, scale: unscaled },
        ...{ routerBias: undefined, choiceBias: undefined },
        intermediate: config.whole("moe_intermediate_size"),
        score: { value: "softmax", from: "of all experts, then the best are taken" },
        normalize: config.flag("norm_topk_prob", fallback(false)),
      },
      denseLayers,
      mtp: undefined,
    };
  },

  fits: (model) => isGqa(model) && hasExperts(model) && gqaOf(model).qkNorm === "head",

  write(model, refuse) {
    const moe = expertsOf(model);
    const window = writeWindow(model, refuse);
    const dense = [...model.layers.keys()].filter((i) => model.layers[i].ffn.kind === "dense");
    return {
      ...writeSizes(model),
      ...writeGqa(model),
      ...writeActivation(model, refuse),
      decoder_sparse_step: 1,
      ...denseIntermediate(model),
      mlp_only_layers: dense,
      moe_intermediate_size: moe?.intermediate,
      norm_topk_prob: moe?.router.normalize,
      num_experts_per_tok: moe?.topK,
      num_local_experts: moe?.experts,
      rope_parameters: writeRope(gqaOf(model).rope),
      ...{ sliding_window: window, use_sliding_window: window !== null },
    };
  },
};

/** The layers without experts: those that are named, and those between every so many. */
function readDenseLayers(config: ConfigKeys): Sourced<readonly number[]> {
  const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  const named = config.list("mlp_only_layers", isIndex, "a list of layers", noLayers);
  const step = config.whole("decoder_sparse_step", fallback(1));
  const all = everyLayer(config);
  const isBetween = (i: number): boolean => (i + 1) % step.value > 0;
  const dense = all.filter((i) => named.value.includes(i) || isBetween(i));
  if (all.length > 0 && dense.length === all.length) {
    const key = step.value > 1 ? "decoder_sparse_step" : "mlp_only_layers";
    config.diagnostics.add(
      say.notExpressible(config.key(key), "no layer has experts", "such a model is of type qwen3: change `model_type`"),
    );
  }
  const from = [named.value.length > 0 ? named.from : [], step.value > 1 ? step.from : []].flat().join(", ");
  return { value: dense, from };
}
