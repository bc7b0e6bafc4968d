// Facts of a config.json → the text of a short spec, with a comment where each number is from. Reads no config.

import { printNumber } from "../formula/print-syntax.ts";
import type { Sourced } from "./config-keys.ts";
import type { DenseFacts, GqaFacts, MlaFacts, ModelFacts, MoeFacts, RopeFacts } from "./families/facts.ts";
import { rangeOf } from "./ranges.ts";

export interface SpecTextOptions {
  readonly name: string;
  readonly hasTokenizer: boolean;
}

/** A spec that is valid for `mspec check`, with a training section as a beginning. */
export function specTextFromConfig(facts: ModelFacts, { name, hasTokenizer }: SpecTextOptions): string {
  const lines = [
    "# Written by `mspec import`. The comment after a number names the key of config.json that it is from.",
    "mspec: 1",
    `name: ${name}`,
    "model:",
    ...indented(modelLines(facts)),
    ...(hasTokenizer ? dataLines : []),
    ...trainLines(facts),
    ...serveLines,
  ];
  return `${lines.join("\n")}\n`;
}

/** A model's name out of a folder's: small letters, digits and hyphens. */
export function specNameFrom(folder: string): string {
  const words = folder
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, 63)
    .replace(/-+$/, "");
  return words === "" ? "imported-model" : words;
}

const line = (key: string, { value, from }: Sourced<number | boolean | string>): string =>
  `${key}: ${typeof value === "number" ? numberText(value) : value}${from === "" ? "" : ` # ${from}`}`;

/** `1e-5` reads better than its five zeros. */
const numberText = (value: number): string => (value < 1e-3 ? value.toExponential() : printNumber(value));

const indented = (lines: readonly string[]): string[] => lines.map((text) => `  ${text}`);

/** A key with a map below it. */
const section = (key: string, lines: readonly string[]): string[] => [`${key}:`, ...indented(lines)];

/** An entry of a list of maps. */
const item = (lines: readonly string[]): string[] => lines.map((text, i) => `${i === 0 ? "- " : "  "}${text}`);

/** A key that says what holds without it is left out. */
const unless = <T extends number | boolean>(key: string, fact: Sourced<T>, usual: T): string[] =>
  fact.value === usual ? [] : [line(key, fact)];

const given = (key: string, fact: Sourced<number> | undefined): string[] =>
  fact === undefined ? [] : [line(key, fact)];

function modelLines(facts: ModelFacts): string[] {
  return [
    line("vocab", facts.vocab),
    line("context", facts.context),
    line("width", facts.width),
    line("layers", facts.layers),
    line("tie_embeddings", facts.tied),
    ...section("norm", ["kind: rms_norm", line("eps", facts.eps)]),
    ...attentionLines(facts),
    ...ffnLines(facts),
    ...(facts.mtp === undefined
      ? []
      : section("mtp", [
          line("depth", facts.mtp),
          "weight: 0.3 # not of the checkpoint",
          "concat: [embedding, hidden]",
        ])),
  ];
}

function attentionLines({ attention, rope, window, layers }: ModelFacts): string[] {
  const block = [
    ...(attention.kind === "gqa" ? gqaLines(attention) : mlaLines(attention)),
    ...(window !== undefined && window.layers === undefined ? [line("window", window.size)] : []),
    ...section("rope", ropeLines(rope)),
  ];
  if (window?.layers === undefined) return section("attention", block);
  return section("attention", [
    ...item(block),
    ...item([line("layers", layersText(window.layers, layers.value)), line("window", window.size)]),
  ]);
}

/** A few layers as a range: those at equal distances to the last one as such. */
function layersText({ value, from }: Sourced<readonly number[]>, numLayers: number): Sourced<string> {
  const step = value[1] - value[0];
  const isEven = value.length > 2 && step > 1 && value.every((layer, i) => layer === value[0] + i * step);
  const text = isEven && value[value.length - 1] + step >= numLayers ? `${value[0]}.. by ${step}` : rangeOf(value);
  return { value: text.includes(",") ? `"${text}"` : text, from };
}

function gqaLines({ heads, kvHeads, headDim, bias, qkNorm, sinks }: GqaFacts): string[] {
  return [
    "kind: gqa",
    line("heads", heads),
    line("kv_heads", kvHeads),
    line("head_dim", headDim),
    ...unless("bias", bias, false),
    ...(qkNorm === undefined ? [] : [line("qk_norm", qkNorm)]),
    ...(sinks === undefined ? [] : [line("sinks", sinks)]),
  ];
}

function mlaLines({ heads, qRank, kvRank, nopeDim, ropeDim, valueDim, normEps }: MlaFacts): string[] {
  return [
    "kind: mla",
    line("heads", heads),
    ...given("q_rank", qRank),
    line("kv_rank", kvRank),
    line("nope_dim", nopeDim),
    line("rope_dim", ropeDim),
    line("value_dim", valueDim),
    line("norm_eps", normEps),
  ];
}

function ropeLines({ theta, layout, llama3, yarn }: RopeFacts): string[] {
  return [
    line("theta", theta),
    ...(layout.value === "half" ? [] : [line("layout", layout)]),
    ...(llama3 === undefined
      ? []
      : section("llama3", [
          line("factor", llama3.factor),
          line("low_freq_factor", llama3.lowFreqFactor),
          line("high_freq_factor", llama3.highFreqFactor),
          line("original", llama3.original),
        ])),
    ...(yarn === undefined
      ? []
      : section("yarn", [
          line("factor", yarn.factor),
          line("original", yarn.original),
          line("beta_fast", yarn.betaFast),
          line("beta_slow", yarn.betaSlow),
          ...unless("truncate", yarn.truncate, true),
          ...given("attention_factor", yarn.attentionFactor),
          ...given("mscale", yarn.mscale),
          ...given("mscale_all_dim", yarn.mscaleAllDim),
        ])),
  ];
}

function ffnLines({ dense, moe, denseLayers, layers }: ModelFacts): string[] {
  if (moe === undefined) return dense === undefined ? [] : section("ffn", denseLines(dense));
  if (dense === undefined) return section("ffn", moeLines(moe));
  return section("ffn", [
    ...item(moeLines(moe)),
    ...item([line("layers", layersText(denseLayers, layers.value)), ...denseLines(dense)]),
  ]);
}

const denseLines = ({ intermediate, activation, bias }: DenseFacts): string[] => [
  "kind: dense",
  line("intermediate", intermediate),
  line("activation", activation),
  ...unless("bias", bias, false),
];

function moeLines(moe: MoeFacts): string[] {
  const { groups } = moe;
  const router = [
    line("score", { value: `${moe.score.value}(logit)`, from: moe.score.from }),
    ...(groups === undefined
      ? []
      : section("groups", [line("count", groups.count), line("keep", groups.keep), line("score", groups.score)])),
    line("normalize", moe.normalize),
    ...unless("scale", moe.scale, 1),
    ...(moe.routerBias === undefined ? [] : [line("bias", moe.routerBias)]),
    ...(moe.choiceBias === undefined
      ? []
      : [
          `bias_update: 1e-3 # a bias of the choice, of ${moe.choiceBias.from}; how far it moves is not of the checkpoint`,
        ]),
  ];
  return [
    "kind: moe",
    line("experts", moe.experts),
    line("top_k", moe.topK),
    ...given("shared", moe.shared),
    line("intermediate", moe.intermediate),
    line("activation", moe.activation),
    ...unless("bias", moe.bias, false),
    ...section("router", router),
  ];
}

const dataLines = [
  "data:",
  "  tokenizer: tokenizer.json",
  '  train: ["data/*.txt"] # `mspec train --data` names other files',
];

/** Sequences of a few hundred tokens keep a first run on a CPU short. */
const mostTrainedTokens = 256;

function trainLines({ context, initializerRange }: ModelFacts): string[] {
  return [
    "train: # not of the checkpoint: a careful beginning, to be changed",
    `  sequence: ${Math.min(context.value, mostTrainedTokens)}`,
    "  batch: { sequences: 4, micro: 1 }",
    "  steps: 100",
    "  optimizer: { weight_decay: { all: 0.1, norm: 0 } }",
    "  lr: warmup(10) to 1e-4 then cosine to 1e-5",
    "  clip: 1",
    `  init: normal(${numberText(initializerRange.value)}) # ${initializerRange.from}; only for a run without --weights`,
  ];
}

const serveLines = [
  "serve:",
  "  sequences: 4",
  "  pages: ceil(context / page) # one text of the whole context, or several that are shorter",
];
