// Reads keys of a config.json of Hugging Face one by one, with their places, and tells what is wrong with them.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/hugging-face.ts";
import type { Place, SourceText } from "../source/text.ts";

/** A value and where it is from, as a comment of the spec says it. */
export interface Sourced<T> {
  readonly value: T;
  readonly from: string;
}

type Values = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A JSON object of a config; `null` is as good as absent, as in transformers. */
export class ConfigKeys {
  readonly diagnostics: Diagnostics;
  readonly values: Values;
  readonly #source: SourceText;
  readonly #prefix: string;

  constructor(source: SourceText, values: Values, diagnostics: Diagnostics, prefix = "") {
    this.#source = source;
    this.values = values;
    this.diagnostics = diagnostics;
    this.#prefix = prefix;
  }

  isGiven(name: string): boolean {
    return Object.hasOwn(this.values, name) && this.values[name] !== null;
  }

  /** A key for messages. */
  key(name: string): say.ConfigKey {
    return { path: `${this.#prefix}${name}`, value: this.values[name], place: this.#placeOf(name) };
  }

  /** An object below a key. */
  below(name: string): ConfigKeys | undefined {
    const value = this.values[name];
    if (isRecord(value)) return new ConfigKeys(this.#source, value, this.diagnostics, `${this.#prefix}${name}.`);
    if (this.isGiven(name)) this.diagnostics.add(say.wrongValue(this.key(name), "an object"));
    return undefined;
  }

  whole(name: string, fallback?: Sourced<number>): Sourced<number> | undefined {
    const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1;
    return this.#read(name, isWhole, "a whole number from 1", fallback);
  }

  positive(name: string, fallback?: Sourced<number>): Sourced<number> | undefined {
    const isPositive = (value: unknown): value is number =>
      typeof value === "number" && Number.isFinite(value) && value > 0;
    return this.#read(name, isPositive, "a number above 0", fallback);
  }

  flag(name: string, fallback: Sourced<boolean>): Sourced<boolean> | undefined {
    return this.#read(name, (value) => typeof value === "boolean", "true or false", fallback);
  }

  word(name: string, fallback?: Sourced<string>): Sourced<string> | undefined {
    return this.#read(name, (value) => typeof value === "string", "a text", fallback);
  }

  #read<T>(
    name: string,
    isRight: (value: unknown) => value is T,
    wanted: string,
    fallback?: Sourced<T>,
  ): Sourced<T> | undefined {
    const value = this.values[name];
    if (!this.isGiven(name)) {
      if (fallback === undefined)
        this.diagnostics.add(say.missing(`${this.#prefix}${name}`, wanted, this.#placeOf(name)));
      return fallback;
    }
    if (isRight(value)) return { value, from: `${this.#prefix}${name}` };
    this.diagnostics.add(say.wrongValue(this.key(name), wanted));
    return undefined;
  }

  /** The first place where the name stands as a key; the beginning of the file where it does not. */
  #placeOf(name: string): Place {
    const quoted = JSON.stringify(name);
    const at = /^[\w.]+$/.test(name)
      ? this.#source.text.search(new RegExp(`"${name.replaceAll(".", "\\.")}"\\s*:`))
      : -1;
    const span = at < 0 ? { start: 0, end: 0 } : { start: at, end: at + quoted.length };
    return { source: this.#source, span };
  }
}
