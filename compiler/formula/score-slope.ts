// The slope of attention's score: what the adjoint of a score says of the scaled product s that the score is made of.

import { differentiateFormula } from "./derivative.ts";
import type { Formula } from "./formula.ts";
import { lowerFormula } from "./lower.ts";

export interface ScoreSlope {
  /** The adjoint times the score's derivative by s. */
  readonly formula: Formula;
  /** The formula's name of the adjoint. */
  readonly adjoint: string;
  /** The slope is the adjoint itself, so 0 where that is 0. Else 0 times a derivative without a value is no number. */
  readonly isAdjoint: boolean;
}

export function scoreSlope(score: Formula): ScoreSlope {
  const formula = differentiateFormula(score, { by: ["s"] });
  const adjoint = `d_${score.outputs[0].name}`;
  const [{ operation }] = lowerFormula(formula).outputs;
  return { formula, adjoint, isAdjoint: operation.op === "input" && operation.input === adjoint };
}
