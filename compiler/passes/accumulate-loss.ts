// Sums what a graph's tokens lose, and what its experts got, into persistent state, so that the host reads it once per step.

import { type Graph, GraphBuilder, type Value } from "../graph/graph.ts";
import { withoutDeadNodes } from "../graph/rewrite.ts";
import { tensor } from "../graph/types.ts";
import { accumulate } from "../ops/accumulate.ts";
import { type Emitter, placeOf } from "../ops/contract.ts";
import { emitterFor } from "../ops/index.ts";
import { sumAll } from "../ops/reduce.ts";
import { invariant } from "../source/diagnostic.ts";

/** The state that holds the sum of a result since the last run with `step.first`. */
const stateOf = (result: string): string => (result === "losses" ? "metrics.loss" : `metrics.${result}`);

/**
 * The graph under a name of its own, with running sums of its results: of losses one number, of `loads.…` one per expert.
 *
 * `isWanted` says which results are summed; the others go.
 */
export function accumulateLoss(graph: Graph, name: string, isWanted: (result: string) => boolean): Graph {
  const builder = GraphBuilder.from({ ...graph, name });
  const emitter = emitterFor(builder);
  const results = new Map<string, Value>();
  for (const [result, value] of graph.results) {
    if (!isWanted(result)) continue;
    if (result === "losses") results.set(result, value);
    const sum = emitSum(emitter, value, result);
    results.set(result === "losses" ? "loss" : result, sum);
  }
  // What only unwanted results read is gone with them.
  return withoutDeadNodes(builder.build(results), (node) => node.outputs.some((o) => o.storage !== "intermediate"));
}

function emitSum(emitter: Emitter, value: Value, result: string): Value {
  const { builder } = emitter;
  invariant(value.producer !== undefined, `nothing computes ${result}`);
  const place = placeOf(value.producer.node);
  const added = result.startsWith("loads.") ? value : emitter.emit(sumAll, [value], null, place)[0];
  const state = builder.give(stateOf(result), added.type, "state");
  return emitter.emit(accumulate, [state, added, builder.give("step.first", tensor("f32"), "step")], null, place)[0];
}
