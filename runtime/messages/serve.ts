// Sentences about generating text: prompts that do not fit, options out of range, logits that are no numbers.

import { Fault } from "../fault.ts";

function refuse(what: string, claim: string, details: readonly string[], help?: string): Fault {
  const parts = { code: `serve/${what}`, kind: "input", claim, details } as const;
  return new Fault(help === undefined ? parts : { ...parts, help });
}

export function badSampling(option: string, value: number, range: string): Fault {
  return refuse("bad-option", `${option} cannot be ${value}`, [`it must be ${range}`]);
}

export function badMaxTokens(value: number): Fault {
  return refuse("bad-option", `the number of tokens cannot be ${value}`, ["it must be a whole number from 1"]);
}

export function emptyPrompt(): Fault {
  return refuse(
    "empty-prompt",
    "the prompt has no tokens, and the tokenizer has none that begins a text",
    [],
    "write at least one character",
  );
}

export function notAToken(index: number, token: number, vocab: number): Fault {
  return refuse("token-outside-vocab", `the text holds ${token}, which is not a token of the model`, [
    `at place ${index}; the model's ids are the whole numbers from 0 to ${vocab - 1}`,
  ]);
}

export function promptTooLong(tokens: number, context: number): Fault {
  return refuse(
    "prompt-too-long",
    "the prompt leaves no room for a new token",
    [`it has ${tokens} tokens; the model's context holds ${context} with those that are generated`],
    "shorten the prompt, or raise `model.context` and train again",
  );
}

export function cacheTooSmall(tokens: number, pages: number, page: number): Fault {
  return refuse(
    "cache-too-small",
    "the cache cannot hold the prompt and what is to be generated",
    [`${tokens} tokens take ${Math.ceil(tokens / page)} pages of ${page}; serve.pages is ${pages}`],
    "ask for fewer tokens, or raise `serve.pages`",
  );
}

export function tooManyTokens(tokens: number, context: number): Fault {
  return refuse("too-many-tokens", `${tokens} tokens do not fit into the model's context`, [
    `the context holds ${context}`,
  ]);
}

export function notFiniteLogits(id: number, value: number): Fault {
  return new Fault({
    code: "serve/not-finite-logits",
    kind: "environment",
    claim: "the model gave a logit that is not finite",
    details: [`token ${id} has ${value}`],
    help: "use a checkpoint from before its weights went wrong",
  });
}
