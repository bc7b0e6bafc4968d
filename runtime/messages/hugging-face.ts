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

export const otherTotalSize = (path: string, told: number, bytes: number): string =>
  `${path} has a total_size of ${told} bytes, and the tensors of its files have ${bytes}; each of them is where it says`;

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
  const isHead = head === "lm_head.weight";
  const claim = isHead
    ? `config.json ties the embeddings, but ${head} is not ${embedding}`
    : `${head} should repeat ${embedding}, and does not`;
  return refuse("head-differs", claim, {
    at: folder,
    details: [what],
    help: isHead
      ? "set `tie_word_embeddings` to false in config.json if the model has a head of its own; if not, delete the tensor"
      : "mspec's predictions share embedding and head with the model: set `num_nextn_predict_layers` to 0 to import without them",
  });
}

export const noScales = (name: string, scales: string): string => `${name} is F8_E4M3, and its ${scales} is missing`;

export const otherScales = (
  { name, dtype, shape }: { readonly name: string; readonly dtype: string; readonly shape: readonly number[] },
  wanted: readonly number[],
  weight: string,
): string => `${name} is ${dtype} [${shape.join(", ")}], and the blocks of ${weight} need F32 [${wanted.join(", ")}]`;

export function badScale(path: string, name: string, index: number, value: number): Fault {
  return refuse("bad-scale", "a scale of FP8 weights is no finite number above 0; nothing was written", {
    at: `${path}, tensor ${JSON.stringify(name)}`,
    details: [`element ${index} is ${value}`],
    help: "fetch the file again; if it stays, the checkpoint was quantised wrongly",
  });
}

interface FormatOf {
  readonly name: string;
  readonly dtype: string;
}

export function mixedFormats(folder: string, first: FormatOf, other: FormatOf): Fault {
  return refuse("mixed-formats", "tensors of one parameter have different number formats", {
    at: folder,
    details: [`${first.name} is ${first.dtype}, ${other.name} is ${other.dtype}`],
    help: "load the model with transformers in one format, and save it again",
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
