// How evenly a model's routers use their experts: MaxVio and shares of the mean load, from counts of choices.

import type { ManifestTraining } from "../contract.ts";

/** Choices of each expert of one router. */
export interface RouterUse {
  /** Path of the router. */
  readonly path: string;
  readonly choices: ArrayLike<number>;
  readonly maxViolation: number;
}

export interface ExpertUse {
  /** Mean over the routers. */
  readonly maxViolation: number;
  /** In the manifest's order; at least one. */
  readonly routers: readonly RouterUse[];
}

/**
 * MaxVio: by how much of the mean load the greatest load lies above it; 0 is balanced, and what nothing was chosen of is.
 *
 * Source: Wang et al., arXiv:2408.15664, equation 4.
 */
export function maxViolation(choices: ArrayLike<number>): number {
  const { sum, greatest } = loadsOf(choices);
  return sum === 0 ? 0 : (greatest * choices.length - sum) / sum;
}

/** Loads as shares of their mean: 1 is balanced. Without any choice all are 0. */
export function loadShares(choices: ArrayLike<number>): number[] {
  const { sum } = loadsOf(choices);
  return Array.from(choices, (load) => (sum === 0 ? 0 : (load * choices.length) / sum));
}

function loadsOf(choices: ArrayLike<number>): { sum: number; greatest: number } {
  const loads = Array.from(choices);
  return loads.reduce(({ sum, greatest }, load) => ({ sum: sum + load, greatest: Math.max(greatest, load) }), {
    sum: 0,
    greatest: 0,
  });
}

/** What the loads of all routers, in the manifest's order, say together; undefined for a model without experts. */
export function expertUse(training: ManifestTraining, loads: readonly ArrayLike<number>[]): ExpertUse | undefined {
  if (training.loads.length === 0) return undefined;
  const routers = training.loads.map(({ path }, i) => {
    return { path, choices: loads[i], maxViolation: maxViolation(loads[i]) };
  });
  const sum = routers.reduce((total, router) => total + router.maxViolation, 0);
  return { maxViolation: sum / routers.length, routers };
}
