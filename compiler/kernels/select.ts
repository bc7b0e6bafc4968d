// Graph → launches: each node's kernel is the first choice of its op that fits.

import type { Graph, Value } from "../graph/graph.ts";
import { opOf } from "../ops/index.ts";
import type { SkeletonRequest } from "../ops/skeletons.ts";
import { invariant } from "../source/diagnostic.ts";
import type { Note } from "../source/notes.ts";
import type { Launch, PlannedTensor } from "./plan.ts";
import { NodePlanner, type PlannerShared } from "./planner.ts";

export interface Selection {
  readonly launches: readonly Launch[];
  /** The tensor of every value; values in place share their state's. */
  readonly tensors: ReadonlyMap<Value, PlannedTensor>;
  readonly notes: readonly Note[];
}

export function selectKernels(graph: Graph, shared: Omit<PlannerShared, "tensors">): Selection {
  const { target } = shared;
  const tensors = new Map<Value, PlannedTensor>();
  const launches: Launch[] = [];
  const notes: Note[] = [];
  for (const node of graph.nodes) {
    const op = opOf(node);
    const choice = op.kernels[target.name].find((c) => c.fits(node));
    invariant(choice !== undefined, `no ${target.name} kernel of ${op.name} fits`, node.path);
    const planner = new NodePlanner(node, op, choice.because, { ...shared, tensors });
    const request = choice.request(node);
    // The table's entry for a name takes requests of that name: the one place where that is not visible to the checker.
    (target.skeletons[request.skeleton] as (planner: NodePlanner, request: SkeletonRequest) => void)(planner, request);
    for (const launch of planner.launches) launches.push(launch);
    const kernels = new Set(planner.launches.map(({ kernel }) => kernel.facts.name));
    if (kernels.size > 0) {
      planner.note("kernel", `${node.op} (${node.direction}) runs as ${[...kernels].join(", ")}: ${choice.because}`);
    }
    notes.push(...planner.notes);
  }
  return { launches, tensors, notes };
}
