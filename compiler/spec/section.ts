// A section of a spec for those who resolve it: its values with defaults filled in, sizes evaluated, everything else as
// text with its place. A value that is faulty or missing has been told of before and is undefined here.

import { parseSize } from "../formula/parse.ts";
import { decimalSize, evaluateSize, type Size, sizeNumber, sizeWords } from "../formula/size.ts";
import type { Expression } from "../formula/syntax.ts";
import { DiagnosticError, type Diagnostics, invariant } from "../source/diagnostic.ts";
import * as sayKey from "../source/messages/key.ts";
import * as saySize from "../source/messages/size.ts";
import { nearest } from "../source/suggestions.ts";
import type { ExpressionText, Place, Span } from "../source/text.ts";
import type { YamlMap, YamlNode } from "../source/yaml-node.ts";
import { isOfKind, kindOf } from "./kinds.ts";
import { floatFault, isWithin } from "./scalar-fault.ts";
import { branches, fallbackItems, fallbackText, type Key, type NumberShape, type SectionShape } from "./shape.ts";
import type { FaultyNodes } from "./structure.ts";

/** What all sections of one spec share. */
export interface Reading {
  readonly diagnostics: Diagnostics;
  readonly faulty: FaultyNodes;
  /** The sizes that are being evaluated, outermost first: a size that needs itself is among them. */
  readonly pending: { readonly path: string; readonly place: Place }[];
}

export interface SectionSite {
  readonly path: string;
  /** Where messages point that have no better place. */
  readonly place: Place;
  /** The section whose sizes may be named here as well. */
  readonly outer?: Section | undefined;
}

/** Thrown when a size has no value and the reason has been told. */
const alreadyTold = new DiagnosticError([]);

export class Section {
  readonly path: string;
  readonly place: Place;
  readonly reading: Reading;
  /** The kind of the block that this is or is part of. */
  readonly kind: string | undefined;
  readonly #node: YamlMap | undefined;
  readonly #shape: SectionShape;
  readonly #outer: Section | undefined;
  readonly #sizes = new Map<string, Size | undefined>();
  readonly #sections = new Map<string, Section>();

  constructor(reading: Reading, node: YamlMap | undefined, shape: SectionShape, site: SectionSite) {
    this.reading = reading;
    this.path = site.path;
    this.place = site.place;
    this.#node = node;
    this.#shape = shape;
    this.#outer = site.outer;
    this.kind = kindOf(node, shape) ?? site.outer?.kind;
  }

  isGiven(name: string): boolean {
    return this.#node?.entries.has(name) ?? false;
  }

  /** What the file says, unless it is faulty. */
  node(name: string): YamlNode | undefined {
    const value = this.#node?.entries.get(name)?.value;
    return value === undefined || value.kind === "fault" || this.reading.faulty.has(value) ? undefined : value;
  }

  pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  /** The place of a value; of a default, the value that it comes from, or the section. */
  placeOf(name: string): Place {
    const entry = this.#node?.entries.get(name);
    if (entry !== undefined) return entry.value.place;
    const words = fallbackText(this.#key(name))?.match(/[a-z_]+/g) ?? [];
    const source = words.findLast((word) => this.isGiven(word));
    return source === undefined ? this.place : this.placeOf(source);
  }

  /** A section below this one, empty if the file does not give it; sizes of `outer` may be named in it. */
  section(name: string, outer: Section = this): Section {
    const known = this.#sections.get(name);
    if (known !== undefined) return known;
    const shape = branches(this.#key(name).shape).find((branch) => branch.kind === "section");
    invariant(shape?.kind === "section", "this key is no section", this.pathOf(name));
    const node = this.node(name);
    const place = this.#node?.entries.get(name)?.key.place ?? this.place;
    const map = node?.kind === "map" ? node : undefined;
    const section = new Section(this.reading, map, shape, { path: this.pathOf(name), place, outer });
    this.#sections.set(name, section);
    return section;
  }

  flag(name: string): boolean | undefined {
    const text = this.text(name)?.text;
    return text === undefined ? undefined : text.toLowerCase() === "true";
  }

  /** The text of a scalar, or of its default, with places. */
  text(name: string): ExpressionText | undefined {
    if (this.isGiven(name)) {
      const node = this.node(name);
      return node?.kind === "scalar" ? node.text : undefined;
    }
    return this.fallback(name);
  }

  /** The text of a default. */
  fallback(name: string): ExpressionText | undefined {
    const text = fallbackText(this.#key(name));
    const place = this.isGiven(name) ? this.place : this.placeOf(name);
    return text === undefined ? undefined : { text, place: () => place };
  }

  /** The items of a default that is a list. */
  fallbackItems(name: string): string[] {
    return fallbackItems(this.#key(name));
  }

  /** A whole or real number within the bounds of the schema. */
  number(name: string): number | undefined {
    const size = this.#size(name);
    return size === undefined ? undefined : sizeNumber(size);
  }

  /** The number that a scalar of this section says, such as an item of a list. */
  numberOf(text: ExpressionText, shape: NumberShape, path: string): number | undefined {
    const size = this.#told(() => this.#checked(this.#parsed(text), text, shape, path));
    return size === undefined ? undefined : sizeNumber(size);
  }

  /** The value of an expression that stands in this section; any finite number is legal. */
  evaluate(tree: Expression, text: ExpressionText, path: string): number | undefined {
    const size = this.#told(() => {
      const value = evaluateSize(tree, text, (name, span) => this.#lookUp(name, span, text));
      return this.#checked(value, text, { kind: "real" }, path);
    });
    return size === undefined ? undefined : sizeNumber(size);
  }

  #key(name: string): Key {
    const key = this.#shape.keys.get(name);
    invariant(key !== undefined, "the schema has no such key", this.pathOf(name));
    return key;
  }

  #size(name: string): Size | undefined {
    if (this.#sizes.has(name)) return this.#sizes.get(name);
    const shape = branches(this.#key(name).shape).find((branch) => branch.kind === "whole" || branch.kind === "real");
    invariant(shape?.kind === "whole" || shape?.kind === "real", "this key is no number", this.pathOf(name));
    const text = this.text(name);
    const size = text && this.#told(() => this.#pending(name, text, shape));
    this.#sizes.set(name, size);
    return size;
  }

  #pending(name: string, text: ExpressionText, shape: NumberShape): Size {
    const { pending } = this.reading;
    const path = this.pathOf(name);
    const first = pending.findIndex((other) => other.path === path);
    if (first >= 0) {
      const loop = pending.slice(first);
      throw new DiagnosticError([
        saySize.cycle(
          [...loop.map((other) => other.path), path],
          loop.map(({ place }) => place),
        ),
      ]);
    }
    pending.push({ path, place: this.placeOf(name) });
    try {
      const size = this.#parsed(text);
      if (shape.kind === "whole" && !isWhole(size) && !this.isGiven(name))
        throw this.#defaultNotWhole(name, text, size);
      return this.#checked(size, text, shape, path);
    } finally {
      pending.pop();
    }
  }

  /** Points at what the default is made of: nobody wrote the default itself. */
  #defaultNotWhole(name: string, { text }: ExpressionText, size: Size): DiagnosticError {
    const sources = (text.match(/[a-z_]+/g) ?? []).flatMap((word) => {
      const owner = this.#ownerOf(word);
      if (owner === undefined) return [];
      const value = owner.#size(word);
      return value === undefined ? [] : [{ name: word, value: sizeWords(value), place: owner.placeOf(word) }];
    });
    // The nearest source first: the other one is often shared by all blocks.
    const ordered = sources.reverse();
    const place = ordered[0]?.place ?? this.placeOf(name);
    return new DiagnosticError([
      sayKey.defaultNotWhole(this.pathOf(name), `${text} = ${sizeWords(size)}`, place, ordered),
    ]);
  }

  #parsed(text: ExpressionText): Size {
    // Most numbers are literals; only the others are worth a parser.
    if (/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text.text)) return decimalSize(Number(text.text));
    const tree = parseSize(text, this.reading.diagnostics);
    if (tree === undefined) throw alreadyTold;
    return evaluateSize(tree, text, (name, span) => this.#lookUp(name, span, text));
  }

  #lookUp(name: string, span: Span, text: ExpressionText): Size {
    const owner = this.#ownerOf(name);
    if (owner === undefined) {
      const legal = this.#sizeNames();
      throw new DiagnosticError([saySize.unknownName(name, nearest(name, legal, 2), legal, text.place(span))]);
    }
    const size = owner.#size(name);
    if (size !== undefined) return size;
    if (owner.isGiven(name) || owner.#key(name).fallback !== undefined) throw alreadyTold;
    throw new DiagnosticError([saySize.notGiven(owner.pathOf(name), text.place(span))]);
  }

  #ownerOf(name: string): Section | undefined {
    if (this.#isNumber(name)) return this;
    return this.#outer === undefined ? undefined : this.#outer.#ownerOf(name);
  }

  #sizeNames(): string[] {
    const own = [...this.#shape.keys.keys()].filter((name) => this.#isNumber(name));
    const outer = this.#outer === undefined ? [] : this.#outer.#sizeNames();
    return [...new Set([...own, ...outer])];
  }

  #isNumber(name: string): boolean {
    const key = this.#shape.keys.get(name);
    return key !== undefined && isOfKind(key, this.kind) && (key.shape.kind === "whole" || key.shape.kind === "real");
  }

  #checked(size: Size, text: ExpressionText, shape: NumberShape, path: string): Size {
    const place = text.place({ start: 0, end: text.text.length });
    const value = sizeNumber(size);
    const words = /^[-\d.eE]+$/.test(text.text) ? text.text : `${text.text} = ${sizeWords(size)}`;
    if (shape.kind === "whole" && !isWhole(size)) {
      throw new DiagnosticError([sayKey.notWhole(path, words, place)]);
    }
    if (!Number.isFinite(value)) throw new DiagnosticError([sayKey.notFinite(path, words, place)]);
    if (shape.kind === "whole" && !isExact(size)) {
      throw new DiagnosticError([sayKey.beyondExact(path, words, place)]);
    }
    if (!isWithin(value, shape)) throw new DiagnosticError([sayKey.outOfRange(path, words, shape, place)]);
    const fault = floatFault(value, shape, path, words, place);
    if (fault !== undefined) throw new DiagnosticError([fault]);
    return size;
  }

  /** Runs what may throw a fault; the fault is told and the result undefined. */
  #told<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error;
      for (const diagnostic of error.diagnostics) this.reading.diagnostics.add(diagnostic);
      return undefined;
    }
  }
}

const isWhole = (size: Size): boolean => size.kind === "ratio" && size.denominator === 1n;

/** Compared before it is rounded: 2^53 + 1 rounds to 2^53. */
function isExact(size: Size): boolean {
  const most = 2n ** 53n;
  return size.kind === "ratio" && size.numerator <= most && size.numerator >= -most;
}
