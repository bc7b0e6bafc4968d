// A heap of the pairs that a BPE trainer may merge next. Knows their order and nothing of words.

export interface Merge {
  /** Left id times 2^21 plus right id: so the smaller number is the pair of smaller ids. */
  readonly pair: number;
  /** How often it occurred when it was queued. */
  readonly count: number;
  /** The words it occurs in. */
  readonly words: readonly number[];
}

/** Whether `a` is merged before `b`: the more frequent one, then the pair of smaller ids. */
function isBefore(a: Merge, b: Merge): boolean {
  return a.count > b.count || (a.count === b.count && a.pair < b.pair);
}

export class MergeQueue {
  readonly #heap: Merge[] = [];

  push(merge: Merge): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(merge, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = merge;
  }

  /** The next to be merged; undefined when the queue is empty. */
  pop(): Merge | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
