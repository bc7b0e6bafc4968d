// Which part of a matmul one work item computes: the spec's `tiles`, or what is fastest on the target.

import { matches } from "../spec/selector.ts";
import type { TileRule } from "../spec/spec.ts";
import type { TileChooser } from "./planner.ts";
import type { Target } from "./target.ts";

/** The tile of each node: the last rule that selects it, or the default. */
export function tileChooser(
  rules: readonly TileRule[],
  counts: ReadonlyMap<string, number>,
  { name, defaultTile }: Target,
): TileChooser {
  return (node) => {
    const operation = { path: node.path, classes: node.classes, counts };
    const rule = rules.findLast((r) => r.target === name && matches(r.selector, operation, node.direction));
    return { tile: rule?.tile ?? defaultTile, key: rule?.key };
  };
}
