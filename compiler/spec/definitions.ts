// The `formulas:` of a spec: each with its free names as parameters. Faulty ones are told of once; whoever calls them is
// spared a second message.

import { maxDepth } from "../formula/characters.ts";
import { formulaConstants, formulaFunctions } from "../formula/functions.ts";
import { parseFormula } from "../formula/parse.ts";
import type { Expression, FormulaSyntax } from "../formula/syntax.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import { unknownFunction } from "../source/messages/formula-building.ts";
import * as say from "../source/messages/spec-formula.ts";
import { nearest } from "../source/suggestions.ts";
import type { ExpressionText, Place } from "../source/text.ts";
import type { YamlScalar } from "../source/yaml-node.ts";
import type { Section } from "./section.ts";
import { identifierPattern } from "./shape.ts";
import type { FormulaDefinition } from "./spec.ts";
import { partsOf, usesOf } from "./uses.ts";

/** Reads `formulas:`. */
export function readDefinitions(root: Section): Definitions {
  const definitions = new Definitions(root.reading.diagnostics);
  const node = root.node("formulas");
  if (node?.kind !== "map") return definitions;
  for (const [name, { key, value }] of node.entries) {
    if (value.kind === "scalar" && !root.reading.faulty.has(value) && identifierPattern.test(name)) {
      definitions.add(name, key, value);
    } else definitions.addFaulty(name);
  }
  definitions.checkCalls();
  return definitions;
}

export class Definitions {
  readonly #diagnostics: Diagnostics;
  readonly #all = new Map<string, FormulaDefinition>();
  readonly #places = new Map<string, Place>();
  readonly #faulty = new Set<string>();
  /** How deep a definition is with those that it calls put in. */
  readonly #heights = new Map<string, number>();

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  get all(): ReadonlyMap<string, FormulaDefinition> {
    return this.#all;
  }

  addFaulty(name: string): void {
    this.#faulty.add(name);
  }

  add(name: string, key: YamlScalar, { text, place }: YamlScalar): void {
    this.#places.set(name, key.place);
    this.addFaulty(name);
    if (formulaFunctions.has(name) || formulaConstants.has(name) || name === "let") {
      this.#diagnostics.add(say.builtIn(name, key.place));
      return;
    }
    const syntax = parseFormula(text, this.#diagnostics);
    if (syntax === undefined) return;
    if (syntax.outputs.length > 1) {
      this.#diagnostics.add(say.severalOutputs(`formulas.${name}`, place));
      return;
    }
    this.#faulty.delete(name);
    this.#all.set(name, { name, parameters: usesOf(syntax).names.map((use) => use.name), syntax, text });
  }

  /** Finds unknown functions, recursion and depth in all definitions, used or not; callees before their callers. */
  checkCalls(): void {
    const open: { readonly name: string; readonly calls: string[] }[] = [];
    const enter = (name: string) => open.push({ name, calls: this.#callsOf(name) });
    for (const root of this.#all.keys()) {
      if (!this.#heights.has(root)) enter(root);
      // A stack of our own: thousands of definitions may call each other in a row.
      for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
        const next = top.calls.pop();
        const first = open.findIndex(({ name }) => name === next);
        if (next === undefined) this.#close(open.pop()?.name ?? root);
        else if (first >= 0) this.#tellRecursion([...open.slice(first).map(({ name }) => name), next]);
        else if (!this.#heights.has(next)) enter(next);
      }
    }
  }

  /** Whether a formula can be built: neither it nor what it calls has been told of. */
  areSoundFor(syntax: FormulaSyntax, text: ExpressionText, key: string): boolean {
    const { calls } = usesOf(syntax);
    return !calls.some(({ name }) => this.#faulty.has(name)) && this.#isShallow(syntax, text, key);
  }

  #callsOf(name: string): string[] {
    const definition = this.#all.get(name);
    const calls = definition === undefined ? [] : usesOf(definition.syntax).calls;
    return calls.map((call) => call.name).filter((callee) => this.#all.has(callee));
  }

  #close(name: string): void {
    const definition = this.#all.get(name);
    if (definition === undefined) return;
    const { syntax, text } = definition;
    this.#heights.set(name, this.#formulaHeight(syntax));
    this.#tellUnknownCalls(definition);
    if (usesOf(syntax).calls.some((call) => this.#faulty.has(call.name))) this.addFaulty(name);
    else if (!this.#isShallow(syntax, text, `formulas.${name}`)) this.addFaulty(name);
  }

  #isShallow(syntax: FormulaSyntax, text: ExpressionText, key: string): boolean {
    const height = this.#formulaHeight(syntax);
    if (height <= maxDepth) return true;
    this.#diagnostics.add(say.tooDeepTogether(key, height, maxDepth, text.place(syntax.span)));
    return false;
  }

  #formulaHeight({ lets, outputs }: FormulaSyntax): number {
    return Math.max(...[...lets, ...outputs].map(({ value }) => this.#height(value)));
  }

  #height(tree: Expression): number {
    const below = partsOf(tree).map((part) => this.#height(part));
    if (tree.kind === "call") below.push(this.#heights.get(tree.callee) ?? 1);
    return 1 + Math.max(0, ...below);
  }

  #tellRecursion(cycle: readonly string[]): void {
    const places = cycle.slice(0, -1).flatMap((name) => this.#places.get(name) ?? []);
    this.#diagnostics.add(say.recursion(cycle, places));
    for (const name of cycle) this.addFaulty(name);
  }

  #tellUnknownCalls({ name, syntax, text }: FormulaDefinition): void {
    const known = [...formulaFunctions.keys(), ...this.#all.keys(), ...this.#faulty];
    for (const call of usesOf(syntax).calls) {
      if (known.includes(call.name)) continue;
      const [close] = nearest(call.name, known, 1);
      this.#diagnostics.add(unknownFunction(text.place(call.span), call.name, close));
      this.addFaulty(name);
    }
  }
}
