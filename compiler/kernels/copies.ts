// Copies of tensors in another format, whatever kernel a target makes them by.

import type { WorkingCopyRequest } from "../ops/skeletons.ts";
import { invariant } from "../source/diagnostic.ts";
import type { Launch, PlannedTensor } from "./plan.ts";
import { type NodePlanner, tensorOf } from "./planner.ts";

/** The launches that store one tensor in the format of another. */
export type CastLaunches = (planner: NodePlanner, from: PlannedTensor, to: PlannedTensor) => readonly Launch[];

/** Where a kernel that writes f32 writes, and what is launched behind it. */
export interface ThroughF32 {
  readonly tensor: PlannedTensor;
  readonly finish: () => void;
}

export function throughF32By(cast: CastLaunches): (planner: NodePlanner, out: PlannedTensor) => ThroughF32 {
  return (planner, out) => {
    if (out.type.dtype !== "bf16") return { tensor: out, finish: () => {} };
    const tensor = planner.workspace({ ...out.type, dtype: "f32" });
    return { tensor, finish: () => planner.launches.push(...cast(planner, tensor, out)) };
  };
}

/** The copy is made once per update, and only where something reads it as it lies. */
export function workingCopyBy(cast: CastLaunches): (planner: NodePlanner, request: WorkingCopyRequest) => void {
  return (planner, { from, out }) => {
    const master = planner.input(from);
    invariant(master.storage === "parameter", `${master.name} is no parameter`, planner.node.path);
    const value = planner.node.outputs[out];
    const copy: PlannedTensor = { ...tensorOf(value, planner.target), storage: "working" };
    planner.place(value, copy);
    planner.derived.offer(copy, master, cast(planner, master, copy));
    planner.note("kernel", `${copy.name} is derived once per update from the f32 master ${master.name}`);
  };
}
