// The order of what is asked of a GPU: everything at once while there is a free staging buffer, else each thing in its turn.

/** One thing to do; `slot` is a staging buffer that is its own until it gives it back. */
interface Turn {
  readonly needsSlot: boolean;
  start(slot: GPUBuffer | undefined): void;
  reject(error: Error): void;
}

export class Turns {
  readonly #free: GPUBuffer[];
  readonly #waiting: Turn[] = [];

  constructor(slots: readonly GPUBuffer[]) {
    this.#free = [...slots];
  }

  /** Nothing waits: what is done now is in order. */
  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Does something that needs no staging buffer, behind all that waits. */
  take<Result>(work: () => Result): Promise<Result> {
    return this.#enter(false, work);
  }

  /** Does something that needs a staging buffer, behind all that waits. */
  takeSlot<Result>(work: (slot: GPUBuffer) => Result): Promise<Result> {
    return this.#enter(true, (slot) => {
      if (slot === undefined) throw new RangeError("a turn began without its staging buffer");
      return work(slot);
    });
  }

  giveBack(slot: GPUBuffer): void {
    this.#free.push(slot);
    this.#go();
  }

  /** Whatever waits fails. */
  abandon(error: Error): void {
    for (const turn of this.#waiting.splice(0)) turn.reject(error);
  }

  #enter<Result>(needsSlot: boolean, work: (slot: GPUBuffer | undefined) => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      const start = (slot: GPUBuffer | undefined) => {
        try {
          resolve(work(slot));
        } catch (error) {
          if (slot !== undefined) this.#free.push(slot);
          reject(error);
        }
      };
      this.#waiting.push({ needsSlot, start, reject });
      this.#go();
    });
  }

  #go(): void {
    for (let [turn] = this.#waiting; turn !== undefined; [turn] = this.#waiting) {
      if (turn.needsSlot && this.#free.length === 0) return;
      this.#waiting.shift();
      turn.start(turn.needsSlot ? this.#free.pop() : undefined);
    }
  }
}
