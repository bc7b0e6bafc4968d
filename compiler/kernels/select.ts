// Graph → launches: each node's kernel is the first choice of its op that fits.

import type { Graph, Value } from "../graph/graph.ts";
import { opOf } from "../ops/index.ts";
import type { SkeletonName, SkeletonRequest } from "../ops/skeletons.ts";
import { invariant } from "../source/diagnostic.ts";
import type { Note } from "../source/notes.ts";
import type { Launch, PlannedTensor } from "./plan.ts";
import { NodePlanner, type PlannerShared } from "./planner.ts";
import { planAttention, planAttentionBackward, planAttentionPaged } from "./skeletons/attention.ts";
import { planWorkingCopy } from "./skeletons/convert.ts";
import { planLinearCrossEntropy } from "./skeletons/cross-entropy.ts";
import {
  planCombine,
  planCombineDots,
  planDispatch,
  planExpertFractions,
  planExpertOrder,
  planRouter,
  planRouterBackward,
} from "./skeletons/experts.ts";
import { planFormula } from "./skeletons/formula.ts";
import { planGroupedMatmul, planGroupedWgrad } from "./skeletons/grouped-matmul.ts";
import { planMatmul } from "./skeletons/matmul.ts";
import { planMatmulHeads } from "./skeletons/matmul-heads.ts";
import { planGather, planReduce, planScatterAdd, planScatterStore } from "./skeletons/memory.ts";

export interface Selection {
  readonly launches: readonly Launch[];
  /** The tensor of every value; values in place share their state's. */
  readonly tensors: ReadonlyMap<Value, PlannedTensor>;
  readonly notes: readonly Note[];
}

type SkeletonPlanner<R> = (planner: NodePlanner, request: R) => void;

const skeletons: { readonly [S in SkeletonName]: SkeletonPlanner<Extract<SkeletonRequest, { readonly skeleton: S }>> } =
  {
    formula: planFormula,
    matmul: planMatmul,
    matmul_heads: planMatmulHeads,
    linear_cross_entropy: planLinearCrossEntropy,
    attention: planAttention,
    attention_backward: planAttentionBackward,
    attention_paged: planAttentionPaged,
    gather: planGather,
    scatter_add: planScatterAdd,
    scatter_store: planScatterStore,
    reduce: planReduce,
    router: planRouter,
    router_backward: planRouterBackward,
    expert_order: planExpertOrder,
    expert_fractions: planExpertFractions,
    dispatch: planDispatch,
    combine: planCombine,
    combine_dots: planCombineDots,
    grouped_matmul: planGroupedMatmul,
    grouped_wgrad: planGroupedWgrad,
    working_copy: planWorkingCopy,
  };

export function selectKernels(graph: Graph, shared: Omit<PlannerShared, "tensors">): Selection {
  const tensors = new Map<Value, PlannedTensor>();
  const launches: Launch[] = [];
  const notes: Note[] = [];
  for (const node of graph.nodes) {
    const op = opOf(node);
    const choice = op.kernels.wasm.find((c) => c.fits(node));
    invariant(choice !== undefined, `no wasm kernel of ${op.name} fits`, node.path);
    const planner = new NodePlanner(node, op, choice.because, { ...shared, tensors });
    const request = choice.request(node);
    // The table's entry for a name takes requests of that name: the one place where that is not visible to the checker.
    (skeletons[request.skeleton] as SkeletonPlanner<SkeletonRequest>)(planner, request);
    for (const launch of planner.launches) launches.push(launch);
    const kernels = new Set(planner.launches.map(({ kernel }) => kernel.facts.name));
    if (kernels.size > 0) {
      planner.note("kernel", `${node.op} (${node.direction}) runs as ${[...kernels].join(", ")}: ${choice.because}`);
    }
    notes.push(...planner.notes);
  }
  return { launches, tensors, notes };
}
