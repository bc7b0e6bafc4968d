// Sentences about tokenizers.

import { Fault } from "../fault.ts";

export function vocabTooSmall(vocab: number, smallest: number): Fault {
  return new Fault({
    code: "tokenizer/vocab-too-small",
    kind: "input",
    claim: `a byte-level tokenizer cannot have ${vocab} tokens`,
    details: ["it takes one for the end of a text and 256 for the bytes"],
    help: `ask for at least ${smallest}`,
  });
}

function refuse(what: string, claim: string, name: string, details: readonly string[] = [], help?: string): Fault {
  return new Fault({ code: `tokenizer/${what}`, kind: "input", claim, at: name, details, ...(help && { help }) });
}

export function notJson(name: string, reason: string): Fault {
  return refuse("not-json", "the tokenizer is not a JSON file", name, [reason]);
}

export function missingField(name: string, field: string, wanted: string): Fault {
  return refuse("missing-field", `the tokenizer has no ${field} as a tokenizer.json has it`, name, [
    `${field} must be ${wanted}`,
  ]);
}

export function unsupportedModel(name: string, type: string): Fault {
  return refuse("unsupported-model", `the tokenizer's model is ${JSON.stringify(type)}`, name, [
    "model.type must be BPE",
  ]);
}

export function badTokenId(name: string, token: string, id: unknown): Fault {
  return refuse("bad-id", `the token ${JSON.stringify(token)} has the id ${JSON.stringify(id)}`, name, [
    "ids are whole numbers from 0",
  ]);
}

export function idsNotContiguous(name: string, count: number, problem: string): Fault {
  return refuse("ids-not-contiguous", "the tokenizer's ids are not 0 to the number of tokens less one", name, [
    `it has ${count} tokens; ${problem}`,
  ]);
}

export function idsDisagree(name: string, token: string, inVocab: unknown, added: number): Fault {
  return refuse("ids-disagree", `the token ${JSON.stringify(token)} has two ids`, name, [
    `model.vocab says ${JSON.stringify(inVocab)}, added_tokens ${added}`,
  ]);
}

export function badMerge(name: string, index: number, merge: string): Fault {
  return refuse("bad-merge", `merge ${index} of the tokenizer joins tokens that it does not have`, name, [merge]);
}

export function emptyMerge(name: string, index: number, merge: string): Fault {
  return refuse("bad-merge", `merge ${index} of the tokenizer makes a token of itself`, name, [
    `${merge} joins a token and nothing`,
  ]);
}

export function badPattern(name: string, place: string, pattern: string, problem: string): Fault {
  const shown = pattern.length > 120 ? `${pattern.slice(0, 120)}…` : pattern;
  return refuse(
    "bad-pattern",
    "the tokenizer cuts text by a pattern for which no bound of time is known",
    name,
    [`${place}: ${shown}`, problem],
    "write it so that each alternative ends with its only endless repetition, of one character, as \\p{L}+ and " +
      "\\s?[a-z]+ do; the patterns of GPT-2, GPT-4, o200k, Llama 3, Qwen and DeepSeek are run as they are",
  );
}

export function unsupportedPart(name: string, place: string, problem: string): Fault {
  return refuse("unsupported-part", `the tokenizer's ${place} is not run as it is meant`, name, [problem]);
}

export function losesText(name: string, missing: string): Fault {
  return refuse(
    "loses-text",
    "the tokenizer has no token for some text, and would leave it out",
    name,
    [missing],
    "give it a token for each byte, or an unknown token",
  );
}

export function notUnderstood(name: string, reason: string): Fault {
  return refuse("not-understood", "the tokenizer uses something that mspec's tokenizer library does not know", name, [
    reason,
  ]);
}

export function idOutsideVocab(id: number, vocab: number): Fault {
  return new Fault({
    code: "tokenizer/id-outside-vocab",
    kind: "input",
    claim: `the tokenizer has no token ${id}`,
    details: [`its ids are 0 to ${vocab - 1}`],
    help: "use the tokenizer that the model was trained with",
  });
}
