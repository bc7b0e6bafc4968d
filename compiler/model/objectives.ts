// What training looks at besides the loss of the next token: losses that balance experts, the losses of tokens further
// ahead, and how many choices each expert got.

import type { Value } from "../graph/graph.ts";
import { add } from "../ops/add.ts";
import { balanceLoss, loads, routerZLoss } from "../ops/balance.ts";
import { expertFractions } from "../ops/expert-fractions.ts";
import type { BalanceLoss, Schedule } from "../spec/spec.ts";
import { type ModelContext, place, type RouterValues } from "./context.ts";
import { checkpointPath } from "./parameters.ts";

/** A loss per token, and the scalar of a step that every token's is multiplied by. */
export interface Objective {
  /** The graph's result. */
  readonly result: string;
  readonly seed: string;
  readonly schedule: Schedule;
  /** What the schedule's value is divided by: a count of the step, and how many terms make the mean. */
  readonly per: "token" | "mtp_target";
  readonly terms: number;
  /** How many terms the result itself adds up: what its mean is divided by when it is reported. */
  readonly summed: number;
}

/** The results and objectives of a graph, by name. */
export interface Objectives {
  readonly results: Map<string, Value>;
  readonly all: Objective[];
}

/** The state that holds how many choices each expert got since the step began. */
export const loadState = (routerPath: string): string => `metrics.loads.${checkpointPath(routerPath)}`;

/** The scalar of a step that says how far the bias of a router moves; routers with one schedule share it. */
export const biasRateName = (schedules: readonly Schedule[], own: Schedule): string =>
  `step.bias_update.${schedules.findIndex((schedule) => JSON.stringify(schedule) === JSON.stringify(own))}`;

/** Adds the loads of all routers and, where the spec asks for them, their balance losses: means over tokens and layers. */
export function addRouterObjectives(context: ModelContext, sequence: number, into: Objectives): void {
  const groups = new Map<string, { kind: BalanceLoss; schedule: Schedule; losses: Value[] }>();
  for (const values of context.routers) {
    const at = place(values.path, "model.ffn.router", "router");
    const [counted] = context.emitter.emit(loads, [values.count], null, at);
    into.results.set(`loads.${checkpointPath(values.path)}`, counted);
    for (const kind of ["sequence", "batch", "z"] as const) {
      const schedule = values.moe.router.losses[kind];
      if (schedule === undefined) continue;
      const key = `${kind} ${JSON.stringify(schedule)}`;
      const group = groups.get(key) ?? { kind, schedule, losses: [] };
      group.losses.push(emitLoss(context, kind, values, sequence));
      groups.set(key, group);
    }
  }
  const names = new Map<string, number>();
  for (const { kind, schedule, losses } of groups.values()) {
    const number = names.get(kind) ?? 0;
    names.set(kind, number + 1);
    const result = `balance.${kind}${number === 0 ? "" : `.${number}`}`;
    const at = place("loss", "model.ffn.router.losses");
    into.results.set(
      result,
      losses.reduce((sum, loss) => context.emitter.emit(add, [sum, loss], null, at)[0]),
    );
    into.all.push({
      result,
      seed: `step.${result}`,
      schedule,
      per: "token",
      terms: losses.length,
      summed: losses.length,
    });
  }
}

/** A value per token. */
function emitLoss(
  { emitter }: ModelContext,
  kind: BalanceLoss,
  { path, moe, logits, scores }: RouterValues,
  sequence: number,
): Value {
  const at = place(path, `model.ffn.router.losses.${kind}`, "router");
  if (kind === "z") return emitter.emit(routerZLoss, [logits], null, at)[0];
  const rows = kind === "sequence" ? sequence : scores.type.dims[0].size;
  const [fractions] = emitter.emit(expertFractions, [scores], { topK: moe.topK, rows }, at);
  return emitter.emit(balanceLoss, [scores, fractions], null, at)[0];
}
