// How often operations of a lowered formula are read.

import type { Operation } from "./lower.ts";

/** How often operations are read by others in a list, and by the list's own consumers. */
export function countReaders(
  operations: readonly Operation[],
  consumers: readonly Operation[],
): Map<Operation, number> {
  const readers = new Map<Operation, number>();
  const read = (operation: Operation) => readers.set(operation, (readers.get(operation) ?? 0) + 1);
  for (const operation of operations) operation.args.forEach(read);
  consumers.forEach(read);
  return readers;
}
