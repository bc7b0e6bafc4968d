// Tables that every run needs and no checkpoint holds: cosines and sines of rotary positions, the same bits on every
// engine.

import type { ManifestTensor, RopeRule } from "./contract.ts";
import { cos, log, pow, sin } from "./exact-math.ts";

/**
 * Cosines or sines of position times frequency: [positions, rotaryDim / 2], row by row.
 *
 * Source: arXiv:2104.09864; frequencies of Llama 3.1 and YaRN: transformers, modeling_rope_utils, rope types llama3 and yarn.
 */
export function ropeTable(rule: RopeRule, { dims }: Pick<ManifestTensor, "dims">): Float32Array {
  const [positions, half] = dims.map(({ size }) => size);
  const turn = rule.kind === "rope_cos" ? cos : sin;
  const frequencies = Array.from({ length: half }, (_, pair) => frequencyOf(rule, pair));
  const scale = rule.yarn?.tableScale ?? 1;
  const table = new Float32Array(positions * half);
  for (let position = 0, at = 0; position < positions; position++) {
    for (let pair = 0; pair < half; pair++, at++) table[at] = scale * turn(position * frequencies[pair]);
  }
  return table;
}

/** Radians per position of a pair of dimensions. */
function frequencyOf(rule: RopeRule, pair: number): number {
  const { theta, rotaryDim, llama3 } = rule;
  const frequency = pow(theta, (-2 * pair) / rotaryDim);
  if (rule.yarn !== undefined) return frequency * slowing(rule.yarn, theta, rotaryDim, pair);
  if (llama3 === undefined) return frequency;
  const { factor, lowFreqFactor, highFreqFactor, original } = llama3;
  const turnsInOriginal = original / ((2 * Math.PI) / frequency);
  if (turnsInOriginal <= lowFreqFactor) return frequency / factor;
  if (turnsInOriginal >= highFreqFactor) return frequency;
  const kept = (turnsInOriginal - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return frequency * (kept + (1 - kept) / factor);
}

/** What YaRN multiplies a frequency by: 1 for pairs that turn fast, 1 / factor for slow ones, a ramp in between. */
function slowing(yarn: NonNullable<RopeRule["yarn"]>, theta: number, rotaryDim: number, pair: number): number {
  // The pair, as a fraction, that makes so many turns in the original context.
  const pairOf = (turns: number) => (rotaryDim * log(yarn.original / (turns * 2 * Math.PI))) / (2 * log(theta));
  const [fast, slow] = [pairOf(yarn.betaFast), pairOf(yarn.betaSlow)];
  const low = Math.max(yarn.truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(yarn.truncate ? Math.ceil(slow) : slow, rotaryDim - 1);
  const ramp = (pair - low) / (high === low ? 0.001 : high - low);
  const slowed = Math.min(Math.max(ramp, 0), 1);
  return 1 - slowed + slowed / yarn.factor;
}
