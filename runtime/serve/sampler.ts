// Chooses the next token from logits: greedily, or by chance within what temperature, top-k, top-p and min-p leave.
// The same logits and the same random number give the same token on every engine.

import { exp } from "../exact-math.ts";
import { badSampling, notFiniteLogits } from "../messages/serve.ts";

export interface Sampling {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Only the so many most likely tokens; 0: all. */
  readonly topK: number;
  /** Only the fewest most likely tokens that together have this probability; 1: all. */
  readonly topP: number;
  /** Only tokens with at least this share of the most likely one's probability; 0: all. */
  readonly minP: number;
}

export const defaultSampling: Sampling = { temperature: 0.8, topK: 0, topP: 1, minP: 0 };

/** Errors: `serve/bad-option`. */
export function checkSampling({ temperature, topK, topP, minP }: Sampling): void {
  if (!(temperature >= 0 && temperature <= 100)) throw badSampling("temperature", temperature, "from 0 to 100");
  if (!(Number.isSafeInteger(topK) && topK >= 0)) throw badSampling("top-k", topK, "a whole number from 0");
  if (!(topP > 0 && topP <= 1)) throw badSampling("top-p", topP, "above 0 and at most 1");
  if (!(minP >= 0 && minP <= 1)) throw badSampling("min-p", minP, "from 0 to 1");
}

/**
 * The token for one row of logits; `random` is uniform in [0, 1).
 *
 * Order: temperature, top-k, top-p, min-p, each on what the one before it left. Of equal logits the smaller id comes
 * first. Errors: `serve/not-finite-logits`.
 */
export function chooseToken(logits: Float32Array, sampling: Sampling, random: number): number {
  const best = largest(logits);
  if (sampling.temperature === 0) return best;
  const weights = Float64Array.from(logits, (logit) => exp((logit - logits[best]) / sampling.temperature));
  if (sampling.topK > 0 && sampling.topK < weights.length) keepFirst(weights, sampling.topK);
  if (sampling.topP < 1) keepFirst(weights, countWithin(weights, sampling.topP));
  // The most likely token has weight 1.
  return draw(
    weights.map((weight) => (weight < sampling.minP ? 0 : weight)),
    random,
  );
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    if (!Number.isFinite(logits[id])) throw notFiniteLogits(id, logits[id]);
    if (logits[id] > logits[best]) best = id;
  }
  return best;
}

/** Sets all but the `count` largest weights to 0; of equal ones the smaller ids stay. */
function keepFirst(weights: Float64Array, count: number): void {
  const threshold = weights.toSorted()[weights.length - count];
  let equal = count - weights.reduce((above, weight) => above + (weight > threshold ? 1 : 0), 0);
  weights.forEach((weight, id) => {
    if (weight > threshold) return;
    if (weight === threshold && equal > 0) equal--;
    else weights[id] = 0;
  });
}

/** How many of the largest weights it takes to make up a share of all. */
function countWithin(weights: Float64Array, share: number): number {
  const sorted = weights.toSorted();
  const wanted = share * sorted.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  let count = 0;
  while (sum < wanted && count < sorted.length) sum += sorted[sorted.length - ++count];
  return count;
}

/** The token in whose part of the sum the random number falls. */
function draw(weights: Float64Array, random: number): number {
  let left = random * weights.reduce((sum, weight) => sum + weight, 0);
  let chosen = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] === 0) continue;
    chosen = id;
    left -= weights[id];
    if (left < 0) break;
  }
  return chosen;
}
