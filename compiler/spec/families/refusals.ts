// Keys of any config that mspec cannot say, whatever the family.

import type { Refusal } from "./family.ts";

const isOff = (value: unknown): boolean => value === false;
const isZero = (value: unknown): boolean => value === 0;
const ownSpec = "write a spec of your own for this model";

const noDropout: Refusal = {
  key: "attention_dropout",
  isHarmless: isZero,
  why: "mspec has no dropout",
  help: "mspec trains without dropout; set it to 0 if you only serve the model or can do without",
};

/** Of families whose layers see their whole context. */
export const noWindow: readonly Refusal[] = [
  {
    key: "sliding_window",
    isHarmless: (_value, config) => isOff(config.values.use_sliding_window),
    why: "in transformers this model type has no window, so what is meant is not clear",
    help: "delete the key if the model sees its whole context; otherwise import without it and set `window` in the spec",
  },
  {
    key: "layer_types",
    isHarmless: (value) => Array.isArray(value) && value.every((type) => type === "full_attention"),
    why: "its layers attend in different ways, and this model type has one",
    help: ownSpec,
  },
];

/** Of families that turn halves in transformers. */
export const onlyHalves: Refusal = {
  key: "rope_interleaved",
  isHarmless: isOff,
  why: "transformers turns the halves of a head in this model type",
  help: "delete the key if the weights are laid out for transformers",
};

/** A key that must have one value where it is given. */
export const must = (key: string, value: unknown, why: string, help: string = ownSpec): Refusal => ({
  key,
  isHarmless: (given) => given === value,
  why,
  help,
});

export const everywhere: readonly Refusal[] = [
  noDropout,
  {
    key: "partial_rotary_factor",
    isHarmless: (value) => value === 1,
    why: "only a part of each head turns, and transformers has no such model of this type",
    help: ownSpec,
  },
  { key: "is_encoder_decoder", isHarmless: isOff, why: "mspec has decoders only", help: ownSpec },
  { key: "add_cross_attention", isHarmless: isOff, why: "mspec has decoders only", help: ownSpec },
];

/** Keys that say nothing about what a model computes. */
export const idleKeys: readonly string[] = [
  ...["model_type", "architectures", "auto_map", "quantization_config", "transformers_version", "_name_or_path"],
  ...["bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "use_cache", "initializer_range"],
  // How a matmul of the first Llama was cut into pieces, and experts were dealt to devices; the results are the same.
  ...["pretraining_tp", "ep_size"],
];
