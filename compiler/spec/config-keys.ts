// Reads keys of a config.json of Hugging Face one by one, with their places, and tells what is wrong with them.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/hugging-face.ts";
import type { Place, SourceText } from "../source/text.ts";

/** A value and where it is from, as a comment of the spec says it. */
export interface Sourced<T> {
  readonly value: T;
  readonly from: string;
}

/** What transformers has where a key is left out. */
export const fallback = <T>(value: T): Sourced<T> => ({
  value,
  from: "left out in config.json: transformers' default",
});

export type ConfigValues = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is ConfigValues =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * A JSON object of a config; `null` is as good as absent, as in transformers. What is missing or wrong is told, and a value
 * that is none stands in for it, so that the other keys are looked at, too: no facts are used where anything was told.
 */
export class ConfigKeys {
  readonly diagnostics: Diagnostics;
  readonly values: ConfigValues;
  readonly #source: SourceText;
  readonly #prefix: string;
  /** Keys of which was told what is wrong: some are read more than once. */
  readonly #told = new Set<string>();

  constructor(source: SourceText, values: ConfigValues, diagnostics: Diagnostics, prefix = "") {
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

  /** The first of several spellings of a key that is given; the last one if none is. Two that differ are told. */
  spelling(...names: readonly string[]): string {
    const given = names.filter((name) => this.isGiven(name));
    const [first, ...others] = given;
    const other = others.find((name) => JSON.stringify(this.values[name]) !== JSON.stringify(this.values[first]));
    if (other !== undefined) {
      this.diagnostics.add(say.contradiction(this.key(other), `\`${first}\` is ${JSON.stringify(this.values[first])}`));
    }
    return first ?? names[names.length - 1];
  }

  /** An object below a key. */
  below(name: string): ConfigKeys | undefined {
    const value = this.values[name];
    if (isRecord(value)) return new ConfigKeys(this.#source, value, this.diagnostics, `${this.#prefix}${name}.`);
    if (this.isGiven(name)) this.diagnostics.add(say.wrongValue(this.key(name), "an object"));
    return undefined;
  }

  whole(name: string, otherwise?: Sourced<number>, least = 1): Sourced<number> {
    const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= least;
    return this.#read(name, isWhole, { wanted: `a whole number from ${least}`, standIn: Number.NaN }, otherwise);
  }

  positive(name: string, otherwise?: Sourced<number>): Sourced<number> {
    const isPositive = (value: unknown): value is number =>
      typeof value === "number" && Number.isFinite(value) && value > 0;
    return this.#read(name, isPositive, { wanted: "a number above 0", standIn: Number.NaN }, otherwise);
  }

  flag(name: string, otherwise: Sourced<boolean>): Sourced<boolean> {
    const isFlag = (value: unknown): value is boolean => typeof value === "boolean";
    return this.#read(name, isFlag, { wanted: "true or false", standIn: false }, otherwise);
  }

  word(name: string, otherwise?: Sourced<string>): Sourced<string> {
    const isWord = (value: unknown): value is string => typeof value === "string";
    return this.#read(name, isWord, { wanted: "a text", standIn: "" }, otherwise);
  }

  list<T>(name: string, isItem: (value: unknown) => value is T, wanted: string, otherwise: Sourced<readonly T[]>) {
    const isList = (value: unknown): value is readonly T[] => Array.isArray(value) && value.every(isItem);
    return this.#read<readonly T[]>(name, isList, { wanted, standIn: [] }, otherwise);
  }

  #read<T>(
    name: string,
    isRight: (value: unknown) => value is T,
    { wanted, standIn }: { readonly wanted: string; readonly standIn: T },
    otherwise?: Sourced<T>,
  ): Sourced<T> {
    const value = this.values[name];
    const from = `${this.#prefix}${name}`;
    if (!this.isGiven(name)) {
      if (otherwise !== undefined) return otherwise;
      if (!this.#told.has(name)) this.diagnostics.add(say.missing(from, wanted, this.#placeOf(name)));
    } else if (isRight(value)) return { value, from };
    else if (!this.#told.has(name)) this.diagnostics.add(say.wrongValue(this.key(name), wanted));
    this.#told.add(name);
    return { value: standIn, from };
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
