// MSPEC_DEBUG: how much is told about what mspec does, and how long each stage of it takes.

/** 0 to 4; anything else counts as 0. */
export function debugLevel(): number {
  const level = Number(process.env.MSPEC_DEBUG ?? 0);
  return Number.isInteger(level) && level >= 0 && level <= 4 ? level : 0;
}

/** Measures named stages one after another. */
export class StageTimes {
  readonly #times: { readonly stage: string; readonly milliseconds: number }[] = [];

  /** Runs a stage; a stage inside a stage is measured by itself as well. */
  measure<T>(stage: string, work: () => T): T {
    const start = performance.now();
    const result = work();
    const settle = () => this.#times.push({ stage, milliseconds: performance.now() - start });
    if (result instanceof Promise) return result.finally(settle) as T;
    settle();
    return result;
  }

  /** Prints the table to stderr under MSPEC_DEBUG=1 and above; the whole counts from the start of the process. */
  report(): void {
    if (debugLevel() < 1) return;
    const peak = Math.round(process.resourceUsage().maxRSS / 1024);
    const rows = [...this.#times, { stage: `whole process, ${peak} MiB at most`, milliseconds: performance.now() }];
    for (const { stage, milliseconds } of rows)
      process.stderr.write(`${milliseconds.toFixed(1).padStart(9)} ms  ${stage}\n`);
  }
}
