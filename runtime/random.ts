// Random numbers without state: Philox4x32-10 keyed by (seed, stream, step, element), so that resuming needs no hidden
// state and every element can be drawn alone, in any order, on any thread.

import { cos, log, sin } from "./exact-math.ts";

/** What a draw is for; the same element of two streams is independent. */
export const streams = { initialWeights: 1, shuffle: 2, phase: 3, validationSplit: 4, sampling: 5 } as const;

/** Names one sequence of draws. */
export interface RandomKey {
  /** The spec's seed, an integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** One of `streams`. */
  readonly stream: number;
  /** An integer below 2^32: the training step, the epoch, or the index of a parameter. */
  readonly step: number;
}

const TWO_32 = 4294967296;
const ROUNDS = 10;
const TWO_PI = 6.283185307179586;

/** The four words of the block that was drawn last. */
const block = new Uint32Array(4);

/** The high 32 bits of the product of two 32-bit words. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Every sum stays below 2^53, so f64 holds it exactly.
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536);
}

/**
 * Philox4x32 with 10 rounds: turns a counter of four 32-bit words and a key of two into four random words in `out`.
 *
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
export function philox4x32(counter: readonly number[], key: readonly number[], out: Uint32Array): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Draws block `index` of a key into `block`; a block serves two elements. */
function draw(key: RandomKey, index: number): void {
  philox4x32(
    [index >>> 0, Math.floor(index / TWO_32), key.step, key.stream],
    [key.seed >>> 0, Math.floor(key.seed / TWO_32)],
    block,
  );
}

/** 53 random bits from two words of `block`, as a number in [0, 1). */
function uniformFromWords(first: number): number {
  return ((block[first] >>> 5) * 67108864 + (block[first + 1] >>> 6)) / 9007199254740992;
}

/** The element's draw from the uniform distribution on [0, 1), a multiple of 2^-53. */
export function uniform(key: RandomKey, element: number): number {
  draw(key, Math.floor(element / 2));
  return uniformFromWords((element % 2) * 2);
}

/**
 * Fills `out` with draws of elements 0, 1, … from the standard normal distribution, times `scale`.
 *
 * Method: Box and Muller on the block's two uniforms; elements 2i and 2i + 1 share a block.
 * Range: |draw| is at most 8.6, because the smallest uniform is 2^-53.
 */
export function fillNormal(key: RandomKey, scale: number, out: Float32Array | Float64Array): void {
  for (let i = 0; i < out.length; i += 2) {
    draw(key, i / 2);
    // 1 - u lies in (0, 1], so the logarithm is finite.
    const radius = scale * Math.sqrt(-2 * log(1 - uniformFromWords(0)));
    const angle = TWO_PI * uniformFromWords(2);
    out[i] = radius * cos(angle);
    if (i + 1 < out.length) out[i + 1] = radius * sin(angle);
  }
}

/** Fills `out` with draws of elements 0, 1, … from the uniform distribution between `low` and `high`. */
export function fillUniform(key: RandomKey, low: number, high: number, out: Float32Array | Float64Array): void {
  for (let i = 0; i < out.length; i += 2) {
    draw(key, i / 2);
    out[i] = low + (high - low) * uniformFromWords(0);
    if (i + 1 < out.length) out[i + 1] = low + (high - low) * uniformFromWords(2);
  }
}

/** Rounds of the Feistel network below: four make it pseudo-random (Luby and Rackoff), the rest serves small counts. */
const FEISTEL_ROUNDS = 8;

/**
 * Where `index` goes in the key's permutation of 0 … count - 1; count is from 1 to 2^32.
 *
 * Method: a Feistel network on the smallest even number of bits that holds `count`, walked until it falls below `count`
 * (four steps on average at most), so no table of `count` entries is needed.
 */
export function permute(key: RandomKey, count: number, index: number): number {
  let half = 1;
  while (4 ** half < count) half++;
  const size = 2 ** half;
  let value = index;
  do {
    let left = Math.floor(value / size);
    let right = value % size;
    for (let round = 0; round < FEISTEL_ROUNDS; round++) {
      draw(key, round * TWO_32 + right);
      const next = (left ^ (block[0] % size)) >>> 0;
      left = right;
      right = next;
    }
    value = left * size + right;
  } while (value >= count);
  return value;
}
