// Sentences about numbers of a model, its training and its serving that must fit each other.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `model/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function headsDoNotDivide(heads: number, kvHeads: number, place: Place, headsPlace: Place): Diagnostic {
  return error("heads-do-not-divide", `kv_heads = ${kvHeads} does not divide heads = ${heads}`, place, {
    label: "kv_heads",
    related: [{ place: headsPlace, label: "heads" }],
    details: [`${heads} = ${Math.floor(heads / kvHeads)} * ${kvHeads} + ${heads % kvHeads}`],
    help: "each key head serves the same number of query heads",
  });
}

export function frequencyFactors(low: number, high: number, place: Place, highPlace: Place): Diagnostic {
  return error("frequency-factors", `low_freq_factor = ${low} is not below high_freq_factor = ${high}`, place, {
    label: "low",
    related: [{ place: highPlace, label: "high" }],
  });
}

export function sequenceBeyondContext(
  sequence: number,
  context: number,
  place: Place,
  contextPlace: Place,
): Diagnostic {
  return error(
    "sequence-beyond-context",
    `train.sequence = ${sequence} is longer than model.context = ${context}`,
    place,
    {
      label: "train.sequence",
      related: [{ place: contextPlace, label: "model.context" }],
    },
  );
}

export function bytesNeedVocab(vocab: number, place: Place, tokenizerPlace: Place): Diagnostic {
  return error("vocab-below-bytes", `model.vocab = ${vocab} is too small for bytes`, place, {
    related: [{ place: tokenizerPlace, label: "each of 256 bytes is a token" }],
    help: "write `vocab: 256` or more",
  });
}

export function tokensBelowSequences(
  tokens: number,
  sequences: number,
  place: Place,
  sequencesPlace: Place,
): Diagnostic {
  return error(
    "tokens-below-sequences",
    `serve.tokens = ${tokens} is less than serve.sequences = ${sequences}`,
    place,
    {
      related: [{ place: sequencesPlace, label: "each sequence takes at least one token of a call" }],
    },
  );
}

/** `product` spells the arithmetic with its result, such as `vocab * width = 1e10 * 1e10 = 1e20`. */
export function tooManyElements(what: string, product: string, place: Place): Diagnostic {
  return error("too-large", `${what} has more than 2^53 elements`, place, { details: [product] });
}

/** `product` spells the arithmetic with its result, as of tooManyElements. */
export function tooManyTokens(what: string, product: string, place: Place): Diagnostic {
  return error("too-many-tokens", `${what} has more than 2^20 tokens`, place, {
    details: [product, "2^20 = 1048576"],
    help: what === "a call" ? "serve fewer tokens per call" : "give `train.batch.micro`, or a shorter `train.sequence`",
  });
}
