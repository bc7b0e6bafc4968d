// Sentences about training: what stops a run, what keeps one from resuming, and what it says on its way.

import { Fault, type FaultParts } from "../fault.ts";
import type { DamagedCheckpoint } from "../files/find-checkpoint.ts";
import type { NonFinite } from "../train/find-non-finite.ts";
import type { UnequalSum } from "../train/recheck.ts";

function refuse(what: string, claim: string, rest: Partial<FaultParts> = {}): Fault {
  return new Fault({ code: `train/${what}`, kind: "input", claim, ...rest });
}

const fromWeights = "start a new run from its weights with `--weights`";

export function nonFiniteState(path: string, what: string, last: string | undefined): Fault {
  return refuse("non-finite-state", "the model's state is no longer finite; it was not saved", {
    at: path,
    details: [what, last === undefined ? "no checkpoint was saved before" : `the last checkpoint is ${last}`],
    help:
      last === undefined
        ? "lower `train.lr` and train again"
        : `lower \`train.lr\` and start a new run in another folder with \`--weights ${last}/parameters.safetensors\``,
  });
}

/** Which operation writes the first value that is not finite, or that none does. */
function whereNonFinite(step: number, found: NonFinite | undefined): string {
  if (found === undefined) return `repeating step ${step} launch by launch gave finite values only`;
  return found.kernel === undefined
    ? `before step ${step}, ${found.tensor} already held such values`
    : `in step ${step} the first such value is written to ${found.tensor} by the kernel ${found.kernel}`;
}

/** Too many steps in a row were skipped. */
export function notFinite(steps: number, step: number, found: NonFinite | undefined, last: string | undefined): Fault {
  return refuse("not-finite", `${steps} steps in a row had gradients that are not finite, and training stopped`, {
    at: found?.path ?? `step ${step}`,
    details: [
      whereNonFinite(step, found),
      last === undefined ? "no checkpoint was saved before" : `the last checkpoint is ${last}`,
    ],
    help: "lower `train.lr`, or bound the formula that overflows",
  });
}

/** The device was lost or broke while a run was at work. */
export function deviceFailed(why: Fault, step: number, last: string | undefined, hasFolder: boolean): Fault {
  const saved = last === undefined ? "no checkpoint was saved before" : `the last checkpoint is ${last}`;
  return new Fault({
    code: why.code,
    kind: why.kind,
    claim: `${why.claim}, and training stopped behind step ${step}`,
    ...(why.at === undefined ? {} : { at: why.at }),
    details: [...why.details, hasFolder ? saved : "the run has no folder, so nothing of it is saved"],
    help: last === undefined ? "train again" : "go on behind the last checkpoint with `--resume`",
    cause: why,
  });
}

/** A warning: a run ends among skipped steps, of which there are too few to stop it. */
export function nothingLearnt(skipped: number, steps: number, found: NonFinite | undefined): string {
  const [which, since] = skipped === steps ? ["", ""] : ["the last ", ` since step ${steps - skipped}`];
  const where = `${found === undefined ? "" : `${found.path}: `}${whereNonFinite(steps, found)}`;
  return `${which}${skipped} of ${steps} steps were skipped, their gradients not being finite: nothing was learnt${since}; ${where}; lower \`train.lr\`, or bound the formula that overflows`;
}

/** A warning: a sample could not be written, and the run goes on. */
export function sampleLeftOut({ claim, details }: Fault): string {
  return `no sample is written: ${claim}${details.length > 0 ? ` (${details.join("; ")})` : ""}; training goes on`;
}

/** A number by its bits and by its value. */
function bitsAndValue(value: number): string {
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, value);
  return `0x${bits.getUint32(0).toString(16).padStart(8, "0")} (${value})`;
}

/** A step whose gradients were computed twice had other bits the second time. */
export function resultsDiffer(step: number, unequal: UnequalSum, numUnequal: number, numSums: number): Fault {
  const { path, tensor, numDifferent, numElements, element, first, second } = unequal;
  return new Fault({
    code: "device/results-differ",
    kind: "environment",
    claim: `the device computed step ${step} twice from the same numbers and did not get the same bits`,
    at: path,
    details: [
      `${numDifferent} of the ${numElements} elements of ${tensor} differ; of ${numSums} tensors ${numUnequal} do`,
      `element ${element}, the first, was ${bitsAndValue(first)} and then ${bitsAndValue(second)}`,
      "nothing of the step was applied; a bit has flipped in its memory or its arithmetic, and if that happens again, it is not to be trusted",
    ],
    help: "train again",
  });
}

export function runExists(folder: string, step: number): Fault {
  return refuse("run-exists", "the folder already holds a run", {
    at: folder,
    details: [`its newest checkpoint is of step ${step}`],
    help: "go on with it by `--resume`, or choose another folder with `-o`",
  });
}

/** The way out of a run whose checkpoints are all damaged; its folder is left alone. */
function fromWhatIsLeft(weights: string | undefined): string {
  const begin = "begin a new run in another folder with `-o`";
  return weights === undefined ? begin : `${begin}, from the weights that are still whole: \`--weights ${weights}\``;
}

export function damagedRunExists(
  folder: string,
  damaged: readonly DamagedCheckpoint[],
  weights: string | undefined,
): Fault {
  return refuse("run-exists", "the folder already holds a run, and every checkpoint of it is damaged", {
    at: folder,
    details: damaged.map(skippedCheckpoint),
    help: fromWhatIsLeft(weights),
  });
}

export function nothingToResume(
  folder: string,
  damaged: readonly DamagedCheckpoint[],
  weights: string | undefined,
): Fault {
  return refuse("nothing-to-resume", "the folder has no complete checkpoint", {
    at: folder,
    details: damaged.map(skippedCheckpoint),
    help: damaged.length === 0 ? "leave out `--resume` to begin the run" : fromWhatIsLeft(weights),
  });
}

export function noCheckpoint(
  folder: string,
  damaged: readonly DamagedCheckpoint[],
  weights: string | undefined,
): Fault {
  return refuse("no-checkpoint", "the run has no complete checkpoint", {
    at: folder,
    details: damaged.map(skippedCheckpoint),
    help:
      damaged.length === 0 ? "let the run save one first; `train.save_every` says how often" : fromWhatIsLeft(weights),
  });
}

export function noRun(folder: string): Fault {
  return refuse("no-run", "there is no run in this folder", {
    at: folder,
    details: ["it has no checkpoints, and no model with weights beside it"],
    help: "name a folder that `mspec train` wrote, such as `runs/NAME`",
  });
}

/** Also a warning of its own: an older checkpoint is used. */
export function skippedCheckpoint({ folder, why }: DamagedCheckpoint): string {
  return `${folder} is left out: ${why.claim}${why.at === undefined ? "" : ` (${why.at})`}`;
}

export function specChanged(folder: string, differences: readonly string[]): Fault {
  return refuse("spec-changed", "the spec is not the one that this run began with", {
    at: folder,
    details: differences,
    help: `put the spec back as it was, or ${fromWeights}`,
  });
}

const partWords = {
  kernels: "the kernels are not the ones that this run began with",
  tokenizer: "the tokenizer is not the one that this run began with",
  order: "the order of sequences is not the one that this run began with",
} as const;

export function partChanged(what: keyof typeof partWords, folder: string): Fault {
  return refuse(`${what}-changed`, partWords[what], {
    at: folder,
    help: `put back what the run began with, or ${fromWeights}`,
  });
}

/** A warning: both compute the same within rounding. */
export function otherTarget(before: string, now: string): string {
  return `the checkpoint was saved by kernels for ${before} and the run goes on with those for ${now}: from here on its bits are not those that it would have had`;
}

export function noRunFolders(folder: string): Fault {
  return refuse("no-folders", "a page has no folders to write a run to", {
    at: folder,
    help: "leave out `folder`, and keep what `model.parameter` gives",
  });
}

export function noDataFolders(patterns: readonly string[]): Fault {
  return refuse("no-folders", "a page has no folders to look for its data in", {
    details: [`the spec names ${patterns.join(", ")}`],
    help: "give the text, or its tokens, as `corpus`",
  });
}

export function stateIncomplete(folder: string, missing: readonly string[]): Fault {
  return refuse("state-incomplete", "the checkpoint does not say how the run goes on", {
    at: folder,
    details: [`its state.json lacks ${missing.join(", ")}`],
    help: fromWeights,
  });
}

export function orderNotAFile(path: string): Fault {
  return refuse("missing-order", "the order is not a file", { at: path });
}

export function orderNotWhole(path: string, step: number, sequences: number, micro: number): Fault {
  return refuse("order-not-whole", "a step of the order is not a whole number of micro-batches", {
    at: `${path}: step ${step}`,
    details: [`it has ${sequences} sequences; train.batch.micro is ${micro}`],
  });
}

export function missingOrder(path: string): Fault {
  return refuse("missing-order", "the order file does not exist", { at: path });
}

export function orderTooLarge(path: string, limit: number): Fault {
  return refuse("order-too-large", "the order file is too large", { at: path, details: [`at most ${limit} bytes`] });
}

export function noData(): Fault {
  return refuse("no-data", "the spec does not say what the model is trained on", {
    help: "add a `data` section, with at least `tokenizer` and `train`",
  });
}

/** A warning: a save failed, and the run goes on. */
export function goesOnUnsaved(why: Fault): string {
  return `${why.claim}${why.details.length > 0 ? ` (${why.details.join("; ")})` : ""}; training goes on and tries again at the next save`;
}

/** A warning: the metrics of some steps wait in memory. */
export function metricsWait(why: Fault, lines: number): string {
  return `metrics.jsonl cannot be written: ${why.claim}; ${lines} lines wait in memory and are tried again`;
}

export function skippedLines(count: number): string {
  return `${count} lines of the data could not be used and were left out`;
}
