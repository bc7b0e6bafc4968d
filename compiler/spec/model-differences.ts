// In what two models differ, in words of the spec: what is said of training alone is none of it.

import { printFormulaSyntax } from "../formula/print-syntax.ts";
import { activationName } from "./hugging-face-activations.ts";
import { rangeOf } from "./ranges.ts";
import type { ModelSpec, SpecFormula } from "./spec.ts";

export interface ModelDifference {
  /** A whole claim about the first model. */
  readonly what: string;
  /** The value of the second one. */
  readonly there: string;
  /** Of the key, such as `model.attention.mask`. */
  readonly path: string;
}

/** Values of a model by the dotted paths of their keys. */
type Leaves = ReadonlyMap<string, string>;

export function modelDifferences(model: ModelSpec, other: ModelSpec): ModelDifference[] {
  const [{ layers, ...sizes }, { layers: otherLayers, ...otherSizes }] = [model, other];
  const ofSizes = leafDifferences(leavesOf(sizes), leavesOf(otherSizes));
  const byLayer = layers.flatMap((layer, index) => {
    const there = otherLayers[index];
    return leafDifferences(leavesOf(layer), there === undefined ? new Map() : leavesOf(there)).map((difference) => ({
      ...difference,
      index,
    }));
  });
  return [
    ...ofSizes.map(({ path, here, there }) => ({ what: `\`${path}\` is ${here}`, there, path: `model.${path}` })),
    ...grouped(byLayer, layers.length),
  ];
}

interface LeafDifference {
  readonly path: string;
  readonly here: string;
  readonly there: string;
}

function leafDifferences(leaves: Leaves, others: Leaves): LeafDifference[] {
  const paths = [...new Set([...leaves.keys(), ...others.keys()])];
  const none = "nothing";
  const all = paths
    .map((path) => ({ path, here: leaves.get(path) ?? none, there: others.get(path) ?? none }))
    .filter(({ here, there }) => here !== there);
  // Blocks of two kinds differ in everything else, too.
  const kinds = all.filter(({ path }) => path.endsWith(".kind")).map(({ path }) => path.slice(0, -"kind".length));
  return all.filter(({ path }) => path.endsWith(".kind") || !kinds.some((block) => path.startsWith(block)));
}

/** One difference for all layers that differ in the same way. */
function grouped(
  differences: readonly (LeafDifference & { readonly index: number })[],
  numLayers: number,
): ModelDifference[] {
  const groups = new Map<string, number[]>();
  for (const { path, here, there, index } of differences) {
    const key = JSON.stringify([path, here, there]);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  }
  return [...groups].map(([key, indices]) => {
    const [path, here, there] = JSON.parse(key) as [string, string, string];
    const where = indices.length === numLayers ? "" : ` in layer ${rangeOf(indices)}`;
    return { what: `\`${path}\`${where} is ${here}`, there, path: `model.${path}` };
  });
}

/** Keys that only training reads, and what other keys imply. */
const idle = new Set(["biasUpdate", "losses", "weight", "inputs"]);

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function leavesOf(value: object, prefix = ""): Map<string, string> {
  const leaves = new Map<string, string>();
  for (const [name, child] of Object.entries(value)) {
    if (child === undefined || idle.has(name)) continue;
    const path = `${prefix}${snakeCase(name)}`;
    if (isFormula(child)) leaves.set(path, formulaText(name, child));
    else if (typeof child === "object" && child !== null && !Array.isArray(child)) {
      for (const [below, leaf] of leavesOf(child, `${path}.`)) leaves.set(below, leaf);
    } else leaves.set(path, Array.isArray(child) ? `[${child.join(", ")}]` : String(child));
  }
  return leaves;
}

const isFormula = (value: unknown): value is SpecFormula =>
  typeof value === "object" && value !== null && "syntax" in value && "definitions" in value;

/** A text of one document sees the same with the second as with the first. */
const causalMasks = new Set(["k <= q", "k <= q && same_document", "same_document && k <= q"]);

function formulaText(name: string, formula: SpecFormula): string {
  const text = printFormulaSyntax(formula.syntax);
  if (name === "mask" && causalMasks.has(text)) return "`k <= q`";
  // Factors in either order; a formula of the spec's own keeps its text.
  const known = name === "activation" ? activationName(formula) : undefined;
  return known === undefined ? `\`${text}\`` : known;
}
