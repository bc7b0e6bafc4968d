// Sums a graph's losses per token into persistent state, so that the host reads one number per step.

import { type Graph, GraphBuilder } from "../graph/graph.ts";
import { tensor } from "../graph/types.ts";
import { accumulate } from "../ops/accumulate.ts";
import { placeOf } from "../ops/contract.ts";
import { emitterFor } from "../ops/index.ts";
import { sumAll } from "../ops/reduce.ts";
import { invariant } from "../source/diagnostic.ts";

/** The name of the state that holds the sum of losses since the last run with `step.first`. */
const lossState = "metrics.loss";

/** The graph under a name of its own, with result `loss`: the running sum of its result `losses`. */
export function accumulateLoss(graph: Graph, name: string): Graph {
  const builder = GraphBuilder.from({ ...graph, name });
  const emitter = emitterFor(builder);
  const losses = graph.results.get("losses");
  invariant(losses?.producer !== undefined, `graph ${graph.name} computes no losses`);
  const place = placeOf(losses.producer.node);
  const [sum] = emitter.emit(sumAll, [losses], null, place);
  const scalar = tensor("f32");
  const inputs = [builder.give(lossState, scalar, "state"), sum, builder.give("step.first", scalar, "step")];
  const [loss] = emitter.emit(accumulate, inputs, null, place);
  return builder.build(
    new Map([
      ["losses", losses],
      ["loss", loss],
    ]),
  );
}
