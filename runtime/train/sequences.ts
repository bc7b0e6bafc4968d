// Which sequences each step trains on: shuffled by the seed, or in an order that the user gives.

import type { ManifestTraining } from "../contract.ts";
import { type Batch, batchAt, parseOrder, type SequenceOrder, shuffledOffsets } from "../data/batches.ts";
import type { TokenStream } from "../data/token-stream.ts";
import { type Disk, readText } from "../files/disk.ts";
import { missingOrder, orderNotWhole, orderTooLarge } from "../messages/train.ts";
import { type Moment, sequencesAt } from "../schedule.ts";

/** A year of steps of 4,096 sequences. */
const orderLimit = 1 << 28;

/** An order file that was read: its offsets, and its text for a fingerprint. */
export interface GivenOrder {
  readonly path: string;
  readonly text: string;
  readonly order: SequenceOrder;
}

export async function readOrder(disk: Disk, path: string, stream: TokenStream, sequence: number): Promise<GivenOrder> {
  if ((await disk.stat(path)) === undefined) throw missingOrder(path);
  const text = await readText(disk, path, orderLimit);
  if (text === undefined) throw orderTooLarge(path, orderLimit);
  return { path, text, order: parseOrder(text, path, stream, sequence) };
}

/** The batch of the step that begins at `now`, when `consumed` sequences came before. */
export function batchOf(
  training: ManifestTraining,
  stream: TokenStream,
  given: GivenOrder | undefined,
  now: Moment,
  consumed: number,
): Batch {
  const { sequence, micro, seed } = training;
  if (given === undefined) {
    const count = sequencesAt(training, now);
    return batchAt(stream, sequence, shuffledOffsets(stream, sequence, seed, consumed, count));
  }
  const offsets = given.order.offsets(now.steps);
  if (offsets.length % micro !== 0) throw orderNotWhole(given.path, now.steps, offsets.length, micro);
  return batchAt(stream, sequence, offsets);
}
