// Facts of a config.json → the text of a short spec, with a comment where each number is from. Reads no config.

import { printNumber } from "../formula/print-syntax.ts";
import type { Sourced } from "./config-keys.ts";
import { activationFormulas } from "./hugging-face-activations.ts";
import type { ConfigFacts, Llama3Facts } from "./read-config.ts";

export interface SpecTextOptions {
  readonly name: string;
  readonly hasTokenizer: boolean;
}

/** A spec that is valid for `mspec check`, with a training section as a beginning. */
export function specTextFromConfig(facts: ConfigFacts, { name, hasTokenizer }: SpecTextOptions): string {
  const lines = [
    "# Written by `mspec import`. The comment after a number names the key of config.json that it is from.",
    "mspec: 1",
    `name: ${name}`,
    ...modelLines(facts),
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

const sourced = (key: string, { value, from }: Sourced<number | boolean>): string =>
  `${key}: ${typeof value === "number" ? numberText(value) : value} # ${from}`;

/** `1e-5` reads better than its five zeros. */
const numberText = (value: number): string => (value < 1e-3 ? value.toExponential() : printNumber(value));

function modelLines(facts: ConfigFacts): string[] {
  const { activation } = facts;
  return [
    "model:",
    `  ${sourced("vocab", facts.vocab)}`,
    `  ${sourced("context", facts.context)}`,
    `  ${sourced("width", facts.width)}`,
    `  ${sourced("layers", facts.layers)}`,
    `  ${sourced("tie_embeddings", facts.tied)}`,
    "  norm:",
    "    kind: rms_norm",
    `    ${sourced("eps", facts.eps)}`,
    "  attention:",
    "    kind: gqa",
    `    ${sourced("heads", facts.heads)}`,
    `    ${sourced("kv_heads", facts.kvHeads)}`,
    `    ${sourced("head_dim", facts.headDim)}`,
    "    rope:",
    `      ${sourced("theta", facts.theta)}`,
    ...(facts.llama3 === undefined ? [] : llama3Lines(facts.llama3)),
    "  ffn:",
    "    kind: dense",
    `    ${sourced("intermediate", facts.intermediate)}`,
    `    activation: ${activationFormulas.get(activation.value)} # hidden_act: ${activation.value}`,
  ];
}

function llama3Lines({ factor, lowFreqFactor, highFreqFactor, original }: Llama3Facts): string[] {
  return [
    "      llama3:",
    `        ${sourced("factor", factor)}`,
    `        ${sourced("low_freq_factor", lowFreqFactor)}`,
    `        ${sourced("high_freq_factor", highFreqFactor)}`,
    `        ${sourced("original", original)}`,
  ];
}

const dataLines = [
  "data:",
  "  tokenizer: tokenizer.json",
  '  train: ["data/*.txt"] # `mspec train --data` names other files',
];

/** Sequences of a few hundred tokens keep a first run on a CPU short. */
const mostTrainedTokens = 256;

function trainLines({ context, initializerRange }: ConfigFacts): string[] {
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
