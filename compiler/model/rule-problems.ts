// Rules of the spec that select nothing, or that later rules hide: known once the operations are.

import type { Graph } from "../graph/graph.ts";
import type { Diagnostic } from "../source/diagnostic.ts";
import type { Operation } from "../spec/selector.ts";
import { type SelectorRule, selectorProblems } from "../spec/selector-problems.ts";
import type { Signature, Spec } from "../spec/spec.ts";

/** Checks every list of rules of its own; recompute is a set, so none of its rules hides another. */
export function ruleProblems(spec: Spec, graphs: readonly Graph[], counts: ReadonlyMap<string, number>): Diagnostic[] {
  const operations = operationsOf(graphs, counts);
  const total = <R extends Omit<SelectorRule, "isTotal">>(rules: readonly R[]): SelectorRule[] =>
    rules.map(({ selector, key }) => ({ selector, key, isTotal: true }));
  const lists: SelectorRule[][] = [
    spec.precision.map(({ selector, key, signature }) => ({ selector, key, isTotal: isTotal(signature) })),
    total(spec.tiles),
    spec.recompute.map(({ selector, key }) => ({ selector, key, isTotal: false })),
    total(spec.train?.init ?? []),
    total(spec.train?.optimizer.weightDecay ?? []),
  ];
  return lists.flatMap((rules) => selectorProblems(rules, operations));
}

const isTotal = ({ operands, accumulator, result }: Signature): boolean =>
  ![...operands, accumulator, result].includes(undefined);

/** Each path with its classes once. */
function operationsOf(graphs: readonly Graph[], counts: ReadonlyMap<string, number>): Operation[] {
  const operations = new Map<string, Operation>();
  for (const { path, classes } of graphs.flatMap((graph) => graph.nodes)) {
    operations.set(`${path} ${classes.join(" ")}`, { path, classes, counts });
  }
  return [...operations.values()];
}
