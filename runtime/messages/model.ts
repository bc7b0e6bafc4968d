// Sentences about opening a compiled model and putting weights into it.

import { closest } from "fastest-levenshtein";
import type { DeviceName } from "../device.ts";
import type { TargetName } from "../device-targets.ts";
import { Fault, type FaultParts } from "../fault.ts";

function refuse(what: string, claim: string, rest: Partial<FaultParts> = {}): Fault {
  return new Fault({ code: `model/${what}`, kind: "input", claim, ...rest });
}

export function buildFileTooLarge(path: string, limit: number): Fault {
  return refuse("file-too-large", "a file of the compiled model is too large to be one", {
    at: path,
    details: [`at most ${limit} bytes are read`],
  });
}

const compileAgain =
  "compile the spec again; a run whose own copy is damaged begins anew with `mspec train -o OTHER --weights` and the parameters.safetensors of its last checkpoint";

export function badManifest(path: string, reason: string): Fault {
  return refuse("bad-manifest", "the manifest is not what `mspec compile` writes", {
    at: path,
    details: [reason],
    help: compileAgain,
  });
}

export function badModule(path: string, reason: string): Fault {
  return refuse("bad-module", "the assembled kernels are not what `mspec compile` writes", {
    at: path,
    details: [reason],
    help: compileAgain,
  });
}

export function wrongVersion(found: unknown, wanted: number): Fault {
  return refuse("wrong-version", "the model was compiled for another version of the runtime", {
    details: [`its manifest has version ${JSON.stringify(found)}; this runtime runs version ${wanted}`],
    help: "compile the spec again with the mspec that runs it",
  });
}

export function unknownDevice(device: string, known: readonly string[]): Fault {
  return refuse("unknown-device", `there is no device ${JSON.stringify(device)}`, {
    details: [`devices: ${known.join(", ")}`],
    help: "`mspec doctor` tells which of them are here",
  });
}

/** `place` is the folder of the build; absent for one in memory. */
export function notCompiledFor(
  place: string | undefined,
  device: DeviceName,
  target: TargetName,
  others: readonly TargetName[],
): Fault {
  return refuse("not-compiled-for", `the model was not compiled for the device ${device}`, {
    ...(place === undefined ? {} : { at: place }),
    details: [`the device runs the target ${target}; the model was compiled for ${others.join(" and ")}`],
    help: `compile the spec for it with \`mspec compile --target ${target}\`, or open the model on another device`,
  });
}

export function noWasmHere(): Fault {
  return refuse("no-wasm-here", "the device wasm does not run in a page", {
    details: ["its threads share one memory and wait for each other, which is written for the workers of Node"],
    help: "open the model on the device webgpu",
  });
}

/** A run keeps what it was compiled to; `at` is its folder. */
export function runNotCompiledFor(
  at: string,
  device: DeviceName,
  target: TargetName,
  others: readonly TargetName[],
): Fault {
  return refuse("not-compiled-for", `the run holds no kernels for the device ${device}`, {
    at,
    details: [`the device runs the target ${target}; the run holds ${others.join(" and ")}`],
    help: `go on with it by \`mspec train SPEC --resume --device ${device}\`, which adds them, or choose another device with \`--device\``,
  });
}

export function predictsOneToken(name: string): Fault {
  return refuse("predicts-one-token", `${name} predicts the next token only`, {
    help: "give its spec `model.mtp`, and train or import weights for it",
  });
}

export function noSuchParameter(name: string, names: readonly string[]): Fault {
  return refuse("no-such-parameter", `the model has no parameter ${JSON.stringify(name)}`, {
    details: [`the nearest name is ${closest(name, names)}`],
  });
}

export function wrongLength(name: string, dims: readonly number[], length: number): Fault {
  return refuse("wrong-length", `the parameter ${name} was given ${length} values`, {
    details: [`it is [${dims.join(", ")}]: ${dims.reduce((product, size) => product * size, 1)} values`],
  });
}

/** How many differences are told; a file of another model differs in every tensor. */
const mostDifferences = 24;

export function weightsDiffer(path: string, differences: readonly string[]): Fault {
  const told = differences.slice(0, mostDifferences);
  const more = differences.length - told.length;
  return refuse("weights-differ", "the file's tensors are not this model's parameters; nothing was loaded", {
    at: path,
    details: more > 0 ? [...told, `and ${more} more`] : told,
    help: "use the weights of this spec, or change the spec to the model that they belong to",
  });
}

/** A tensor of a file. */
export function missingWeight(name: string, nearest: string | undefined): string {
  return nearest === undefined
    ? `${name} is missing`
    : `${name} is missing; of what the file has besides, ${nearest} is nearest`;
}

export function extraWeight(name: string): string {
  return `${name} is not a parameter of the model`;
}

export function otherShape(name: string, found: readonly number[], wanted: readonly number[]): string {
  const isTurned = found.length === 2 && found[0] === wanted[1] && found[1] === wanted[0];
  const turned = isTurned ? ": it is transposed" : "";
  return `${name} has shape [${found.join(", ")}], the model has [${wanted.join(", ")}]${turned}`;
}

export function otherDtype(name: string, dtype: string): string {
  return `${name} is ${dtype}; weights are read from F32, BF16 and F16`;
}

export function nonFiniteWeights(path: string, name: string, index: number, count: number): Fault {
  return refuse("non-finite-weights", "the weights hold NaN or infinity; nothing was loaded", {
    at: `${path}, tensor ${JSON.stringify(name)}`,
    details: [`${count} values in all tensors, the first one here at element ${index}`],
    help: "use a checkpoint from before they appeared",
  });
}

export function noWeights(): Fault {
  return refuse("no-weights", "the model has no weights yet", {
    help: "call `initialize()` or `loadWeights()` first, or open a run folder",
  });
}

export function closed(name: string): Fault {
  return refuse("closed", `${name} was closed, and its memory is gone`, { help: "open the model again" });
}

export function busy(name: string, call: string, asked: string): Fault {
  return refuse("busy", `${name} is still at work: \`${asked}\` was called before \`${call}\` had ended`, {
    help: "await one call before the next, give several prompts to `generateAll`, or open the model a second time",
  });
}

export function badSeed(seed: number): Fault {
  return refuse("bad-seed", `the seed cannot be ${seed}`, { details: ["it must be a whole number from 0"] });
}

export function notTrained(name: string): Fault {
  return refuse("not-trainable", `${name} was compiled to be served only`, {
    help: "add a `train` section to the spec and compile it again",
  });
}

export function noTokenizer(tokenizer: string | undefined): Fault {
  return refuse("no-tokenizer", "text needs a tokenizer, and this model was opened without one", {
    ...(tokenizer === undefined ? {} : { details: [`the spec names ${tokenizer}`] }),
    help: "give `tokenizer` when opening the model (`mspec generate` has `--tokenizer`), or token ids instead of text",
  });
}

export function missingTokenizer(path: string): Fault {
  return refuse("missing-tokenizer", "the tokenizer does not exist", {
    at: path,
    help: "train one with `mspec tokenizer train`, or set `data.tokenizer` to `bytes`",
  });
}

export function missingWeights(path: string): Fault {
  return refuse("missing-weights", "the file of weights does not exist", { at: path });
}

/** A folder, a device or a pipe; `what` is what the file should hold. */
export function notAFile(what: string, path: string): Fault {
  return refuse("not-a-file", `the ${what} must be a file, and this is none`, { at: path });
}

export function tokenizerTooLarge(name: string, tokens: number, vocab: number): Fault {
  return refuse("tokenizer-too-large", "the tokenizer has tokens that the model does not know", {
    at: name,
    details: [`the tokenizer has ${tokens} tokens, the model ${vocab}`],
    help: `set \`model.vocab\` to ${tokens}, or use the tokenizer that the model was trained with`,
  });
}
