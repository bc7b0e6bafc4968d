// Cuts a stream of tokens into training batches and evaluation windows. No state: which tokens stand in a batch follows
// from the seed and from how many sequences came before, so resuming and batch schedules need nothing more.

import { badOrder, offsetOutside, orderTooShort, tooFewTokens } from "../messages/data.ts";
import { permute, streams, uniform } from "../random.ts";
import type { TokenStream } from "./token-stream.ts";

/** Sequences packed row by row; every array has rows * sequence entries. */
export interface Batch {
  readonly rows: number;
  readonly tokens: Int32Array;
  /** The token after each token; -1 contributes nothing to the loss. */
  readonly targets: Int32Array;
  /** Index of the document in the stream; -1 where there is only padding. */
  readonly documents: Int32Array;
  /** 0 to sequence - 1 in every row. */
  readonly positions: Int32Array;
}

/** Errors: `data/too-few-tokens` when the training data has no room for a sequence and the token after it. */
export function checkTrainingLength(stream: TokenStream, sequence: number): void {
  const { length } = stream.tokens;
  if (length <= sequence)
    throw tooFewTokens("train", length, sequence + 1, `a sequence of ${sequence} and the token after it`);
}

/** Errors: `data/too-few-tokens` when no token of the validation data has one before it. */
export function checkValidationLength(stream: TokenStream): void {
  const { length } = stream.tokens;
  if (length < 2) throw tooFewTokens("validation", length, 2, "a token to predict and one before it");
}

/**
 * Where the sequences begin that follow the first `consumed` ones of a run.
 *
 * Order: an epoch is a cut of the stream into windows of `sequence` tokens that do not overlap, from an offset that the
 * epoch decides, in an order that the epoch decides. Every epoch has the same number of windows, so the epoch of a
 * sequence is a division; at most two windows' worth of tokens at the ends are left out of an epoch.
 * Needs: checkTrainingLength.
 */
export function shuffledOffsets(
  stream: TokenStream,
  sequence: number,
  seed: number,
  consumed: number,
  count: number,
): number[] {
  const { length } = stream.tokens;
  const windows = Math.max(1, Math.floor(length / sequence) - 1);
  const phases = Math.min(sequence, length - windows * sequence);
  return Array.from({ length: count }, (_, i) => {
    const epoch = Math.floor((consumed + i) / windows);
    const phase = Math.floor(uniform({ seed, stream: streams.phase, step: epoch }, 0) * phases);
    const window = permute({ seed, stream: streams.shuffle, step: epoch }, windows, (consumed + i) % windows);
    return phase + window * sequence;
  });
}

/** The sequences that begin at these offsets, one row each. */
export function batchAt(stream: TokenStream, sequence: number, offsets: readonly number[]): Batch {
  const batch = emptyBatch(offsets.length, sequence);
  for (const [row, offset] of offsets.entries()) fillRow(batch, row, stream, offset, sequence);
  return batch;
}

/** How many evaluation windows a stream has. */
export function countEvaluationWindows(stream: TokenStream, sequence: number): number {
  return Math.max(0, Math.ceil((stream.tokens.length - 1) / sequence));
}

/**
 * `rows` evaluation windows from window `first` on. They follow one another without gaps, so that every token but the
 * stream's first is the target of exactly one window; what lies behind the last token is padding.
 */
export function evaluationBatch(stream: TokenStream, sequence: number, first: number, rows: number): Batch {
  const batch = emptyBatch(rows, sequence);
  const count = Math.min(rows, countEvaluationWindows(stream, sequence) - first);
  for (let row = 0; row < count; row++) fillRow(batch, row, stream, (first + row) * sequence, sequence);
  return batch;
}

function emptyBatch(rows: number, sequence: number): Batch {
  return {
    rows,
    tokens: new Int32Array(rows * sequence),
    targets: new Int32Array(rows * sequence).fill(-1),
    documents: new Int32Array(rows * sequence).fill(-1),
    positions: Int32Array.from({ length: rows * sequence }, (_, i) => i % sequence),
  };
}

/** Fills a row with as many tokens from `offset` as have a token after them. */
function fillRow(batch: Batch, row: number, stream: TokenStream, offset: number, sequence: number): void {
  const { tokens, documentStarts } = stream;
  const start = row * sequence;
  const length = Math.min(sequence, tokens.length - 1 - offset);
  batch.tokens.set(tokens.subarray(offset, offset + length), start);
  batch.targets.set(tokens.subarray(offset + 1, offset + 1 + length), start);
  let document = documentAt(documentStarts, offset);
  for (let i = 0; i < length; i++) {
    // Documents have at least one token, so one step is enough.
    if (documentStarts[document + 1] === offset + i) document++;
    batch.documents[start + i] = document;
  }
}

/** The last document that begins at or before a token, by halving. */
function documentAt(starts: Int32Array, token: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= token) low = middle;
    else high = middle;
  }
  return low;
}

/** An order of sequences that the user gives: for each step the token offsets of its sequences. */
export class SequenceOrder {
  readonly #path: string;
  readonly #steps: readonly (readonly number[])[];

  constructor(path: string, steps: readonly (readonly number[])[]) {
    this.#path = path;
    this.#steps = steps;
  }

  /** The offsets of a step, from 0. Errors: `data/order-too-short`. */
  offsets(step: number): readonly number[] {
    const offsets = this.#steps[step];
    if (offsets === undefined) throw orderTooShort(this.#path, step, this.#steps.length);
    return offsets;
  }
}

/**
 * Reads the text of an order file and checks every offset against the stream.
 *
 * Errors: `data/bad-order`; `data/offset-outside` with step and entry.
 */
export function parseOrder(text: string, path: string, stream: TokenStream, sequence: number): SequenceOrder {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badOrder(path, error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(value)) throw badOrder(path, "it is no array");
  const last = stream.tokens.length - 1 - sequence;
  const steps = value.map((step: unknown, number) => {
    if (!Array.isArray(step) || step.length === 0) throw badOrder(path, `step ${number} is no array of offsets`);
    return step.map((offset: unknown, index) => {
      if (typeof offset !== "number" || !Number.isSafeInteger(offset)) {
        throw badOrder(path, `entry ${index} of step ${number} is no whole number`);
      }
      if (offset < 0 || offset > last) throw offsetOutside(path, number, index, offset, last);
      return offset;
    });
  });
  return new SequenceOrder(path, steps);
}
