// How schema.ts and its parts write keys down: sections, keys with and without a default, and the shapes that many share.

import type { Fallback, Key, SectionShape, Shape } from "./shape.ts";

export type Keys = Readonly<Record<string, Key>>;

export const section = (keys: Keys, description?: string): SectionShape => ({
  kind: "section",
  keys: new Map(Object.entries(keys)),
  ...(description === undefined ? {} : { description }),
});

/** A key that must be given. */
export const needed = (shape: Shape, description: string, aliases: readonly string[] = []): Key => ({
  shape,
  description,
  aliases,
  fallback: { required: true },
});

/** A key with a default, or one that means nothing when it is left out. */
export function optional(shape: Shape, description: string, fallback?: string, aliases: readonly string[] = []): Key {
  const text: Fallback = fallback === undefined ? undefined : { text: fallback };
  return { shape, description, aliases, fallback: text };
}

/** Keys that only blocks of one kind have. */
export function only(kind: string, keys: Keys): Keys {
  return Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, { ...key, kinds: [kind] }]));
}

export const count: Shape = { kind: "whole", least: 1 };
export const countOrNone: Shape = { kind: "whole", least: 0 };
export const flag: Shape = { kind: "flag" };
export const positive: Shape = { kind: "real", above: 0 };
/** Numbers that kernels compute with. */
export const positiveFloat: Shape = { kind: "real", above: 0, isFloat: true };
export const formula: Shape = { kind: "formula" };

/** Positions are exact as floats up to here, and masks compute with them. */
export const mostContext = 2 ** 24;

/** A block, or a list whose entries merge in order: later wins, and one of another kind replaces what was there. */
export function blocks(keys: Keys, kinds: readonly string[], what: string): Shape {
  const entry = Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, { ...key, fallback: undefined }]));
  const layers = optional(
    { kind: "range" },
    "The layers that this entry is for, such as `0..2` or `0.. by 2`; all if left out.",
  );
  const one = { ...section(keys, `The ${what} of all layers`), kinds };
  const some = { ...section({ layers, ...entry }, `The ${what} of some layers`), kinds };
  return { kind: "either", shapes: [one, { kind: "list", of: some, least: 1 }] };
}
