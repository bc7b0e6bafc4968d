// Qwen3ForCausalLM: dense, with a norm of every head's queries and keys, and windows in some layers if asked for.
// Source: transformers 5.18, models/qwen3.

import * as say from "../../source/messages/hugging-face.ts";
import { type ConfigKeys, fallback } from "../config-keys.ts";
import { never, noLayers } from "./experts.ts";
import type { WindowFacts } from "./facts.ts";
import type { ConfigFamily } from "./family.ts";
import { readLayerTypes, writeLayerTypes } from "./layer-types.ts";
import { onlyHalves } from "./refusals.ts";
import { readRope, ropeKeys, writeRope } from "./rope.ts";
import {
  everyLayer,
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

export const perHead = { value: "head", from: "Qwen3's q_norm and k_norm" } as const;

export const qwen3: ConfigFamily = {
  name: "qwen3",
  modelTypes: ["qwen3"],
  architecture: "Qwen3ForCausalLM",
  remoteCode: [],
  refusals: [onlyHalves],
  keys: [
    ...[...sizeKeys, ...gqaKeys, ...ropeKeys, "intermediate_size"],
    ...["use_sliding_window", "sliding_window", "max_window_layers", "layer_types"],
  ],

  read(config) {
    return {
      ...readSizes(config, { context: 32768, eps: 1e-6 }),
      attention: readGqa(config, { headDim: 128, qkNorm: perHead }),
      window: readWindow(config),
      rope: readRope(config, { scalings: ["llama3", "yarn"] }),
      dense: {
        intermediate: config.whole("intermediate_size"),
        activation: readActivation(config),
        bias: never("Qwen3's blocks have no bias"),
      },
      moe: undefined,
      denseLayers: noLayers,
      mtp: undefined,
    };
  },

  fits: (model) => isGqa(model) && isDense(model) && gqaOf(model).qkNorm === "head",

  write(model, refuse) {
    const { sliding_window, layer_types } = writeLayerTypes(model, refuse);
    return {
      ...writeSizes(model),
      ...writeGqa(model),
      ...writeActivation(model, refuse),
      intermediate_size: model.layers[0].ffn.intermediate,
      ...{ layer_types, sliding_window, use_sliding_window: sliding_window !== null },
      rope_parameters: writeRope(gqaOf(model).rope),
    };
  },
};

/** Without `use_sliding_window` the other keys about windows mean nothing to transformers. */
function readWindow(config: ConfigKeys): WindowFacts | undefined {
  const isUsed = config.flag("use_sliding_window", fallback(false)).value && config.values.sliding_window !== null;
  const types = config.isGiven("layer_types") ? readLayerTypes(config) : undefined;
  if (!isUsed) {
    if (types !== undefined && types.value.length > 0) {
      const why = `\`use_sliding_window\` is ${JSON.stringify(config.values.use_sliding_window ?? false)}`;
      config.diagnostics.add(say.contradiction(config.key("layer_types"), why));
    }
    return undefined;
  }
  const size = config.whole("sliding_window", fallback(4096));
  if (types !== undefined) return types.value.length === 0 ? undefined : { size, layers: types };
  const first = config.whole("max_window_layers", fallback(28), 0);
  const layers = everyLayer(config).filter((i) => i >= first.value);
  return layers.length === 0 ? undefined : { size, layers: { value: layers, from: first.from } };
}
