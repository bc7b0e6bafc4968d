// What was meant by a key that does not exist: names of Hugging Face and Megatron, slips of the finger, keys of other
// sections.

import { unknownKeyHelp } from "../source/messages/key.ts";
import { nearest } from "../source/suggestions.ts";
import { isOfKind } from "./kinds.ts";
import { specSchema } from "./schema.ts";
import { branches, type Key, type SectionShape } from "./shape.ts";

interface KnownKey {
  readonly section: string;
  readonly name: string;
  readonly path: string;
  readonly aliases: readonly string[];
  readonly key: Key;
}

/** The way out of `key`, an unknown key of the section at `path`, which is a block of `kind` or a part of one. */
export function helpForUnknownKey(
  key: string,
  path: string,
  section: SectionShape,
  kind: string | undefined,
): string | undefined {
  const written = key.toLowerCase().replaceAll("-", "_");
  const known = knownKeys("", specSchema);
  const here = known.filter((candidate) => candidate.section === path);
  const own = here.find(({ aliases }) => aliases.includes(written));
  if (own !== undefined) {
    return isOfKind(own.key, kind)
      ? unknownKeyHelp.alias(own.name)
      : unknownKeyHelp.otherKind(own.name, own.key.kinds ?? []);
  }
  const legal = [...section.keys].filter(([, candidate]) => isOfKind(candidate, kind)).map(([name]) => name);
  const slips = nearest(written, legal, 2);
  if (slips.length > 0) return unknownKeyHelp.sameSection(slips);
  const others = known.filter(({ name, aliases }) => name === written || aliases.includes(written));
  if (others.length > 0) return unknownKeyHelp.elsewhere(others.map((other) => other.path));
  const reachable = known.filter((candidate) => candidate.section !== path || isOfKind(candidate.key, kind));
  const ownByAlias = nearestByAlias(
    written,
    reachable.filter((candidate) => candidate.section === path),
  );
  if (ownByAlias.length > 0) return unknownKeyHelp.sameSection(ownByAlias.map(({ name }) => name));
  // Far away a short word is near to everything.
  const far = written.length < 6 ? [] : nearestByAlias(written, reachable);
  return far.length === 0 ? undefined : unknownKeyHelp.elsewhere(far.map((other) => other.path));
}

function nearestByAlias(written: string, known: readonly KnownKey[]): KnownKey[] {
  const names = known.flatMap(({ name, aliases }) => [name, ...aliases]);
  const [closest] = nearest(written, names, 1);
  return closest === undefined
    ? []
    : known.filter(({ name, aliases }) => name === closest || aliases.includes(closest));
}

/** Every key below a section; lists of blocks are those blocks. */
function knownKeys(path: string, section: SectionShape): KnownKey[] {
  return [...section.keys].flatMap(([name, key]) => {
    const own = path === "" ? name : `${path}.${name}`;
    const { aliases } = key;
    const below = branches(key.shape).flatMap((branch) => (branch.kind === "section" ? knownKeys(own, branch) : []));
    return [{ section: path, name, path: own, aliases, key }, ...below];
  });
}
