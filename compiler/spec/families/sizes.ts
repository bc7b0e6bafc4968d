// The keys that every family has: sizes, heads, activations, both ways.

import * as say from "../../source/messages/hugging-face.ts";
import { type ConfigKeys, fallback, type Sourced } from "../config-keys.ts";
import { activationFormulas, activationName } from "../hugging-face-activations.ts";
import { mostLayers } from "../schema.ts";
import type { GqaSpec, ModelSpec } from "../spec.ts";
import type { GqaFacts } from "./facts.ts";
import type { Refuse } from "./family.ts";

export interface SizeDefaults {
  readonly context: number;
  readonly eps: number;
}

export const sizeKeys: readonly string[] = [
  ...["vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers", "tie_word_embeddings"],
  ...["rms_norm_eps", "hidden_act", "num_attention_heads", "num_key_value_heads"],
];

export function readSizes(config: ConfigKeys, { context, eps }: SizeDefaults) {
  const layers = config.whole("num_hidden_layers");
  if (layers.value > mostLayers) {
    config.diagnostics.add(say.wrongValue(config.key("num_hidden_layers"), `at most ${mostLayers} layers`));
  }
  return {
    vocab: config.whole("vocab_size"),
    context: config.whole("max_position_embeddings", fallback(context)),
    width: config.whole("hidden_size"),
    layers,
    tied: config.flag("tie_word_embeddings", fallback(false)),
    eps: config.positive("rms_norm_eps", fallback(eps)),
    initializerRange: config.positive("initializer_range", fallback(0.02)),
  };
}

/** The numbers of all layers; none where their count is told to be wrong. */
export function everyLayer(config: ConfigKeys): number[] {
  const { value } = config.whole("num_hidden_layers");
  return Array.from({ length: value <= mostLayers ? value : 0 }, (_, i) => i);
}

export const writeSizes = (model: ModelSpec): Readonly<Record<string, unknown>> => ({
  hidden_size: model.width,
  max_position_embeddings: model.context,
  num_attention_heads: model.layers[0].attention.heads,
  num_hidden_layers: model.layers.length,
  rms_norm_eps: model.norm.eps,
  tie_word_embeddings: model.tieEmbeddings,
  vocab_size: model.vocab,
});

/** The formula that `hidden_act` names. */
export function readActivation(config: ConfigKeys): Sourced<string> {
  const { value } = config.word("hidden_act", fallback("silu"));
  const formula = activationFormulas.get(value);
  if (formula === undefined) {
    // What is no text at all was told of already.
    if (value !== "") config.diagnostics.add(say.unknownKind(config.key("hidden_act"), [...activationFormulas.keys()]));
    return { value: "", from: "hidden_act" };
  }
  return { value: formula, from: `hidden_act: ${value}` };
}

/** `hidden_act` of a model; the first layer's, and of any other what reading again finds. */
export function writeActivation({ layers: [{ ffn }] }: ModelSpec, refuse: Refuse): Readonly<Record<string, unknown>> {
  const name = activationName(ffn.activation);
  if (name === undefined) {
    const known = [...new Set(activationFormulas.values())].join("`, `");
    refuse(
      `the activation is \`${ffn.activation.text.text.trim()}\``,
      `transformers has a name only for \`${known}\``,
      ffn.activation.key,
    );
  }
  return { hidden_act: name };
}

export interface HeadOptions {
  /** Of a head where the key is left out; undefined: the width divided among the heads. */
  readonly headDim?: number;
  readonly bias?: Sourced<boolean>;
  readonly qkNorm?: Sourced<"head" | "full">;
  readonly sinks?: Sourced<true>;
}

export const gqaKeys: readonly string[] = ["head_dim", "attention_bias"];

export function readGqa(config: ConfigKeys, { headDim, bias, qkNorm, sinks }: HeadOptions = {}): GqaFacts {
  const { diagnostics } = config;
  const heads = config.whole("num_attention_heads");
  const kvHeads = config.whole("num_key_value_heads", heads);
  const quotient = {
    value: config.whole("hidden_size").value / heads.value,
    from: "hidden_size / num_attention_heads",
  };
  const otherwise = headDim === undefined ? quotient : fallback(headDim);
  // Where the division is not exact, the key is missed.
  const isExact = Number.isSafeInteger(otherwise.value) || Number.isNaN(otherwise.value);
  const dim = config.whole("head_dim", isExact ? otherwise : undefined);
  if (heads.value % kvHeads.value !== 0 && !Number.isNaN(heads.value % kvHeads.value)) {
    const wanted = `a divisor of num_attention_heads, ${heads.value}`;
    diagnostics.add(say.wrongValue(config.key("num_key_value_heads"), wanted));
  }
  if (dim.value % 2 === 1) {
    const key = config.isGiven("head_dim")
      ? config.key("head_dim")
      : { ...config.key("hidden_size"), path: dim.from, value: dim.value };
    diagnostics.add(say.wrongValue(key, "an even number, whose halves can turn"));
  }
  return {
    ...{ kind: "gqa", heads, kvHeads, headDim: dim, qkNorm, sinks },
    bias: bias ?? config.flag("attention_bias", fallback(false)),
  };
}

export function writeGqa(model: ModelSpec): Readonly<Record<string, unknown>> {
  const { kvHeads, headDim, bias } = gqaOf(model);
  return { attention_bias: bias.length > 0, head_dim: headDim, num_key_value_heads: kvHeads };
}

/** The first layer's attention of a model whose layers all have grouped queries. */
export function gqaOf({ layers: [{ attention }] }: ModelSpec): GqaSpec {
  if (attention.kind !== "gqa") throw new RangeError("the family was asked whether it fits");
  return attention;
}

export const isDense = ({ layers }: ModelSpec): boolean => layers.every(({ ffn }) => ffn.kind === "dense");
export const isGqa = ({ layers }: ModelSpec): boolean => layers.every(({ attention }) => attention.kind === "gqa");
export const isMla = ({ layers }: ModelSpec): boolean => layers.every(({ attention }) => attention.kind === "mla");
