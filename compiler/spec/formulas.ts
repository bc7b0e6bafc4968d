// The formulas of a spec's blocks, checked against the names that are legal there.

import { buildFormula, type Parameter } from "../formula/build.ts";
import { parseFormula } from "../formula/parse.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../formula/terms.ts";
import * as say from "../source/messages/spec-formula.ts";
import type { Definitions } from "./definitions.ts";
import type { Section } from "./section.ts";
import type { FfnSpec, SpecFormula } from "./spec.ts";
import { usesOf } from "./uses.ts";

/** What a formula of a block may name, and what it must be. */
export interface Role {
  readonly parameters: readonly Parameter[];
  readonly result: "number" | "condition";
}

const pair: readonly Parameter[] = [
  { name: "q", extent: ROW, kind: "integer" },
  { name: "k", extent: LANE, kind: "integer" },
  { name: "head", extent: UNIFORM, kind: "integer" },
];

export const roles = {
  activation: { parameters: ["x", "gate", "up"].map((name) => ({ name, extent: ELEMENT })), result: "number" },
  score: { parameters: [{ name: "s", extent: ELEMENT }, ...pair], result: "number" },
  mask: { parameters: [...pair, { name: "same_document", extent: ELEMENT, kind: "condition" }], result: "condition" },
} as const satisfies Record<string, Role>;

/** The formula under a key of a block. It is built once here so that what is wrong with it is told with all the rest. */
export function readFormula(
  section: Section,
  name: keyof typeof roles,
  definitions: Definitions,
): SpecFormula | undefined {
  const { diagnostics } = section.reading;
  const text = section.text(name);
  const syntax = text && parseFormula(text, diagnostics);
  if (text === undefined || syntax === undefined) return undefined;
  const key = section.pathOf(name);
  if (syntax.outputs.length > 1) {
    diagnostics.add(say.severalOutputs(key, text.place(syntax.span)));
    return undefined;
  }
  if (!definitions.areSoundFor(syntax, text, key)) return undefined;
  const { parameters, result } = roles[name];
  const { all } = definitions;
  const built = buildFormula({
    syntax,
    text,
    parameters,
    definitions: all,
    diagnostics,
    output: name,
    result,
    rows: false,
  });
  return built && { syntax, text, key, definitions: all };
}

/** The activation of a block and the projections that its free names ask for. */
export function readActivation(
  section: Section,
  definitions: Definitions,
): Pick<FfnSpec, "activation" | "inputs"> | undefined {
  const activation = readFormula(section, "activation", definitions);
  if (activation === undefined) return undefined;
  const { diagnostics } = section.reading;
  const place = activation.text.place(activation.syntax.span);
  const used = new Set(usesOf(activation.syntax).names.map(({ name }) => name));
  const inputs = (["x", "gate", "up"] as const).filter((name) => used.has(name));
  if (inputs.length === 0) diagnostics.add(say.noInput(place));
  else if (inputs.length > 1 && used.has("x")) diagnostics.add(say.mixedInputs(place));
  else return { activation, inputs };
  return undefined;
}
