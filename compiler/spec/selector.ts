// Which operations a rule is about: a parsed selector and its test against operation paths.

import type { SelectorSyntax } from "../formula/syntax.ts";
import type { Place } from "../source/text.ts";

export type Direction = "fprop" | "dgrad" | "wgrad";

/** What a selector is tested against. */
export interface Operation {
  /** Such as `layers[3].attention.q`. */
  readonly path: string;
  /** Classes of language.md that are no step of the path: linear, norm, activation. */
  readonly classes: readonly string[];
  /** How many of what the path indexes there are, by step name (`layers` → 61): negative indices count from it. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface Selector {
  readonly syntax: SelectorSyntax;
  readonly place: Place;
  /** The directions a last part named, or undefined for all. */
  readonly directions: readonly Direction[] | undefined;
}
