// What the planning of graphs asks of a target: its skeletons, how tensors lie, which memory they lie in.

import type { TensorType } from "../graph/types.ts";
import type { TargetName } from "../ops/contract.ts";
import type { SkeletonName, SkeletonRequest } from "../ops/skeletons.ts";
import type { Arena, Layout, PlannedTensor } from "./plan.ts";
import type { MatmulTile, NodePlanner } from "./planner.ts";

type SkeletonPlanner<R> = (planner: NodePlanner, request: R) => void;

export type Skeletons = {
  readonly [S in SkeletonName]: SkeletonPlanner<Extract<SkeletonRequest, { readonly skeleton: S }>>;
};

export interface Target {
  /** What users and files call it. */
  readonly id: string;
  readonly name: TargetName;
  /** What tells apart several ways to compile for one language. */
  readonly profile: string | undefined;
  readonly skeletons: Skeletons;
  readonly layoutOf: (type: TensorType) => Layout;
  readonly arenaOf: (tensor: PlannedTensor) => Arena;
  /** Tensors are packed into pieces of an arena of at most so many bytes, unless one of them is larger. */
  readonly pieceBytes: number;
  /** The most that a kernel may be given of one tensor: larger ones are cut into several launches. */
  readonly bindingBytes: number;
  readonly defaultTile: MatmulTile;
}
