// The nodes of a YAML document as the rest of mspec sees them: maps, lists and scalars with their places. No anchor,
// alias, tag or merge key gets this far.

import type { ExpressionText, Place } from "./text.ts";

export type YamlNode = YamlMap | YamlList | YamlScalar | YamlFault;

export interface YamlMap {
  readonly kind: "map";
  /** In the order of the file. */
  readonly entries: ReadonlyMap<string, YamlEntry>;
  readonly place: Place;
}

export interface YamlEntry {
  readonly key: YamlScalar;
  readonly value: YamlNode;
}

export interface YamlList {
  readonly kind: "list";
  readonly items: readonly YamlNode[];
  readonly place: Place;
}

export interface YamlScalar {
  readonly kind: "scalar";
  readonly value: string | number | boolean | null;
  /** What an expression parser reads, with the way back to the file; a number as it is written. */
  readonly text: ExpressionText;
  readonly place: Place;
}

/** Something that a diagnostic has been given for; whoever meets it says nothing more. */
export interface YamlFault {
  readonly kind: "fault";
  readonly place: Place;
}
