// `layer_types` and `sliding_window`: which layers see only the last tokens, both ways.

import * as say from "../../source/messages/hugging-face.ts";
import type { ConfigKeys, Sourced } from "../config-keys.ts";
import type { ModelSpec } from "../spec.ts";
import type { Refuse } from "./family.ts";

const full = "full_attention";
const sliding = "sliding_attention";

/** The layers with a window, ascending. */
export function readLayerTypes(config: ConfigKeys): Sourced<readonly number[]> {
  const isType = (value: unknown): value is string => value === full || value === sliding;
  const none = { value: [], from: "layer_types" };
  const types = config.list("layer_types", isType, `a list of "${full}" and "${sliding}"`, none);
  const numLayers = config.values.num_hidden_layers;
  if (types.value.length > 0 && typeof numLayers === "number" && types.value.length !== numLayers) {
    config.diagnostics.add(say.wrongValue(config.key("layer_types"), `as long as num_hidden_layers, ${numLayers}`));
  }
  return { value: [...types.value.keys()].filter((i) => types.value[i] === sliding), from: types.from };
}

interface LayerTypes {
  readonly layer_types: readonly string[];
  readonly sliding_window: number | null;
}

export function writeLayerTypes({ layers }: ModelSpec, refuse: Refuse): LayerTypes {
  const windows = layers.map(({ attention }) => attention.window);
  const sizes = [...new Set(windows.filter((window) => window !== undefined))];
  if (sizes.length > 1) {
    refuse(`windows are ${sizes.join(" and ")} tokens`, "theirs are all of one size", "model.attention");
  }
  return {
    layer_types: windows.map((window) => (window === undefined ? full : sliding)),
    sliding_window: sizes[0] ?? null,
  };
}

/** Of families in which one key is for all layers. */
export function writeWindow(model: ModelSpec, refuse: Refuse): number | null {
  const { layer_types, sliding_window } = writeLayerTypes(model, refuse);
  if (new Set(layer_types).size > 1) {
    refuse("some layers have a window", "theirs have it in all layers or in none", "model.attention");
  }
  return sliding_window;
}
