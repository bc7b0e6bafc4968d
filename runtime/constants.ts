// Tables that every run needs and no checkpoint holds: cosines and sines of rotary positions, the same bits on every
// engine.

import type { ManifestTensor, RopeRule } from "./contract.ts";
import { cos, pow, sin } from "./exact-math.ts";

/**
 * Cosines or sines of position times frequency: [positions, rotaryDim / 2], row by row.
 *
 * Source: arXiv:2104.09864; frequencies of Llama 3.1: transformers, modeling_rope_utils, rope type llama3.
 */
export function ropeTable(rule: RopeRule, { dims }: Pick<ManifestTensor, "dims">): Float32Array {
  const [positions, half] = dims.map(({ size }) => size);
  const turn = rule.kind === "rope_cos" ? cos : sin;
  const frequencies = Array.from({ length: half }, (_, pair) => frequencyOf(rule, pair));
  const table = new Float32Array(positions * half);
  for (let position = 0, at = 0; position < positions; position++) {
    for (let pair = 0; pair < half; pair++, at++) table[at] = turn(position * frequencies[pair]);
  }
  return table;
}

/** Radians per position of a pair of dimensions. */
function frequencyOf({ theta, rotaryDim, llama3 }: RopeRule, pair: number): number {
  const frequency = pow(theta, (-2 * pair) / rotaryDim);
  if (llama3 === undefined) return frequency;
  const { factor, lowFreqFactor, highFreqFactor, original } = llama3;
  const turnsInOriginal = original / ((2 * Math.PI) / frequency);
  if (turnsInOriginal <= lowFreqFactor) return frequency / factor;
  if (turnsInOriginal >= highFreqFactor) return frequency;
  const kept = (turnsInOriginal - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return frequency * (kept + (1 - kept) / factor);
}
