// The spec's own formulas (activation, score, mask, a router's score) in normal form; each text is built once.

import { buildFormula, type Parameter } from "../formula/build.ts";
import { countOperations } from "../formula/count-operations.ts";
import type { Formula } from "../formula/formula.ts";
import { findLaterKey, findLostNumber, fullDerivative } from "../formula/probe.ts";
import type { BinaryOperator, Expression } from "../formula/syntax.ts";
import { ELEMENT, UNIFORM } from "../formula/terms.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import {
  derivativeTooLarge,
  losesNumber,
  noGradient,
  partlyNoGradient,
  seesLater,
} from "../source/messages/formula-building.ts";
import type { Place } from "../source/text.ts";
import { type PairSpace, pairParameters, type Role, routerParameters } from "../spec/formulas.ts";
import type { SpecFormula } from "../spec/spec.ts";

/** Ranges of positions and heads are part of what a formula means. */
const keyOf = (formula: SpecFormula, role: Role, space?: PairSpace, window?: number): string =>
  `${role} ${space?.context} ${space?.heads} ${window} ${formula.text.text}`;

/**
 * A softmax without its division, exp(x - max(x)): what is divided by the sum of the chosen ones is the same. Then experts
 * that were not chosen get no gradient at all, instead of a difference that rounding leaves and that AdamW takes for one.
 */
function withoutRowSum(score: SpecFormula): SpecFormula {
  const { lets, outputs, span } = score.syntax;
  const call = (callee: string, ...args: readonly Expression[]): Expression => {
    return { kind: "call", callee, calleeSpan: span, arguments: args, span };
  };
  const undivided = outputs.map((output) => {
    const { value } = output;
    if (value.kind !== "call" || value.callee !== "softmax") return output;
    const [x] = value.arguments;
    const right = call("stop", call("max", x));
    const difference: Expression = { kind: "binary", operator: "-", left: x, right, span, operatorSpan: span };
    return { ...output, value: call("exp", difference) };
  });
  return { ...score, syntax: { lets, outputs: undivided, span } };
}

/** The mask with `q - k < window` behind it: intervals then tell which blocks of keys no query of a block sees. */
function withWindow(mask: SpecFormula, window: number | undefined): SpecFormula {
  if (window === undefined) return mask;
  const { lets, outputs, span } = mask.syntax;
  const name = (text: string): Expression => ({ kind: "name", name: text, span });
  const binary = (operator: BinaryOperator, left: Expression, right: Expression): Expression => {
    return { kind: "binary", operator, left, right, span, operatorSpan: span };
  };
  const reach = binary("<", binary("-", name("q"), name("k")), { kind: "number", value: window, span });
  const narrowed = outputs.map((output) => ({ ...output, value: binary("&&", output.value, reach) }));
  return { ...mask, syntax: { lets, outputs: narrowed, span } };
}

/** What headers and dumps call the result. */
const outputOf: Readonly<Record<Role, string>> = { activation: "y", score: "score", mask: "visible", router: "score" };

/** Nested functions multiply their slopes: five nested gelu have 5 195, and headers and notes print all of them. */
const mostDerivativeOperations = 10_000;

/** Builds the formulas of a spec and reports what is wrong with their meaning. */
export class SpecFormulas {
  readonly #diagnostics: Diagnostics;
  readonly #isTrained: boolean;
  readonly #built = new Map<string, Formula | undefined>();

  /** Of a spec that is not trained no gradient is asked for. */
  constructor(diagnostics: Diagnostics, isTrained: boolean) {
    this.#diagnostics = diagnostics;
    this.#isTrained = isTrained;
  }

  activation(formula: SpecFormula, inputs: readonly string[]): Formula | undefined {
    const parameters = inputs.map((name) => ({ name, extent: ELEMENT }));
    return this.#known(formula, "activation", parameters);
  }

  score(formula: SpecFormula, space: PairSpace): Formula | undefined {
    return this.#known(formula, "score", pairParameters("score", space), space);
  }

  /** The mask, and no further than the window. Warns of one that shows what is to be predicted. */
  mask(formula: SpecFormula, space: PairSpace, window: number | undefined): Formula | undefined {
    const isNew = !this.#built.has(keyOf(formula, "mask", space, window));
    const narrowed = withWindow(formula, window);
    const built = this.#known(narrowed, "mask", pairParameters("mask", space), space, window);
    const later = isNew && built ? findLaterKey(built, space.context, space.heads) : undefined;
    if (later !== undefined) {
      const place = formula.text.place(formula.syntax.span);
      this.#diagnostics.add(seesLater(place, formula.text.text, later.q, later.k));
    }
    return built;
  }

  /** The score of every expert, as a formula of the row `logit`; `isShared`: only its share among chosen ones is used. */
  router(formula: SpecFormula, isShared: boolean): Formula | undefined {
    if (!isShared) return this.#known(formula, "router", routerParameters);
    const key = `shared ${keyOf(formula, "router")}`;
    if (!this.#built.has(key)) this.#built.set(key, this.#build(withoutRowSum(formula), "router", routerParameters));
    return this.#built.get(key);
  }

  #known(
    formula: SpecFormula,
    role: Role,
    parameters: readonly Parameter[],
    space?: PairSpace,
    window?: number,
  ): Formula | undefined {
    const key = keyOf(formula, role, space, window);
    if (this.#built.has(key)) return this.#built.get(key);
    const built = this.#build(formula, role, parameters);
    this.#built.set(key, built);
    return built;
  }

  #build(formula: SpecFormula, role: Role, parameters: readonly Parameter[]): Formula | undefined {
    const built = buildFormula({
      syntax: formula.syntax,
      text: formula.text,
      parameters,
      definitions: formula.definitions,
      diagnostics: this.#diagnostics,
      output: outputOf[role],
      extent: role === "activation" || role === "router" ? ELEMENT : UNIFORM,
      result: role === "mask" ? "condition" : "number",
      rows: role === "router",
    });
    return built && this.#checked(built, formula.text.place(formula.syntax.span), role);
  }

  /** The formula, unless it cannot be trained; also warns of what f32 does to it. */
  #checked(built: Formula, place: Place, role: Role): Formula | undefined {
    const derivative = fullDerivative(built);
    const count = derivative === undefined ? 0 : countOperations(derivative);
    if (count > mostDerivativeOperations) {
      this.#diagnostics.add(derivativeTooLarge(place, count, mostDerivativeOperations));
      return undefined;
    }
    const isLearnt = role === "activation" || role === "router";
    if (isLearnt && derivative !== undefined && this.#isTrained) this.#checkGradient(derivative, place);
    const lost = findLostNumber(built, derivative);
    if (lost !== undefined) this.#diagnostics.add(losesNumber(place, lost.output, lost.at, lost.exact));
    return built;
  }

  #checkGradient({ outputs }: Formula, place: Place): void {
    const flat = outputs.filter(({ term }) => term.op === "constant" && term.value === 0);
    const inputs = flat.map(({ name }) => name.slice("d_".length));
    if (flat.length === outputs.length) this.#diagnostics.add(noGradient(place, inputs));
    else if (flat.length > 0) this.#diagnostics.add(partlyNoGradient(place, inputs));
  }
}
