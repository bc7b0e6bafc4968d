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

function refuse(what: string, claim: string, name: string, details: readonly string[] = []): Fault {
  return new Fault({ code: `tokenizer/${what}`, kind: "input", claim, at: name, details });
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

export function badMerge(name: string, index: number, merge: string): Fault {
  return refuse("bad-merge", `merge ${index} of the tokenizer joins tokens that it does not have`, name, [merge]);
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
