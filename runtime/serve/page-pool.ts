// Hands out the pages of the key-value cache. Knows numbers of pages, nothing of what lies in them.

export class PagePool {
  readonly count: number;
  /** The next page to hand out is the last one. */
  readonly #free: number[];

  constructor(count: number) {
    this.count = count;
    this.#free = Array.from({ length: count }, (_, index) => count - 1 - index);
  }

  get free(): number {
    return this.#free.length;
  }

  /** So many pages, or undefined when there are fewer. */
  take(count: number): number[] | undefined {
    if (count > this.#free.length) return undefined;
    return this.#free.splice(this.#free.length - count, count).reverse();
  }

  giveBack(pages: readonly number[]): void {
    this.#free.push(...pages.toReversed());
  }
}
