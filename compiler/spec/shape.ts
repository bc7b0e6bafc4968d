// What a value of a spec may look like: the words in which schema.ts says which keys exist. Knows YAML's kinds of value
// and the kinds of expression; refuses to know any key.

/** One key of a section. */
export interface Key {
  readonly shape: Shape;
  /** One sentence for the editor and the reference. */
  readonly description: string;
  /** What Hugging Face, Megatron or their neighbours call it. */
  readonly aliases: readonly string[];
  /** The kinds of block that have it; left out: all. */
  readonly kinds?: readonly string[];
  /** `undefined`: may be left out and means nothing then; `required`: may not; otherwise the text that is read instead. */
  readonly fallback: Fallback;
}

export type Fallback = { readonly required: true } | { readonly text: string } | undefined;

export interface SectionShape {
  readonly kind: "section";
  /** One sentence for the editor where a key has several shapes and its own is about all of them. */
  readonly description?: string;
  readonly keys: ReadonlyMap<string, Key>;
  /** The words of its key `kind`, where it decides which of the keys there are. */
  readonly kinds?: readonly string[];
}

export interface NumberShape {
  /** `whole` numbers are exact up to 2^53; both kinds may be written as sizes. */
  readonly kind: "whole" | "real";
  readonly least?: number;
  readonly most?: number;
  /** Bounds that the number itself may not reach. */
  readonly above?: number;
  readonly below?: number;
  /** Kernels compute with it: it must be an f32, and where it must be above 0, still be so when it is rounded. */
  readonly isFloat?: true;
}

/** Kinds of expression that are written as text. */
export type ExpressionKind = "formula" | "distribution" | "precision" | "selector" | "range" | "tile" | "schedule";

export type Shape =
  | SectionShape
  | NumberShape
  /** The example is what an editor offers, where that of the kind would mislead. */
  | { readonly kind: ExpressionKind; readonly example?: string }
  /** The version of the language. */
  | { readonly kind: "version"; readonly version: number }
  | { readonly kind: "flag" }
  /** One of the words, or also `true` or `false`. */
  | { readonly kind: "choice"; readonly words: readonly string[]; readonly isFlagToo?: true }
  | { readonly kind: "text"; readonly pattern?: RegExp; readonly example: string }
  | { readonly kind: "list"; readonly of: Shape; readonly least: number; readonly most?: number }
  /** A map whose keys the user invents: names, or selectors; `single` maps are rules of one entry. */
  | { readonly kind: "map"; readonly keys: "name" | "selector"; readonly of: Shape; readonly isSingle?: true }
  /** Told apart by YAML's kinds: at most one scalar, one list and one map. */
  | { readonly kind: "either"; readonly shapes: readonly Shape[] };

export type YamlKind = "scalar" | "list" | "map";

/** The kind of YAML value that a shape describes. */
export function yamlKind(shape: Exclude<Shape, { kind: "either" }>): YamlKind {
  if (shape.kind === "section" || shape.kind === "map") return "map";
  return shape.kind === "list" ? "list" : "scalar";
}

/** The branches of a shape, one for each YAML kind. */
export function branches(shape: Shape): readonly Exclude<Shape, { kind: "either" }>[] {
  return shape.kind === "either" ? shape.shapes.flatMap(branches) : [shape];
}

export function isRequired({ fallback }: Key): boolean {
  return fallback !== undefined && "required" in fallback;
}

/** The text that is read when a key is left out. */
export function fallbackText({ fallback }: Key): string | undefined {
  return fallback !== undefined && "text" in fallback ? fallback.text : undefined;
}

/** The items of a default that is a list, such as `[0.9, 0.95]`. */
export function fallbackItems(key: Key): string[] {
  return fallbackText(key)?.match(/[\w.]+/g) ?? [];
}

/** Identifiers of the language. */
export const identifierPattern = /^[A-Za-z][A-Za-z0-9_]{0,62}$/;

/** Numbers that a key may be given as text are expressions: one number in quotes is none, two are for the parser. */
export const expressionPattern = /[^0-9.\s]|[0-9.]\s+[0-9.]/;
