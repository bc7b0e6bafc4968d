// The spec's own formulas (activation, score, mask) in normal form; each text is built once.

import { buildFormula, type Parameter } from "../formula/build.ts";
import type { Formula } from "../formula/formula.ts";
import { findLaterKey, findLostNumber } from "../formula/probe.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../formula/terms.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import { losesNumber, seesLater } from "../source/messages/formula-building.ts";
import type { SpecFormula } from "../spec/spec.ts";

type Role = "activation" | "score" | "mask";

const pairParameters: readonly Parameter[] = [
  { name: "q", extent: ROW, kind: "integer" },
  { name: "k", extent: LANE, kind: "integer" },
  { name: "head", extent: UNIFORM, kind: "integer" },
];

const parametersOf: Readonly<Record<Exclude<Role, "activation">, readonly Parameter[]>> = {
  score: [{ name: "s", extent: ELEMENT }, ...pairParameters],
  mask: [...pairParameters, { name: "same_document", extent: ELEMENT, kind: "condition" }],
};

const keyOf = (formula: SpecFormula, role: Role): string => `${role} ${formula.text.text}`;

/** What headers and dumps call the result. */
const outputOf: Readonly<Record<Role, string>> = { activation: "y", score: "score", mask: "visible" };

/** Builds the formulas of a spec and reports what is wrong with their meaning. */
export class SpecFormulas {
  readonly #diagnostics: Diagnostics;
  readonly #built = new Map<string, Formula | undefined>();

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  activation(formula: SpecFormula, inputs: readonly string[]): Formula | undefined {
    const parameters = inputs.map((name) => ({ name, extent: ELEMENT }));
    return this.#build(formula, "activation", parameters);
  }

  score(formula: SpecFormula): Formula | undefined {
    return this.#build(formula, "score", parametersOf.score);
  }

  /** Warns of a mask that shows what is to be predicted. */
  mask(formula: SpecFormula, context: number, heads: number): Formula | undefined {
    const isNew = !this.#built.has(keyOf(formula, "mask"));
    const built = this.#build(formula, "mask", parametersOf.mask);
    const later = isNew && built ? findLaterKey(built, context, heads) : undefined;
    if (later !== undefined) {
      const place = formula.text.place(formula.syntax.span);
      this.#diagnostics.add(seesLater(place, formula.text.text, later.q, later.k));
    }
    return built;
  }

  #build(formula: SpecFormula, role: Role, parameters: readonly Parameter[]): Formula | undefined {
    const key = keyOf(formula, role);
    if (this.#built.has(key)) return this.#built.get(key);
    const built = buildFormula({
      syntax: formula.syntax,
      text: formula.text,
      parameters,
      definitions: formula.definitions,
      diagnostics: this.#diagnostics,
      output: outputOf[role],
      extent: role === "activation" ? ELEMENT : UNIFORM,
      result: role === "mask" ? "condition" : "number",
      rows: false,
    });
    this.#built.set(key, built);
    const lost = built && findLostNumber(built);
    if (lost !== undefined) {
      const place = formula.text.place(formula.syntax.span);
      this.#diagnostics.add(losesNumber(place, lost.output, lost.at, lost.exact));
    }
    return built;
  }
}
