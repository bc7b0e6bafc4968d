// Whether a GPU ends what it is given: it is told of when that takes far longer than ever before, and given up when it takes
// longer still. Knows no queue and no buffer; what is awaited is given to it as promises, in the order of the GPU's work.

import type { Manifest } from "../contract.ts";
import { hung, takesLong } from "../messages/webgpu.ts";
import { type Submission, Work } from "./webgpu-work.ts";

/**
 * Time is counted in looks of an own timer. A machine that sleeps makes none, a page in the background few: both are behind
 * the clock on the wall, and so is a GPU that was not at work meanwhile.
 */
const lookMilliseconds = 1000;

/**
 * Usual is the longest that such work ever took. It is told of behind a minute and ten times that, and given up behind ten
 * minutes and thirty times that: a GPU that is shared or hot is slower by less, and drivers that end what hangs do so
 * within ten seconds.
 */
const told = { seconds: 60, times: 10 } as const;
const givenUp = { seconds: 600, times: 30 } as const;

/**
 * What work that was never done before is thought to take, in FLOPs per second: a product reaches 4.6 GFLOPS on a software
 * adapter with two cores, a training step 2 (docs/benchmarks.md), and GPUs within processors have peaks around 500.
 */
const plannedSpeed = { software: 5e9, gpu: 5e11 } as const;

export interface WatchdogParts {
  readonly manifest: Manifest;
  /** The adapter, for people. */
  readonly description: string;
  readonly isSoftware: boolean;
  /** Seconds behind which any work is given up, instead of the rule above. */
  readonly deadlineSeconds: number | undefined;
}

interface Awaited {
  readonly work: Work;
  readonly abandon: (error: Error) => void;
}

export class Watchdog {
  readonly #parts: WatchdogParts;
  /** Submitted since the last reading was asked for. */
  #given = new Work();
  /** What is awaited, from the oldest; the GPU is at work on the first. */
  readonly #awaited: Awaited[] = [];
  /** The longest that work of a kind took, in seconds. */
  readonly #longest = new Map<string, number>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Since when the first of what is awaited can have been at work, and looks since then. */
  #begun = 0;
  #looks = 0;
  #isTold = false;
  #isHung = false;
  /** Called with a sentence when work takes far longer than usual, once each time. */
  onWarning: (sentence: string) => void = () => {};
  /** Called when work is given up, or when whoever was warned throws. */
  onFailure: (error: Error) => void = () => {};

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
  }

  /** The GPU was given up; what asks it to end would wait for it. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /** What the GPU is at work on, as far as is known; undefined for nothing. */
  get atWork(): Work | undefined {
    return [...this.#awaited.map(({ work }) => work), this.#given].find((work) => !work.isEmpty);
  }

  gave(submission: Submission): void {
    this.#given.add(submission);
  }

  /** Waits for a reading behind all that was submitted. Errors: the reading's own; `device/hung`; whatever `stop` is told. */
  async guard<Result>(reading: Promise<Result>): Promise<Result> {
    let abandon: (error: Error) => void = () => {};
    const abandoned = new Promise<never>((_, reject) => {
      abandon = reject;
    });
    const awaited = { work: this.#given, abandon };
    this.#given = new Work();
    this.#awaited.push(awaited);
    if (this.#awaited.length === 1) this.#begin();
    // A reading that fails stays awaited: what was at work is asked for when the reason is known.
    const result = await Promise.race([reading, abandoned]);
    this.#ended(awaited);
    return result;
  }

  /** Nothing is awaited any more: all of it fails. */
  stop(error: Error): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const { abandon } of this.#awaited.splice(0)) abandon(error);
  }

  #begin(): void {
    this.#begun = performance.now();
    this.#looks = 0;
    this.#isTold = false;
    this.#timer ??= startTimer(() => this.#look());
  }

  #ended(awaited: Awaited): void {
    const index = this.#awaited.indexOf(awaited);
    if (index < 0) return;
    this.#awaited.splice(index, 1);
    if (index > 0) return;
    const seconds = Math.min(performance.now() - this.#begun, (this.#looks + 1) * lookMilliseconds) / 1000;
    const kind = awaited.work.text;
    this.#longest.set(kind, Math.max(seconds, this.#longest.get(kind) ?? 0));
    if (this.#awaited.length > 0) {
      this.#begin();
    } else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #look(): void {
    const [{ work }] = this.#awaited;
    const seconds = (++this.#looks * lookMilliseconds) / 1000;
    const { manifest, description, deadlineSeconds } = this.#parts;
    const longest = this.#longest.get(work.text);
    const usual = longest ?? work.flops / plannedSpeed[this.#parts.isSoftware ? "software" : "gpu"];
    const deadline = deadlineSeconds ?? Math.max(givenUp.seconds, givenUp.times * usual);
    const isLate = seconds >= Math.max(told.seconds, told.times * usual);
    if (seconds < deadline && (!isLate || this.#isTold)) return;
    const lateness = { work: work.describe(manifest), seconds, longest, deadline };
    if (seconds >= deadline) {
      this.#isHung = true;
      this.onFailure(hung(description, lateness));
      return;
    }
    this.#isTold = true;
    try {
      this.onWarning(takesLong(description, lateness));
    } catch (error) {
      this.onFailure(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

/** A process may end while the timer runs; in a page it is a number. */
function startTimer(look: () => void): ReturnType<typeof setInterval> {
  const timer = setInterval(look, lookMilliseconds);
  timer.unref?.();
  return timer;
}
