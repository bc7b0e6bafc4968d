// config.json of a Llama in both spellings of transformers → the facts of a dense model. What mspec's language cannot say
// is an error with the key, its value and the way out: a wrong number would only show as bad text.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/hugging-face.ts";
import type { SourceText } from "../source/text.ts";
import { ConfigKeys, isRecord, type Sourced } from "./config-keys.ts";
import { activationFormulas } from "./hugging-face-activations.ts";
import { mostLayers } from "./schema.ts";

export interface Llama3Facts {
  readonly factor: Sourced<number>;
  readonly lowFreqFactor: Sourced<number>;
  readonly highFreqFactor: Sourced<number>;
  readonly original: Sourced<number>;
}

/** A dense model as its config describes it. */
export interface ConfigFacts {
  readonly vocab: Sourced<number>;
  readonly context: Sourced<number>;
  readonly width: Sourced<number>;
  readonly layers: Sourced<number>;
  readonly tied: Sourced<boolean>;
  readonly eps: Sourced<number>;
  readonly heads: Sourced<number>;
  readonly kvHeads: Sourced<number>;
  readonly headDim: Sourced<number>;
  readonly theta: Sourced<number>;
  readonly llama3: Llama3Facts | undefined;
  readonly intermediate: Sourced<number>;
  /** A name of `activationFormulas`. */
  readonly activation: Sourced<string>;
  readonly initializerRange: Sourced<number>;
  /** Keys with a value that neither mspec nor, in such a model, transformers reads. */
  readonly unread: readonly string[];
}

/** What transformers' LlamaConfig has where a key is left out. */
const fallback = <T>(value: T): Sourced<T> => ({ value, from: "left out in config.json: transformers' default" });

/** The facts of a config; undefined if anything of it is refused, which is added to the diagnostics. */
export function readConfig(source: SourceText, diagnostics: Diagnostics): ConfigFacts | undefined {
  const config = parseConfig(source, diagnostics);
  if (config === undefined || !isLlama(config)) return undefined;
  refuseWhatCannotBeSaid(config);
  const facts = { ...sizes(config), ...heads(config), ...rope(config), unread: unreadKeys(config) };
  if (diagnostics.hasErrors) return undefined;
  // Each key that is undefined was told of as missing or wrong, so from here on all are there.
  const complete = facts as ConfigFacts;
  checkSizes(config, complete);
  return diagnostics.hasErrors ? undefined : complete;
}

function parseConfig(source: SourceText, diagnostics: Diagnostics): ConfigKeys | undefined {
  const place = { source, span: { start: 0, end: 0 } };
  try {
    const values: unknown = JSON.parse(source.text);
    if (isRecord(values)) return new ConfigKeys(source, values, diagnostics);
    diagnostics.add(say.notJson("it is no object of keys and values", place));
  } catch (error) {
    diagnostics.add(say.notJson(error instanceof Error ? error.message : String(error), place));
  }
  return undefined;
}

const modelType = "llama";
const architecture = "LlamaForCausalLM";

/** Whose model it is decides what its other keys mean, so nothing else is told of an unknown one. */
function isLlama(config: ConfigKeys): boolean {
  const { diagnostics, values } = config;
  const type = config.word("model_type");
  if (type !== undefined && type.value !== modelType) {
    diagnostics.add(say.unknownKind(config.key("model_type"), [modelType]));
  }
  const { architectures } = values;
  const isKnown = Array.isArray(architectures) && architectures.length === 1 && architectures[0] === architecture;
  if (config.isGiven("architectures") && !isKnown) {
    diagnostics.add(say.unknownKind(config.key("architectures"), [JSON.stringify([architecture])]));
  }
  return !diagnostics.hasErrors;
}

interface Refusal {
  readonly key: string;
  readonly isHarmless: (value: unknown, config: ConfigKeys) => boolean;
  readonly why: string;
  readonly help: string;
}

const isOff = (value: unknown): boolean => value === false;
const isZero = (value: unknown): boolean => value === 0;
const never = (): boolean => false;
const noBias = "its projections have biases, and mspec's have none";
const trainWithout = "mspec trains without dropout; set it to 0 if you only serve the model or can do without";
const ownSpec = "write a spec of your own for this model";

const refusals: readonly Refusal[] = [
  { key: "attention_bias", isHarmless: isOff, why: noBias, help: ownSpec },
  { key: "mlp_bias", isHarmless: isOff, why: noBias, help: ownSpec },
  { key: "attention_dropout", isHarmless: isZero, why: "mspec has no dropout", help: trainWithout },
  {
    key: "sliding_window",
    isHarmless: (_value, config) => isOff(config.values.use_sliding_window),
    why: "in transformers this model type has no window, so what is meant is not clear",
    help: "delete the key if the model sees its whole context; otherwise import without it and set `mask: k <= q && q - k < window`",
  },
  {
    key: "layer_types",
    isHarmless: (value) => Array.isArray(value) && value.every((type) => type === "full_attention"),
    why: "its layers attend in different ways, and this model type has one",
    help: ownSpec,
  },
  {
    key: "quantization_config",
    isHarmless: never,
    why: "its weights are quantised, and mspec reads F32, BF16 and F16",
    help: "fetch the checkpoint that it was quantised from",
  },
  {
    key: "auto_map",
    isHarmless: never,
    why: "the model is defined by code of its own, which mspec never runs",
    help: "delete the key if the code is transformers' own Llama",
  },
  {
    key: "partial_rotary_factor",
    isHarmless: (value) => value === 1,
    why: "only a part of each head turns, and mspec turns all of it",
    help: ownSpec,
  },
  {
    key: "rope_interleaved",
    isHarmless: isOff,
    why: "transformers turns the halves of a head in this model type",
    help: "delete the key if the weights are laid out for transformers",
  },
  { key: "is_encoder_decoder", isHarmless: isOff, why: "mspec has decoders only", help: ownSpec },
  { key: "add_cross_attention", isHarmless: isOff, why: "mspec has decoders only", help: ownSpec },
];

function refuseWhatCannotBeSaid(config: ConfigKeys): void {
  for (const { key, isHarmless, why, help } of refusals) {
    if (!config.isGiven(key) || isHarmless(config.values[key], config)) continue;
    config.diagnostics.add(say.notExpressible(config.key(key), why, help));
  }
}

function sizes(config: ConfigKeys) {
  const activation = config.word("hidden_act", fallback("silu"));
  if (activation !== undefined && !activationFormulas.has(activation.value)) {
    config.diagnostics.add(say.unknownKind(config.key("hidden_act"), [...activationFormulas.keys()]));
  }
  return {
    vocab: config.whole("vocab_size"),
    context: config.whole("max_position_embeddings", fallback(2048)),
    width: config.whole("hidden_size"),
    layers: config.whole("num_hidden_layers"),
    tied: config.flag("tie_word_embeddings", fallback(false)),
    eps: config.positive("rms_norm_eps", fallback(1e-6)),
    intermediate: config.whole("intermediate_size"),
    activation,
    initializerRange: config.positive("initializer_range", fallback(0.02)),
  };
}

function heads(config: ConfigKeys) {
  const count = config.whole("num_attention_heads");
  const kvHeads = config.whole("num_key_value_heads", count && { value: count.value, from: count.from });
  const width = config.values.hidden_size;
  const perHead = typeof width === "number" && count !== undefined ? width / count.value : Number.NaN;
  // Where the division is not exact, the key is missed.
  const quotient = { value: perHead, from: "hidden_size / num_attention_heads" };
  const headDim = config.whole("head_dim", Number.isSafeInteger(perHead) ? quotient : undefined);
  return { heads: count, kvHeads, headDim };
}

/** What the language demands of sizes, told in the words of the config. */
function checkSizes(config: ConfigKeys, { layers, heads: count, kvHeads, headDim }: ConfigFacts): void {
  const { diagnostics } = config;
  if (layers.value > mostLayers) {
    diagnostics.add(say.wrongValue(config.key("num_hidden_layers"), `at most ${mostLayers} layers`));
  }
  if (count.value % kvHeads.value !== 0) {
    diagnostics.add(
      say.wrongValue(config.key("num_key_value_heads"), `a divisor of num_attention_heads, ${count.value}`),
    );
  }
  if (headDim.value % 2 !== 0) {
    const key = config.isGiven("head_dim")
      ? config.key("head_dim")
      : { ...config.key("hidden_size"), path: headDim.from, value: headDim.value };
    diagnostics.add(say.wrongValue(key, "an even number, whose halves can turn"));
  }
}

type Draft<T> = { readonly [key in keyof T]: T[key] | undefined };

interface RopeFacts {
  readonly theta: Sourced<number> | undefined;
  readonly llama3: Draft<Llama3Facts> | undefined;
}

/** transformers 5 writes `rope_parameters`; configs of before have `rope_theta` and `rope_scaling` beside each other. */
function rope(config: ConfigKeys): RopeFacts {
  const { diagnostics } = config;
  const [now, before] = ["rope_parameters", "rope_scaling"].map((name) => config.below(name));
  if (now !== undefined && before !== undefined) {
    diagnostics.add(say.contradiction(config.key("rope_scaling"), "`rope_parameters` is given, too"));
  }
  const keys = now ?? before;
  const top = config.positive("rope_theta", fallback(10000));
  if (keys === undefined) return { theta: top, llama3: undefined };
  const theta = keys.positive("rope_theta", top);
  if (config.isGiven("rope_theta") && theta?.value !== top?.value) {
    diagnostics.add(say.contradiction(config.key("rope_theta"), `\`${theta?.from}\` is ${theta?.value}`));
  }
  return { theta, llama3: llama3(keys) };
}

const scalings: Readonly<Record<string, readonly string[]>> = {
  default: [],
  llama3: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
};

/** The scaling that rope's keys ask for; undefined where there is none. */
function llama3(keys: ConfigKeys): Draft<Llama3Facts> | undefined {
  const { diagnostics, values } = keys;
  const name = keys.isGiven("rope_type") ? "rope_type" : "type";
  const type = keys.word(name, fallback("default"))?.value;
  if (type === undefined) return undefined;
  if (!Object.hasOwn(scalings, type)) {
    diagnostics.add(say.unknownKind(keys.key(name), Object.keys(scalings)));
    return undefined;
  }
  const expected = ["rope_type", "type", "rope_theta", ...scalings[type]];
  for (const key of Object.keys(values)) {
    const isWhole = key === "partial_rotary_factor" && values[key] === 1;
    if (!keys.isGiven(key) || expected.includes(key) || isWhole) continue;
    const why = `rope of type ${type} has no such key`;
    diagnostics.add(say.notExpressible(keys.key(key), why, "delete it if the model was trained without it"));
  }
  return type === "llama3" ? llama3Scaling(keys) : undefined;
}

function llama3Scaling(keys: ConfigKeys): Draft<Llama3Facts> {
  const { diagnostics } = keys;
  const [factor, lowFreqFactor, highFreqFactor] = scalings.llama3.slice(0, 3).map((key) => keys.positive(key));
  const original = keys.whole("original_max_position_embeddings");
  if (factor !== undefined && factor.value < 1) diagnostics.add(say.wrongValue(keys.key("factor"), "a number from 1"));
  if (lowFreqFactor !== undefined && highFreqFactor !== undefined && highFreqFactor.value <= lowFreqFactor.value) {
    diagnostics.add(say.wrongValue(keys.key("high_freq_factor"), `above low_freq_factor, ${lowFreqFactor.value}`));
  }
  return { factor, lowFreqFactor, highFreqFactor, original };
}

/** Keys that are read here, or that say nothing about what the model computes. */
const known = new Set([
  ...refusals.map(({ key }) => key),
  ...["model_type", "architectures", "vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers"],
  ...["tie_word_embeddings", "rms_norm_eps", "intermediate_size", "hidden_act", "initializer_range", "head_dim"],
  ...["num_attention_heads", "num_key_value_heads", "rope_theta", "rope_scaling", "rope_parameters"],
  ...["use_sliding_window", "bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "use_cache"],
  // How a matmul of the first Llama was cut into pieces; the product is the same.
  ...["transformers_version", "pretraining_tp", "_name_or_path"],
]);

function unreadKeys(config: ConfigKeys): string[] {
  return Object.keys(config.values).filter((key) => config.isGiven(key) && !known.has(key));
}
