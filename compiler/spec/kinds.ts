// Blocks of several kinds: which keys a block of a kind has, what is wrong with the others, and what stays of a block that
// becomes one of another kind.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/key.ts";
import type { YamlEntry, YamlMap } from "../source/yaml-node.ts";
import { branches, type Key, type SectionShape } from "./shape.ts";

/** The kind that a block says it is of; undefined if it says none, or none that there is. */
export function kindOf(node: YamlMap | undefined, { kinds }: SectionShape): string | undefined {
  const value = node?.entries.get("kind")?.value;
  return value?.kind === "scalar" ? kinds?.find((kind) => kind === value.value) : undefined;
}

/** Whether blocks of a kind have a key; those of a kind that is not known have all. */
export function isOfKind({ kinds }: Key, kind: string | undefined): boolean {
  return kinds === undefined || kind === undefined || kinds.includes(kind);
}

/** The keys of a block that are legal in one of `kind`, and those below them. */
export function keysOfKind(node: YamlMap, shape: SectionShape, kind: string): YamlMap {
  const entries = [...node.entries].flatMap(([name, entry]): [string, YamlEntry][] => {
    const key = shape.keys.get(name);
    if (key === undefined) return [[name, entry]];
    if (!isOfKind(key, kind)) return [];
    const below = sectionOf(key);
    const { value } = entry;
    if (below === undefined || value.kind !== "map") return [[name, entry]];
    return [[name, { key: entry.key, value: keysOfKind(value, below, kind) }]];
  });
  return { ...node, entries: new Map(entries) };
}

/** Tells of keys of other kinds in a merged block of `kind`, unless the entry that they are from has been told of. */
export function refuseOtherKinds(
  node: YamlMap,
  shape: SectionShape,
  kind: string,
  path: string,
  { diagnostics, faulty }: { readonly diagnostics: Diagnostics; readonly faulty: ReadonlySet<unknown> },
): void {
  for (const [name, { key: word, value }] of node.entries) {
    const key = shape.keys.get(name);
    if (key === undefined || faulty.has(value)) continue;
    const below = sectionOf(key);
    if (!isOfKind(key, kind)) diagnostics.add(say.otherKind(name, path, key.kinds ?? [], kind, word.place));
    else if (below !== undefined && value.kind === "map") {
      refuseOtherKinds(value, below, kind, `${path}.${name}`, { diagnostics, faulty });
    }
  }
}

function sectionOf({ shape }: Key): SectionShape | undefined {
  return branches(shape).find((branch) => branch.kind === "section");
}
