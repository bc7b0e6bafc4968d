// The formulas of a spec's blocks, checked against the names that are legal there.

import { buildFormula, type Parameter } from "../formula/build.ts";
import { parseFormula } from "../formula/parse.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../formula/terms.ts";
import * as say from "../source/messages/spec-formula.ts";
import type { Definitions } from "./definitions.ts";
import type { Section } from "./section.ts";
import type { FfnSpec, SpecFormula } from "./spec.ts";
import { usesOf } from "./uses.ts";

/** What a formula of a block may name. */
export type Role = "activation" | "score" | "mask" | "router";

/** The key that holds a formula of each role. */
const keyOf: Readonly<Record<Role, string>> = {
  activation: "activation",
  score: "score",
  mask: "mask",
  router: "score",
};

/** How far positions and heads go. */
export interface PairSpace {
  readonly context: number;
  readonly heads: number;
}

/** The names that a score or a mask may use. */
export function pairParameters(role: "score" | "mask", { context, heads }: PairSpace): readonly Parameter[] {
  const position = { low: 0, high: context - 1 };
  const pair: readonly Parameter[] = [
    { name: "q", extent: ROW, kind: "integer", range: position },
    { name: "k", extent: LANE, kind: "integer", range: position },
    { name: "head", extent: UNIFORM, kind: "integer", range: { low: 0, high: heads - 1 } },
  ];
  if (role === "score") return [{ name: "s", extent: ELEMENT }, ...pair];
  return [...pair, { name: "same_document", extent: ELEMENT, kind: "condition" }];
}

const activationParameters: readonly Parameter[] = ["x", "gate", "up"].map((name) => ({ name, extent: ELEMENT }));

/** The names that a router's score may use: the logits of all experts are a row. */
export const routerParameters: readonly Parameter[] = [{ name: "logit", extent: ELEMENT }];

function parametersOf(role: Role, space: PairSpace): readonly Parameter[] {
  if (role === "activation") return activationParameters;
  return role === "router" ? routerParameters : pairParameters(role, space);
}

/** Where the sizes are not known: nothing is beyond what kernels count with. */
export const noSpace: PairSpace = { context: 1, heads: 1 };

/** The formula of a role under its key of a block. It is built once here so that what is wrong with it is told with all the rest. */
export function readFormula(
  section: Section,
  role: Role,
  definitions: Definitions,
  space: PairSpace,
): SpecFormula | undefined {
  const { diagnostics } = section.reading;
  const text = section.text(keyOf[role]);
  const syntax = text && parseFormula(text, diagnostics);
  if (text === undefined || syntax === undefined) return undefined;
  const key = section.pathOf(keyOf[role]);
  if (syntax.outputs.length > 1) {
    diagnostics.add(say.severalOutputs(key, text.place(syntax.span)));
    return undefined;
  }
  if (!definitions.areSoundFor(syntax, text, key)) return undefined;
  const { all } = definitions;
  const built = buildFormula({
    syntax,
    text,
    parameters: parametersOf(role, space),
    definitions: all,
    diagnostics,
    output: role,
    result: role === "mask" ? "condition" : "number",
    rows: role === "router",
  });
  if (built === undefined) return undefined;
  if (role === "router" && built.outputs.some(({ term }) => (term.extent & LANE) === 0)) {
    diagnostics.add(say.sameForAllExperts(text.place(syntax.span)));
    return undefined;
  }
  return { syntax, text, key, definitions: all };
}

/** The activation of a block and the projections that its free names ask for. */
export function readActivation(
  section: Section,
  definitions: Definitions,
): Pick<FfnSpec, "activation" | "inputs"> | undefined {
  const activation = readFormula(section, "activation", definitions, noSpace);
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
