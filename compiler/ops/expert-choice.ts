// Which experts a row of scores chooses, in plain loops: the reference of every router kernel.

import type { ChoiceRules } from "./router.ts";

/** Added to the sum that weights are divided by, as transformers and Megatron do. */
export const normalizeFloor = 1e-20;

export interface Choice {
  /** The greatest key first; of equal keys the smaller expert. */
  readonly chosen: readonly number[];
  /** The least difference of keys that the choice or its order hangs on; infinite where nothing is left out. */
  readonly margin: number;
}

/** Indices of the greatest keys, the smaller index of equal ones first. */
function greatest(keys: ArrayLike<number>, among: readonly number[]): number[] {
  return among.toSorted((a, b) => keys[b] - keys[a] || a - b);
}

/** The least gap between neighbours among the first `count` and the next one. */
function gapOf(keys: ArrayLike<number>, order: readonly number[], count: number): number {
  let gap = Number.POSITIVE_INFINITY;
  for (let i = 0; i < Math.min(count, order.length - 1); i++) {
    const difference = keys[order[i]] - keys[order[i + 1]];
    // Equal keys are a tie, which is decided by index and hangs on no difference.
    if (difference > 0) gap = Math.min(gap, difference);
  }
  return gap;
}

export function chooseExperts(
  scores: Float64Array,
  choiceBias: Float64Array | undefined,
  { topK, groups }: ChoiceRules,
): Choice {
  const keys = scores.map((score, e) => score + (choiceBias?.[e] ?? 0));
  const all = Array.from(keys.keys());
  if (groups === undefined) {
    const order = greatest(keys, all);
    return { chosen: order.slice(0, topK), margin: gapOf(keys, order, topK) };
  }
  const size = keys.length / groups.count;
  const groupKeys = Array.from({ length: groups.count }, (_, g) => {
    const own = Array.from(keys.subarray(g * size, (g + 1) * size)).toSorted((a, b) => b - a);
    return groups.score === "max" ? own[0] : own[0] + own[1];
  });
  const order = greatest(groupKeys, Array.from(groupKeys.keys()));
  const kept = new Set(order.slice(0, groups.keep));
  const open = greatest(
    keys,
    all.filter((e) => kept.has(Math.floor(e / size))),
  );
  const margin = Math.min(gapOf(groupKeys, order, groups.keep), gapOf(keys, open, topK));
  return { chosen: open.slice(0, topK), margin };
}

/** The weights of the chosen experts, from scores without the bias. */
export function weightsOf(
  scores: Float64Array,
  chosen: readonly number[],
  { normalize, scale }: ChoiceRules,
): number[] {
  const sum = chosen.reduce((total, e) => total + scores[e], normalizeFloor);
  return chosen.map((e) => (normalize ? scores[e] / sum : scores[e]) * scale);
}
