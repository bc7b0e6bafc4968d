// Which sequences each step trains on: shuffled by the seed, or in an order that the user gives.

import type { ManifestTraining } from "../contract.ts";
import { type Batch, batchAt, parseOrder, type SequenceOrder, shuffledOffsets } from "../data/batches.ts";
import type { TokenStream } from "../data/token-stream.ts";
import { type Disk, readText } from "../files/disk.ts";
import { missingOrder, orderNotAFile, orderNotWhole, orderTooLarge } from "../messages/train.ts";
import { type Moment, sequencesAt } from "../schedule.ts";

/** A year of steps of 4,096 sequences. */
const orderLimit = 1 << 28;

/** An order file that was read: its offsets, and its text for a fingerprint. */
export interface GivenOrder {
  readonly text: string;
  readonly order: SequenceOrder;
}

/** Checks the order against the whole training: a mistake in its last step is found before the first one. */
export async function readOrder(
  disk: Disk,
  path: string,
  stream: TokenStream,
  { sequence, micro, steps }: ManifestTraining,
): Promise<GivenOrder> {
  const stat = await disk.stat(path);
  if (stat === undefined) throw missingOrder(path);
  if (stat.kind !== "file") throw orderNotAFile(path);
  const text = await readText(disk, path, orderLimit);
  if (text === undefined) throw orderTooLarge(path, orderLimit);
  const order = parseOrder(text, path, stream, sequence);
  for (let step = 0; step < steps; step++) {
    const { length } = order.offsets(step);
    if (length % micro !== 0) throw orderNotWhole(path, step, length, micro);
  }
  return { text, order };
}

/** The batch of the step that begins at `now`, when `consumed` sequences came before. */
export function batchOf(
  training: ManifestTraining,
  stream: TokenStream,
  given: GivenOrder | undefined,
  now: Moment,
  consumed: number,
): Batch {
  const { sequence, seed } = training;
  if (given === undefined) {
    const count = sequencesAt(training, now);
    return batchAt(stream, sequence, shuffledOffsets(stream, sequence, seed, consumed, count));
  }
  return batchAt(stream, sequence, given.order.offsets(now.steps));
}
