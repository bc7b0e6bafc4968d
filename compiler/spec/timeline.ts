// The clock of a training run: how many tokens have been seen when a step begins, by the batch size of every step.

/** From `step` on, until the next run, every step sees the same number of tokens. */
interface Run {
  readonly step: number;
  readonly tokens: number;
  readonly tokensPerStep: number;
}

/** A moment in both units: for one that was given in tokens, the first step that begins at or behind it. */
export interface Moment {
  readonly steps: number;
  readonly tokens: number;
}

export class Timeline {
  readonly #runs: Run[] = [];

  /** Steps from `step` on see `tokensPerStep` tokens; runs are added in order. */
  add(step: number, tokens: number, tokensPerStep: number): void {
    if (this.#runs.at(-1)?.tokensPerStep !== tokensPerStep) this.#runs.push({ step, tokens, tokensPerStep });
  }

  /** When `count` steps have been made. */
  atStep(count: number): Moment {
    const run = this.#runs.findLast(({ step }) => step <= count) ?? this.#runs[0];
    return { steps: count, tokens: run.tokens + (count - run.step) * run.tokensPerStep };
  }

  /** The first moment between steps at which at least `count` tokens have been seen. */
  atTokens(count: number): Moment {
    const run = this.#runs.findLast(({ tokens }) => tokens <= count) ?? this.#runs[0];
    return this.atStep(run.step + Math.ceil((count - run.tokens) / run.tokensPerStep));
  }
}
