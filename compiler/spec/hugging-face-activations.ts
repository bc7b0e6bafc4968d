// What transformers calls activations, as the formulas that a gated feed-forward block has of them.

import { printFormulaSyntax } from "../formula/print-syntax.ts";
import type { SpecFormula } from "./spec.ts";

/** `hidden_act` → `model.ffn.activation`. Where two names mean one function, the first is written. */
export const activationFormulas: ReadonlyMap<string, string> = new Map([
  ["silu", "silu(gate) * up"],
  ["swish", "silu(gate) * up"],
  ["gelu", "gelu(gate) * up"],
  ["gelu_pytorch_tanh", "gelu_tanh(gate) * up"],
  ["gelu_new", "gelu_tanh(gate) * up"],
  ["quick_gelu", "gate * sigmoid(1.702 * gate) * up"],
  ["relu", "max(gate, 0) * up"],
  ["relu2", "max(gate, 0)^2 * up"],
  ["sigmoid", "sigmoid(gate) * up"],
  ["tanh", "tanh(gate) * up"],
  ["linear", "gate * up"],
]);

/** transformers' name of a formula with its factors in either order; undefined where it has none. */
export function activationName({ syntax, definitions }: SpecFormula): string | undefined {
  const text = printFormulaSyntax(syntax);
  // A formula of the spec's own may have the name of one that transformers knows.
  if ([...definitions.keys()].some((name) => new RegExp(`\\b${name}\\(`).test(text))) return undefined;
  const names = [...activationFormulas].flatMap(([name, formula]): [string, string][] => {
    const turned = /^(.*) \* up$/.exec(formula)?.[1];
    return [
      [formula, name],
      [`up * ${turned}`, name],
    ];
  });
  return names.find(([formula]) => formula === text)?.[1];
}
