// Flags whose values are numbers: what is none is refused where it is given.

import { InvalidArgumentError, Option } from "commander";

/** A flag for a whole number from `least` on. */
export function wholeFlag(name: string, what: string, least: number): Option {
  return new Option(`--${name} <number>`, what).argParser((text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least)) throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
    return value;
  });
}

/** A flag for any number; its range is checked by whoever knows what it means. */
export function realFlag(name: string, what: string): Option {
  return new Option(`--${name} <number>`, what).argParser((text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
    return value;
  });
}

export const threadsFlag = (): Option => wholeFlag("threads", "threads of the wasm device (default: one per core)", 1);
