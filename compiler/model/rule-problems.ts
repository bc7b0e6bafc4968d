// Rules of the spec that select nothing, or that later rules hide: known once the operations are.

import type { Graph, Node } from "../graph/graph.ts";
import { opOf } from "../ops/index.ts";
import { tiledSkeletons } from "../ops/skeletons.ts";
import type { Diagnostic } from "../source/diagnostic.ts";
import type { Operation } from "../spec/selector.ts";
import { type SelectorRule, selectorProblems } from "../spec/selector-problems.ts";
import type { PrecisionProgram, Signature, Spec } from "../spec/spec.ts";
import type { Parameter } from "./parameters.ts";

/** Checks every list of rules of its own; recompute is a set, so none of its rules hides another. */
export function ruleProblems(
  spec: Spec,
  graphs: readonly Graph[],
  parameters: readonly Parameter[],
  counts: ReadonlyMap<string, number>,
): Diagnostic[] {
  const nodes = graphs.flatMap((graph) => graph.nodes);
  const operations = operationsOf(nodes, counts);
  const total = <R extends Omit<SelectorRule, "isTotal">>(rules: readonly R[]): SelectorRule[] =>
    rules.map(({ selector, key }) => ({ selector, key, isTotal: true }));
  const lists: SelectorRule[][] = [
    precisionRules(spec, undefined),
    spec.recompute.map(({ selector, key }) => ({ selector, key, isTotal: false })),
  ];
  const weighted = operationsOf(
    parameters.map(({ place }) => place),
    counts,
  );
  // What stands under the key itself are defaults and one text for all: nobody wrote a selector.
  const written = (rules: readonly Omit<SelectorRule, "isTotal">[], key: string): SelectorRule[] =>
    total(rules.filter((rule) => rule.key !== key));
  const aboutWeights = [
    written(spec.train?.init ?? [], "train.init"),
    written(spec.train?.optimizer.weightDecay ?? [], "train.optimizer.weight_decay"),
  ];
  return [
    ...selectorProblems(total(spec.tiles), operationsOf(nodes.filter(isTiled), counts), "product"),
    ...lists.flatMap((rules) => selectorProblems(rules, operations)),
    ...graphs.flatMap(({ name, nodes: own }) => {
      const rules = precisionRules(spec, precisionPrograms.get(name));
      return precisionPrograms.has(name) ? selectorProblems(rules, operationsOf(own, counts)) : [];
    }),
    ...aboutWeights.flatMap((rules) => selectorProblems(rules, weighted, "operation with weights")),
  ];
}

/** Which section's own rules are about which program. */
export const precisionPrograms: ReadonlyMap<string, PrecisionProgram> = new Map([
  ["micro_step", "train"],
  ["evaluate", "evaluate"],
  ["extend", "serve"],
]);

/** What somebody wrote for one program, or for all of them. */
const precisionRules = ({ precision }: Spec, program: PrecisionProgram | undefined): SelectorRule[] =>
  precision
    .filter((rule) => rule.program === program && rule.isImplied !== true)
    .map(({ selector, key, signature }) => ({ selector, key, isTotal: isTotal(signature) }));

const isTotal = ({ operands, accumulator, result }: Signature): boolean =>
  ![...operands, accumulator, result].includes(undefined);

/** Whether tiles of the spec have a say in how a node is computed. */
const isTiled = (node: Node): boolean =>
  Object.values(opOf(node).kernels)
    .flat()
    .some((choice) => tiledSkeletons.has(choice.request(node).skeleton));

/** Each path with its classes once. */
function operationsOf(
  nodes: readonly Pick<Node, "path" | "classes">[],
  counts: ReadonlyMap<string, number>,
): Operation[] {
  const operations = new Map<string, Operation>();
  for (const { path, classes } of nodes) {
    operations.set(`${path} ${classes.join(" ")}`, { path, classes, counts });
  }
  return [...operations.values()];
}
