// The spec's own formulas (activation, score, mask) in normal form; each text is built once.

import { buildFormula, type Parameter } from "../formula/build.ts";
import type { Formula } from "../formula/formula.ts";
import { findLostNumber } from "../formula/probe.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../formula/terms.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import { losesNumber } from "../source/messages/formula-building.ts";
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

  mask(formula: SpecFormula): Formula | undefined {
    return this.#build(formula, "mask", parametersOf.mask);
  }

  #build(formula: SpecFormula, role: Role, parameters: readonly Parameter[]): Formula | undefined {
    const key = `${role} ${formula.text.text}`;
    if (this.#built.has(key)) return this.#built.get(key);
    const built = buildFormula({
      syntax: formula.syntax,
      text: formula.text,
      parameters,
      definitions: formula.definitions,
      diagnostics: this.#diagnostics,
      output: "y",
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
