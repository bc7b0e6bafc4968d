// When to ask a GPU whether it is done. Dawn in Node asks without a pause for as long as anything is awaited, which takes a
// core; so the host sleeps through most of what a run has taken before. Pages are told, and their timers come late.

/** So many runs alike have to be known, and the shortest of the last ones counts. */
const numKnown = 4;
/** What is left of it for runs that end earlier, and for timers: some systems' come 16 ms late. */
const restShare = 0.2;
const restMilliseconds = 16;
const leastMilliseconds = 5;
/** Kinds of runs that are remembered; counts may make ever new ones. */
const mostKinds = 256;

const isPage = "document" in globalThis;

export class Patience {
  readonly #durations = new Map<string, number[]>();
  #lastEnd = 0;

  /** Sleeps, where runs of this kind are known to take long; `submitted` is when this one was. */
  async until(kind: string, submitted: number): Promise<void> {
    const known = this.#durations.get(kind);
    if (isPage || known === undefined || known.length < numKnown) return;
    const usual = Math.min(...known);
    const pause = submitted + usual - Math.max(restMilliseconds, restShare * usual) - performance.now();
    if (pause >= leastMilliseconds) await new Promise((resolve) => setTimeout(resolve, pause));
  }

  /** Remembers how long a run took that has just ended, from when it could begin. */
  ended(kind: string, submitted: number): void {
    const now = performance.now();
    const duration = now - Math.max(submitted, this.#lastEnd);
    this.#lastEnd = now;
    if (!this.#durations.has(kind) && this.#durations.size >= mostKinds) this.#durations.clear();
    this.#durations.set(kind, [...(this.#durations.get(kind) ?? []).slice(1 - numKnown), duration]);
  }
}
