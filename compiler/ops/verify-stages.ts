// Holds the graphs of all passes to the invariants of graph/verify.ts, with the ops' answers about their nodes.

import type { Graph } from "../graph/graph.ts";
import { type OpFacts, verifyGraph, verifySameMeaning } from "../graph/verify.ts";
import { opOf } from "./index.ts";

const facts: OpFacts = {
  infer: (node) => {
    const types = node.inputs.map((input) => input.type);
    return opOf(node)
      .infer(types, node.attributes, node.path)
      .map(({ type }) => type);
  },
  inPlace: (node) => opOf(node).inPlace,
  mayRecompute: (node) => opOf(node).recompute !== "never",
};

interface StageGraphs {
  readonly stage: string;
  readonly graphs: readonly Graph[];
}

/** Passes that add or take away what a graph is run for. */
const changesMeaning: ReadonlySet<string> = new Set(["model", "differentiate"]);

/** Everything that is wrong with any graph after any pass; graphs of one name are one program. */
export function verifyStages(stages: readonly StageGraphs[]): string[] {
  return stages.flatMap(({ stage, graphs }, i) => {
    const before = new Map((stages[i - 1]?.graphs ?? []).map((graph) => [graph.name, graph]));
    return graphs.flatMap((graph) => {
      const earlier = changesMeaning.has(stage) ? undefined : before.get(graph.name);
      const changed = earlier === undefined ? [] : verifySameMeaning(earlier, graph, stage, facts);
      return [...verifyGraph(graph, stage, facts), ...changed];
    });
  });
}
