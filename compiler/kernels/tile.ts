// Which part of a matmul one work item computes: the spec's `tiles`, or what was fastest on CPUs.

import { matches } from "../spec/selector.ts";
import type { TileRule } from "../spec/spec.ts";
import type { MatmulTile, TileChooser } from "./planner.ts";

/** Rows of a fit into L2 beside a panel of b in L1; the depth is part of the result's bits. */
export const defaultMatmulTile: MatmulTile = { rows: 64, columns: 256, depth: 256 };

/** The tile of each node: the last rule that selects it, or the default. */
export function tileChooser(rules: readonly TileRule[], counts: ReadonlyMap<string, number>): TileChooser {
  return (node) => {
    const operation = { path: node.path, classes: node.classes, counts };
    const rule = rules.findLast((r) => r.target === "wasm" && matches(r.selector, operation, node.direction));
    return { tile: rule?.tile ?? defaultMatmulTile, key: rule?.key };
  };
}
