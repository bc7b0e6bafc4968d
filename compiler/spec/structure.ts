// Checks a document against the schema: which keys there are, and the kinds and literal bounds of their values. What
// expressions say is checked by those who evaluate them.

import type { Diagnostic, Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/key.ts";
import type { Place } from "../source/text.ts";
import type { YamlList, YamlMap, YamlNode, YamlScalar } from "../source/yaml-node.ts";
import { isOfKind, kindOf } from "./kinds.ts";
import { scalarFault } from "./scalar-fault.ts";
import { branches, identifierPattern, isRequired, type SectionShape, type Shape, yamlKind } from "./shape.ts";
import { helpForUnknownKey } from "./unknown-keys.ts";
import { nodeWords, shapeWords } from "./words.ts";

/** The nodes that are not what the schema says; each has its diagnostic. */
export type FaultyNodes = ReadonlySet<YamlNode>;

export function checkStructure(root: YamlMap, schema: SectionShape, diagnostics: Diagnostics): FaultyNodes {
  const check = new StructureCheck(diagnostics);
  check.section(root, schema, { path: "", place: startOf(root.place) });
  return check.faulty;
}

function startOf({ source, span }: Place): Place {
  return { source, span: { start: span.start, end: span.start } };
}

/** Where a node stands: its path, and its key for what has no better place. */
interface Site {
  readonly path: string;
  readonly place: Place;
  /** The kind of the block that the node is or is part of. */
  readonly kind?: string | undefined;
  /** Keys that would be legal if the node were an entry of a list. */
  readonly listKeys?: SectionShape;
}

class StructureCheck {
  readonly faulty = new Set<YamlNode>();
  readonly #diagnostics: Diagnostics;

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  section(node: YamlMap, shape: SectionShape, site: Site): void {
    const kind = kindOf(node, shape) ?? site.kind;
    for (const [name, { key, value }] of node.entries) {
      const known = shape.keys.get(name);
      const path = site.path === "" ? name : `${site.path}.${name}`;
      if (known === undefined) {
        const help = this.#helpFor(name, shape, { ...site, kind });
        this.#diagnostics.add(say.unknownKey(name, site.path, help, key.place));
      } else if (isOfKind(known, kind)) this.#value(value, known.shape, { path, place: key.place, kind });
      else if (kind !== undefined) {
        this.#refuse(value, say.otherKind(name, plainPath(site.path), known.kinds ?? [], kind, key.place));
      }
    }
    const missing = missingFrom(node, shape, kind);
    if (missing.length > 0) this.#diagnostics.add(say.missingKeys(site.path, missing, site.place));
  }

  #helpFor(name: string, shape: SectionShape, { path, kind, listKeys }: Site): string | undefined {
    if (listKeys?.keys.has(name)) return say.unknownKeyHelp.listOnly(name);
    return helpForUnknownKey(name, plainPath(path), shape, kind);
  }

  #value(node: YamlNode, shape: Shape, site: Site): void {
    if (node.kind === "fault") {
      this.faulty.add(node);
      return;
    }
    const branch = branches(shape).find((candidate) => yamlKind(candidate) === node.kind);
    if (branch === undefined)
      this.#refuse(node, say.wrongKind(site.path, shapeWords(shape), nodeWords(node), node.place));
    else if (node.kind === "scalar") this.#scalar(node, branch, shape, site);
    else if (node.kind === "list") this.#list(node, branch, site);
    else this.#map(node, branch, shape, site);
  }

  #refuse(node: YamlNode, diagnostic: Diagnostic): void {
    this.faulty.add(node);
    this.#diagnostics.add(diagnostic);
  }

  #scalar(node: YamlScalar, branch: Shape, shape: Shape, { path }: Site): void {
    const fault = scalarFault(node, branch, path, shapeWords(shape));
    if (fault !== undefined) this.#refuse(node, fault);
  }

  #list(node: YamlList, branch: Shape, { path }: Site): void {
    if (branch.kind !== "list") return;
    const { items } = node;
    if (items.length < branch.least || items.length > (branch.most ?? Number.POSITIVE_INFINITY)) {
      this.#refuse(node, say.entryCount(path, items.length, branch, node.place));
    }
    items.forEach((item, i) => {
      this.#value(item, branch.of, { path: `${path}[${i}]`, place: startOf(item.place) });
    });
  }

  #map(node: YamlMap, branch: Shape, shape: Shape, site: Site): void {
    if (branch.kind === "section") {
      const list = branches(shape).find((other) => other.kind === "list");
      const listKeys = list?.of.kind === "section" ? { listKeys: list.of } : {};
      this.section(node, branch, { ...site, ...listKeys });
    }
    if (branch.kind !== "map") return;
    if (branch.isSingle && node.entries.size !== 1) {
      this.#refuse(node, say.notSingle(site.path, node.entries.size, node.place));
    }
    for (const [name, { key, value }] of node.entries) {
      if (branch.keys === "name" && !identifierPattern.test(name)) {
        this.#refuse(value, say.malformedName(name, site.path, key.place));
      }
      this.#value(value, branch.of, { path: `${site.path}.${name}`, place: key.place });
    }
  }
}

/** Without the entry of a list that it goes through. */
const plainPath = (path: string): string => path.replace(/\[\d+\]/g, "");

/** The keys that a section needs and has not; where its kind is not known, those that every kind needs. */
export function missingFrom(
  node: YamlMap,
  { keys }: SectionShape,
  kind: string | undefined,
): { name: string; description: string }[] {
  return [...keys]
    .filter(([name, key]) => isRequired(key) && !node.entries.has(name))
    .filter(([, key]) => key.kinds === undefined || (kind !== undefined && isOfKind(key, kind)))
    .map(([name, { description }]) => ({ name, description }));
}
