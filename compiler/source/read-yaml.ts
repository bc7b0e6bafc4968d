// From a source text to YAML nodes with places. Bounded by scan-yaml.ts; what the library parses silently to something
// else than it looks is refused here.

import * as YAML from "yaml";
import { type Diagnostics, invariant } from "./diagnostic.ts";
import * as say from "./messages/yaml.ts";
import { type ScalarStyle, scalarText } from "./scalar-text.ts";
import { scanYaml } from "./scan-yaml.ts";
import type { Place, SourceText, Span } from "./text.ts";
import type { YamlEntry, YamlFault, YamlMap, YamlNode, YamlScalar } from "./yaml-node.ts";

/**
 * The document of a text, or undefined after a fault that leaves nothing to go on with.
 *
 * `shown` is what messages show: another text of the same length, such as the whole `--set key=value` of a value.
 */
export function readYaml(source: SourceText, diagnostics: Diagnostics, shown = source): YamlNode | undefined {
  if (!scanYaml(source.text, shown, diagnostics)) return undefined;
  const document = YAML.parseDocument(source.text, {
    version: "1.2",
    schema: "core",
    intAsBigInt: true,
    keepSourceTokens: true,
    merge: false,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: "error",
  });
  // One fault of YAML's makes others behind it, so only the first is told.
  const [fault] = [...document.errors, ...document.warnings];
  if (fault !== undefined) {
    const [start, end] = fault.pos;
    diagnostics.add(say.syntax(fault.code, fault.message, { source: shown, span: { start, end } }));
    return undefined;
  }
  if (document.contents === null || isNothing(document.contents)) {
    diagnostics.add(say.noDocument({ source: shown, span: { start: 0, end: 0 } }));
    return undefined;
  }
  return new NodeReader(shown, diagnostics).read(document.contents);
}

function isNothing(node: unknown): boolean {
  return YAML.isScalar(node) && node.value === null && node.source === "";
}

/** No key of a spec has these names, and objects would give them a meaning of their own. */
const reservedKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

interface Joined<Item> {
  readonly item: Item;
  readonly fault: YamlFault | undefined;
}

class NodeReader {
  readonly #source: SourceText;
  readonly #diagnostics: Diagnostics;

  constructor(source: SourceText, diagnostics: Diagnostics) {
    this.#source = source;
    this.#diagnostics = diagnostics;
  }

  read(node: unknown): YamlNode {
    if (YAML.isMap(node)) return this.#map(node);
    if (YAML.isSeq(node)) return this.#list(node);
    invariant(YAML.isScalar(node), "the YAML library composed a node of unknown kind");
    return this.#scalar(node);
  }

  #map(map: YAML.YAMLMap): YamlMap {
    const entries = new Map<string, YamlEntry>();
    for (const { item, fault } of this.#joined(map.items, (pair) => (map.flow ? pairParts(pair) : []))) {
      if (fault !== undefined && item.value === null) continue;
      const key = this.#key(item.key);
      if (key === undefined) continue;
      const name = key.text.text;
      const earlier = entries.get(name);
      if (earlier !== undefined) this.#diagnostics.add(say.duplicateKey(name, key.place, earlier.key.place));
      else entries.set(name, { key, value: fault ?? this.#value(item.value, key) });
    }
    return { kind: "map", entries, place: this.#place(map) };
  }

  #key(node: unknown): YamlScalar | undefined {
    if (!YAML.isScalar(node)) {
      this.#diagnostics.add(say.keyNotText(this.#place(node)));
      return undefined;
    }
    const key = this.#plainScalar(node, typeof node.value === "string" ? node.value : (node.source ?? ""));
    const name = key.text.text;
    if (name === "") this.#diagnostics.add(say.emptyKey(key.place));
    else if (name === "<<") this.#diagnostics.add(say.mergeKey(key.place));
    else if (reservedKeys.has(name)) this.#diagnostics.add(say.reservedKey(name, key.place));
    else return key;
    return undefined;
  }

  /** A key without a value is null at the key. */
  #value(node: unknown, key: YamlScalar): YamlNode {
    if (node !== null && node !== undefined && !isNothing(node)) return this.read(node);
    return { kind: "scalar", value: null, text: key.text, place: key.place };
  }

  #list(list: YAML.YAMLSeq): YamlNode {
    const parts = this.#joined(list.items, (item) => (list.flow ? [item] : []));
    return { kind: "list", items: parts.map(({ item, fault }) => fault ?? this.read(item)), place: this.#place(list) };
  }

  /** The items of braces or brackets; those that a comma cut from one expression, as in `{ a: max(x, 0) }`, are a fault. */
  #joined<Item>(items: readonly Item[], partsOf: (item: Item) => readonly unknown[]): Joined<Item>[] {
    const joined: Joined<Item>[] = [];
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      const first = partsOf(item).at(-1);
      let last = i;
      let depth = openBrackets(first);
      while (depth > 0 && last + 1 < items.length) {
        for (const part of partsOf(items[++last])) depth += openBrackets(part);
      }
      joined.push({ item, fault: last === i ? undefined : this.#split(first, partsOf(items[last]).at(-1)) });
      i = last;
    }
    return joined;
  }

  #split(first: unknown, last: unknown): YamlFault {
    const span = { start: this.#span(first).start, end: this.#span(last).end };
    const place = { source: this.#source, span };
    this.#diagnostics.add(say.commaSplits(this.#source.text.slice(span.start, span.end), place));
    return { kind: "fault", place };
  }

  #scalar(node: YAML.Scalar): YamlScalar | YamlFault {
    const { value, source = "" } = node;
    const place = this.#place(node);
    if (typeof value === "string") return this.#plainScalar(node, value);
    if (typeof value === "boolean" || value === null) return { ...this.#plainScalar(node, source), value };
    invariant(typeof value === "bigint" || typeof value === "number", "a YAML scalar has an unknown type");
    const diagnostic = numberFault(value, source, place);
    if (diagnostic === undefined) return { ...this.#plainScalar(node, source), value: Number(value) };
    this.#diagnostics.add(diagnostic);
    return { kind: "fault", place };
  }

  #plainScalar(node: YAML.Scalar, value: string): YamlScalar {
    const place = this.#place(node);
    const style = styles.get(node.type ?? "") ?? "plain";
    const content = contentOf(node, style, place.span);
    const text = scalarText(value, { source: this.#source, content, style });
    return { kind: "scalar", value, text, place };
  }

  #place(node: unknown): Place {
    return { source: this.#source, span: this.#span(node) };
  }

  #span(node: unknown): Span {
    invariant(YAML.isNode(node) && node.range, "the YAML library composed a node without a place");
    return { start: node.range[0], end: node.range[1] };
  }
}

/** Key and value of a pair, as far as they have text; the last is where an expression may have been cut. */
function pairParts(pair: YAML.Pair): readonly unknown[] {
  return [pair.key, pair.value].filter((part) => YAML.isNode(part) && !isNothing(part));
}

/** How many more brackets open than close in an unquoted text. */
function openBrackets(node: unknown): number {
  if (!YAML.isScalar(node) || node.type !== "PLAIN" || node.source === undefined) return 0;
  return node.source.split("(").length - node.source.split(")").length;
}

const styles: ReadonlyMap<string, ScalarStyle> = new Map([
  ["PLAIN", "plain"],
  ["QUOTE_SINGLE", "single"],
  ["QUOTE_DOUBLE", "double"],
  ["BLOCK_LITERAL", "block"],
  ["BLOCK_FOLDED", "block"],
]);

/** The characters of a scalar without its quotes or block header. */
function contentOf(node: YAML.Scalar, style: ScalarStyle, span: Span): Span {
  if (style === "plain") return span;
  if (style !== "block") return { start: span.start + 1, end: span.end - 1 };
  const token = node.srcToken;
  invariant(token?.type === "block-scalar", "a block scalar has no source token");
  const header = token.props.reduce((length, prop) => length + ("source" in prop ? prop.source.length : 0), 0);
  return { start: span.start + header, end: span.start + header + token.source.length };
}

/** What is wrong with a number that the library has read from `text`. */
function numberFault(value: bigint | number, text: string, place: Place) {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : say.notFinite(text, place);
  if (!/^[+-]?(0|[1-9]\d*)$/.test(text) || /^[+-]0/.test(text)) return say.numberNotation(text, String(value), place);
  return value > 2n ** 53n || value < -(2n ** 53n) ? say.notExact(text, place) : undefined;
}
