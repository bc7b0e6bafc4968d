// What `mspec plan` says: every number with the convention that it is counted by.

import type { Diagnostic } from "../diagnostic.ts";
import { size } from "./device.ts";
import { count, flops } from "./train.ts";
import { both } from "./words.ts";

export const contextTooLong = (asked: number, most: number): Diagnostic => ({
  code: "plan/context-too-long",
  severity: "error",
  claim: `\`--context ${asked}\` is more than the ${count(most)} positions that the model is built for`,
  help: `ask for at most ${most}, or change model.context: \`--set model.context=${asked}\``,
});

/** Layers with the same experts. */
export interface ChosenExperts {
  readonly topK: number;
  readonly experts: number;
  readonly layers: string;
}

export function activeConvention(
  choices: readonly ChosenExperts[],
  active: number,
  inputEmbedding: number,
  isTied: boolean,
): string {
  const chosen = choices.map(({ topK, experts, layers }) => `${topK} of ${experts} experts in layers ${layers}`);
  const through = chosen.length === 0 ? "everything" : `${both(chosen)}, and everything else`;
  const lookup = isTied
    ? "the input embedding is the head's matrix too, so it counts"
    : `without the input embedding, of which it reads one row, ${count(active - inputEmbedding)} (${billions(active - inputEmbedding)})`;
  return `active: what one token goes through, ${through}; ${lookup}`;
}

/** `671.03 B`: decimal, as models are named. */
export function billions(value: number): string {
  const units = ["", " k", " M", " B", " T"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${power === 0 ? value : (value / 1000 ** power).toFixed(2)}${units[power]}`;
}

export const mtpApart = (depth: number): string =>
  `mtp: ${depth === 1 ? "the module that predicts one token" : `the modules that predict ${depth} tokens`} more; apart from the rest, because serving can leave it out`;

export interface ServingFacts {
  readonly context: number;
  readonly matmuls: number;
  readonly prompt: number;
  readonly next: number;
  readonly isLatent: boolean;
}

export function servingFlops({ context, matmuls, prompt, next, isLatent }: ServingFacts): string {
  const latent = isLatent ? ", both over latent vectors, as the absorbed form has it" : "";
  return [
    `serving takes ${flops(matmuls + prompt)} per token of a prompt of ${count(context)} tokens, and ${flops(matmuls + next)} for the token behind them:`,
    `  2 * (active parameters - input embedding) = ${count(matmuls)}, + ${count(prompt)} of attention (half of all pairs) or + ${count(next)} (every key)${latent}`,
  ].join("\n");
}

export const windowNote = (windowed: number, layers: number, context: number): string =>
  `${windowed} of ${layers} layers see a window only: for ${count(context)} tokens they need no more than its tokens, which \`seen\` counts; pages are not given back, so \`kept\` is what the cache takes`;

export const checkpointTitle = "checkpoint, all parameters";

/** What is left in bf16 by formats that are for some parameters only. */
export const checkpointNotes = {
  e4m3: "e4m3: matrices of attention and feed-forward in blocks of 128 x 128 with f32 scales, the rest bf16",
  e2m1: "e2m1: matrices of experts in blocks of 32 with one-byte scales, the rest bf16",
};

export const trainingTitle = (micro: number, sequence: number): string =>
  `memory to train: f32, AdamW, a micro-batch of ${count(micro)} x ${count(sequence)} tokens`;

export const untrainedTitle =
  "memory to train: f32, AdamW; the spec has no train section, so activations are not counted";

export const activationsByFormula = "activations: by formula, what the forward pass keeps, with nothing recomputed";
export const activationsByPlan = "activations: of the memory plan for wasm, with what recompute and sharing save";

export const servingTitle = (slots: number, pages: number, page: number): string =>
  `memory to serve: a cache of ${count(slots)} tokens (${count(pages)} pages of ${count(page)})`;

export const cacheTitle = "cache";
export const perToken = "bytes per token";
export const cacheKept = (context: number): string => `kept of ${count(context)} tokens`;
export const cacheSeen = (context: number): string => `seen of ${count(context)} tokens`;

export const devicesTitle = "devices";
export const devicesNote =
  "a share of one device's memory, or how many devices hold it by memory alone; a GPU's GB are 10^9 bytes; what lives during a call and copies of weights for kernels come on top";

/** `23 %`, or `34 x` of a device that can be had more than once. */
export function deviceCell(needed: number, memory: number, isAlone: boolean): string {
  if (needed <= memory) return `${Math.ceil((100 * needed) / memory)} %`;
  return isAlone ? "too large" : `${count(Math.ceil(needed / memory))} x`;
}

/** Memory as its maker states it. */
export const deviceName = (title: string, bytes: number): string =>
  `${title}, ${bytes % 2 ** 30 === 0 ? size(bytes) : `${bytes / 1e9} GB`}`;

/** The whole arithmetic for one device. */
export const deviceArithmetic = (what: string, needed: number, memory: number): string =>
  `${what}: ${count(needed)} bytes / ${count(memory)} bytes = ${(needed / memory).toFixed(2)}: ${needed <= memory ? "fits" : "does not fit"}`;
