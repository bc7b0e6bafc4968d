// Sentences about the training data: which file and line, and what to do.

import { Fault } from "../fault.ts";

function refuse(what: string, claim: string, at: string, details: readonly string[] = [], help?: string): Fault {
  const parts = { code: `data/${what}`, kind: "input", claim, at, details } as const;
  return new Fault(help === undefined ? parts : { ...parts, help });
}

export function noFiles(patterns: readonly string[], base: string): Fault {
  return refuse("no-files", "no file matches the data's patterns", patterns.join(", "), [`looked below ${base}`]);
}

export function missingFile(path: string): Fault {
  return refuse("missing-file", "the data file does not exist", path);
}

export function notAFile(path: string): Fault {
  return refuse("not-a-file", "the data is not a file that can be read through", path, [
    "it is a folder, a device or a pipe",
  ]);
}

export function unknownKind(path: string): Fault {
  return refuse(
    "unknown-kind",
    "the data file is neither .txt nor .jsonl",
    path,
    [],
    'name text files .txt (one document each), and files of lines like {"text": …} .jsonl',
  );
}

export function textTooLong(path: string, bytes: number, limit: number): Fault {
  return refuse(
    "text-too-long",
    "the text file is too long for one document",
    path,
    [`it has ${bytes} bytes; at most ${limit} are read as one`],
    "split it, or make it a .jsonl file with one document per line",
  );
}

export function notUtf8(path: string, byte: number): Fault {
  return refuse("not-utf8", "the text is not UTF-8", `${path} @byte ${byte}`, [], "convert the file to UTF-8");
}

export function badLine(path: string, line: number, reason: string): Fault {
  return refuse(
    "bad-line",
    `a line of the data cannot be used: ${reason}`,
    `${path}:${line}`,
    [],
    "mend the line, or leave such lines out and count them: `data.skip_bad_lines: true` in a spec, `--skip-bad-lines` for `mspec tokenizer train`",
  );
}

export function tokenOutsideVocab(path: string, index: number, id: number, vocab: number): Fault {
  return refuse(
    "token-outside-vocab",
    "the tokenizer gives a token that the model does not have",
    `${path} @token ${index}`,
    [`token ${id}; the model's ids are 0 to ${vocab - 1}`],
    `set \`model.vocab\` to the tokenizer's size, or train a tokenizer of ${vocab} tokens`,
  );
}

export function tooFewTokens(part: "train" | "validation", tokens: number, needed: number, what: string): Fault {
  return refuse(
    "too-few-tokens",
    `there is too little text in data.${part}`,
    `data.${part}`,
    [`it has ${tokens} tokens; ${what} take ${needed}`],
    part === "train" ? "add text or shorten `train.sequence`" : "add text or raise `data.validation`",
  );
}

export function filesChanged(differences: readonly string[]): Fault {
  return refuse(
    "files-changed",
    "the data is not what this run began with",
    differences[0],
    differences.slice(1),
    "put the files back as they were, or start a new run from the weights with `--weights`",
  );
}

export function badOrder(path: string, reason: string): Fault {
  return refuse("bad-order", `the order file cannot be used: ${reason}`, path, [
    "it is a JSON array of steps, each an array of token offsets",
  ]);
}

export function offsetOutside(path: string, step: number, index: number, offset: number, last: number): Fault {
  return refuse(
    "offset-outside",
    "an offset of the order lies outside the data",
    `${path}: step ${step}, entry ${index}`,
    [`offset ${offset}; the last one with room for a sequence and the token after it is ${last}`],
  );
}

export function orderTooShort(path: string, step: number, steps: number): Fault {
  return refuse("order-too-short", `the order has no step ${step}`, path, [`it has ${steps} steps, counted from 0`]);
}

/** A warning: some validation documents were trained on, so the loss on them says little. */
export function overlapWarning(shared: number, documents: number): string {
  return `${shared} of the ${documents} validation documents also stand in the training data: their loss says little about new text`;
}
