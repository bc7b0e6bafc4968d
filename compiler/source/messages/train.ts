// What `mspec train` says before, while and after it trains. Faults are the runtime's.

import type { Diagnostic } from "../diagnostic.ts";
import { size } from "./device.ts";
import { quoted } from "./words.ts";

export const count = (value: number): string => Math.round(value).toLocaleString("en");

/** `1.23 GFLOP`, with as large a unit as leaves at least one. */
export function flops(value: number): string {
  const units = ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${(value / 1000 ** power).toFixed(power === 0 ? 0 : 2)} ${units[power]}`;
}

/** `1:05` or `2:03:04`. */
function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = `${String(whole % 60).padStart(2, "0")}`;
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export interface FlopsFacts {
  /** Parameters that a token goes through. */
  readonly active: number;
  readonly inputEmbedding: number;
  readonly isTied: boolean;
  readonly attention: number;
  readonly sequence: number;
  readonly total: number;
  /** What predicting further tokens adds; 0: nothing. */
  readonly mtp: number;
}

/** The convention is part of the number. */
export function flopsPerToken(facts: FlopsFacts): string {
  const { active, inputEmbedding, isTied, attention, sequence, total, mtp } = facts;
  const matmul = isTied
    ? `6 * ${count(active)} active parameters (the tied embedding counts once, as the head)`
    : `6 * (${count(active)} active parameters - ${count(inputEmbedding)} of the input embedding)`;
  const pairs = `3 * ${count(attention)} of attention in sequences of ${count(sequence)} (half of all pairs, as a causal mask has it, fewer behind a window)`;
  const more = mtp === 0 ? "" : `; predicting further tokens adds ${flops(mtp)}`;
  return `training takes ${flops(total)} per token: ${matmul} + ${pairs}${more}`;
}

export const memoryClass = (bytes: number): string => size(bytes);

export const deviceLine = (description: string, memory: number, because: string): string =>
  `device: ${description}, ${size(memory)} of memory, because ${because}`;

export const dataLine = (train: number, validation: number): string =>
  `data: ${count(train)} tokens to train on, ${count(validation)} held out`;

export const runLine = (folder: string, step: number, steps: number): string =>
  step === 0 ? `run: ${folder}, ${steps} steps` : `run: ${folder}, goes on after step ${step} of ${steps}`;

export interface StepFacts {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
  readonly validationLoss: number | undefined;
  /** Undefined for a model without experts. */
  readonly maxViolation: number | undefined;
  readonly isSkipped: boolean;
}

export function stepLine(facts: StepFacts): string {
  const { step, steps, loss, tokensPerSecond, secondsLeft, validationLoss, maxViolation, isSkipped } = facts;
  const parts = [
    `step ${String(step).padStart(String(steps).length)}/${steps}`,
    `loss ${loss.toFixed(4)}`,
    ...(validationLoss === undefined ? [] : [`validation ${validationLoss.toFixed(4)}`]),
    ...(maxViolation === undefined ? [] : [`MaxVio ${maxViolation.toFixed(2)}`]),
    `${count(tokensPerSecond)} tokens/s`,
    step === steps ? "done" : `${duration(secondsLeft)} left`,
    ...(isSkipped ? ["skipped: its gradients were not finite"] : []),
  ];
  return parts.join("  ");
}

export const sampleBlock = (step: number, text: string): string => `--- sample at step ${step}\n${text}\n---`;

export const savedLine = (step: number, folder: string): string => `saved step ${step} in ${folder}`;

export const warningLine = (sentence: string): string => `warning: ${sentence}`;

export const stopping = (signal: string): string =>
  `${signal}: the step in progress is finished and saved; once more ends at once`;

export const stopped = (step: number, steps: number): string =>
  `stopped after step ${step} of ${steps}; \`--resume\` goes on from there`;

export const stoppedBefore = "stopped before the first step: nothing was trained, and nothing is left behind";

export interface SummaryFacts {
  readonly seconds: number;
  readonly tokens: number;
  readonly loss: number | undefined;
  readonly validationLoss: number | undefined;
  readonly skipped: number;
}

export function summary({ seconds, tokens, loss, validationLoss, skipped }: SummaryFacts): string {
  const parts = [
    `${count(tokens)} tokens in ${duration(seconds)}`,
    ...(loss === undefined ? ["no step was left to make"] : [`last loss ${loss.toFixed(4)}`]),
    ...(validationLoss === undefined ? [] : [`validation loss ${validationLoss.toFixed(4)}`]),
    ...(skipped > 0 ? [`${skipped} steps skipped`] : []),
  ];
  return parts.join(", ");
}

export const whatNext = (folder: string): string =>
  `the report is ${folder}/report.html; \`mspec generate ${folder} --prompt "…"\` lets it write`;

export const onlyForCompiled = (folder: string, flag: string): Diagnostic => ({
  code: "generate/not-for-runs",
  severity: "error",
  claim: `\`${flag}\` is for compiled models, and ${quoted(folder, Number.POSITIVE_INFINITY)} is a run with its own`,
  help: `leave it out, or name the compiled model of the run: ${quoted(`${folder}/compiled`, Number.POSITIVE_INFINITY)}`,
});

/** How often the guessed token was the one that came. */
export const acceptedDrafts = (accepted: number, made: number): string =>
  `${accepted} of ${made} guessed tokens were right (${((100 * accepted) / made).toFixed(0)} %)`;

export const contextEnds = (context: number): string => `the text ends where the model's context of ${context} does`;
