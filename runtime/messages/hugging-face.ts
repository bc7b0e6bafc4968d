// Sentences about checkpoints in Hugging Face's layout: what is no weights file, which tensors do not fit.

import { Fault, type FaultParts } from "../fault.ts";

function refuse(what: string, claim: string, rest: Partial<FaultParts> = {}): Fault {
  return new Fault({ code: `import/${what}`, kind: "input", claim, ...rest });
}

const saveAgain =
  "load the model with transformers where it came from, and save it again: `model.save_pretrained(folder)` writes safetensors";

export function noFolder(path: string, isFile: boolean): Fault {
  return refuse("no-folder", isFile ? "this is a file; a checkpoint is a folder" : "the folder does not exist", {
    at: path,
    help: "name the folder that holds config.json and model.safetensors",
  });
}

/** `found` are files that look like weights of another kind. */
export function noWeights(folder: string, found: readonly string[]): Fault {
  return refuse("no-weights", "the folder holds no model.safetensors and no model.safetensors.index.json", {
    at: folder,
    ...(found.length === 0 ? {} : { details: found.map((name) => `it holds ${name}, which mspec does not read`) }),
    help: found.length === 0 ? "fetch the weights of the model, too" : saveAgain,
  });
}

export function notSafetensors(path: string, what: string, help: string | undefined): Fault {
  return refuse("not-safetensors", `this is ${what}, not safetensors`, { at: path, help: help ?? saveAgain });
}

export function badIndex(path: string, problem: string): Fault {
  return refuse("bad-index", "the index of the weights is not as Hugging Face writes it", {
    at: path,
    details: [problem],
    help: "fetch the index again",
  });
}

export function missingShard(path: string, shard: string, tensor: string): Fault {
  return refuse("missing-shard", `the index names ${JSON.stringify(shard)}, which is not there`, {
    at: path,
    details: [`tensor ${JSON.stringify(tensor)} lies in it`],
    help: "fetch all of the files that the index names",
  });
}

export function shardsDiffer(path: string, differences: readonly string[]): Fault {
  return refuse("shards-differ", "the index and the files that it names do not belong together", {
    at: path,
    details: cut(differences),
    help: "fetch the index and all of its files from one place",
  });
}

export const notInShard = (tensor: string, shard: string): string => `${tensor} is not in ${shard}, as the index says`;
export const notInIndex = (tensor: string, shard: string): string =>
  `${tensor} of ${shard} is not where the index says`;

const mostTold = 24;

function cut(lines: readonly string[]): readonly string[] {
  return lines.length <= mostTold ? lines : [...lines.slice(0, mostTold), `and ${lines.length - mostTold} more`];
}

export function tensorsDiffer(folder: string, differences: readonly string[]): Fault {
  return refuse("tensors-differ", "the checkpoint's tensors are not those of the model that config.json describes", {
    at: folder,
    details: cut(differences),
    help: "fetch config.json and the weights from one place, and check that config.json says what the model is",
  });
}

export function headMissing(folder: string, theirs: string): Fault {
  return refuse("head-missing", `the checkpoint has no ${theirs}, and its embeddings are not tied`, {
    at: folder,
    help: "if the model uses its embedding as the head, set `tie_word_embeddings` to true in config.json",
  });
}

export interface HeadDifference {
  readonly head: string;
  readonly embedding: string;
  /** What differs: dtypes, shapes, or the first element. */
  readonly what: string;
}

export function headDiffers(folder: string, { head, embedding, what }: HeadDifference): Fault {
  return refuse("head-differs", `config.json ties the embeddings, but ${head} is not ${embedding}`, {
    at: folder,
    details: [what],
    help: "set `tie_word_embeddings` to false in config.json if the model has a head of its own; if not, delete the tensor",
  });
}

export function nonFinite(path: string, name: string, index: number, count: number): Fault {
  return refuse("non-finite-weights", "the weights hold NaN or infinity; nothing was written", {
    at: `${path}, tensor ${JSON.stringify(name)}`,
    details: [`${count} values in all tensors, the first one here at element ${index}`],
    help: "fetch the file again, or use a checkpoint from before they appeared",
  });
}

export function fileTooLarge(path: string, limit: number): Fault {
  return refuse("file-too-large", "the file is too large to be what its name says", {
    at: path,
    details: [`at most ${limit} bytes are read`],
  });
}

export function missingFile(path: string, name: string): Fault {
  return refuse("missing-file", `the folder holds no ${name}`, {
    at: path,
    help: "name the folder of a checkpoint as Hugging Face has it",
  });
}

export function noTheirName(ours: string, family: string): Fault {
  return new Fault({
    code: "export/no-such-parameter",
    kind: "input",
    claim: `a checkpoint of ${family} has no parameter like ${ours}`,
    help: "`mspec generate` reads mspec's own checkpoints, which have no such limit",
  });
}
