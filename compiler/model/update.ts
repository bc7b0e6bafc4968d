// The optimiser's graph: what happens between the last micro-batch of a step and the next step.

import { type Graph, GraphBuilder, type Value } from "../graph/graph.ts";
import { tensor } from "../graph/types.ts";
import { adamw, updateScalars } from "../ops/adamw.ts";
import { moveChoiceBias } from "../ops/balance.ts";
import type { Emitter } from "../ops/contract.ts";
import { emitterFor } from "../ops/index.ts";
import { globalNorm } from "../ops/reduce.ts";
import { matches } from "../spec/selector.ts";
import type { AdamwSpec, Schedule, TrainSpec } from "../spec/spec.ts";
import { place as forwardPlace } from "./context.ts";
import type { Model } from "./model.ts";
import { biasRateName, loadState } from "./objectives.ts";
import { isTrained, type Parameter, storageOf } from "./parameters.ts";

/** Names of persistent values that belong to a parameter. */
export const gradientName = (parameter: string): string => `gradient.${parameter}`;
export const momentName = (parameter: string, order: 1 | 2): string => `moment${order}.${parameter}`;

const scalar = tensor("f32");

/** Global norm, finite test, clip factor, bias corrections, and one update per parameter. */
export function buildUpdate(
  train: TrainSpec,
  { parameters: all, routers }: Pick<Model, "parameters" | "routers">,
  counts: ReadonlyMap<string, number>,
): Graph {
  const parameters = all.filter(isTrained);
  const builder = new GraphBuilder("update");
  const emitter = emitterFor(builder);
  const [beta1, beta2] = train.optimizer.betas;
  const tensors = parameters.map((parameter) => giveTensors(builder, parameter));
  const place = (key: string) => ({ ...forwardPlace("update", key), direction: "update" }) as const;
  const at = place("train.optimizer");
  const [norm] = emitter.emit(
    globalNorm,
    tensors.map((t) => t.gradient),
    null,
    place("train.clip"),
  );
  const state = (name: string) => builder.give(`optimizer.${name}`, scalar, "state");
  const step = (name: string) => builder.give(`step.${name}`, scalar, "step");
  const [finite, scale, correction1, correction2, skipped] = emitter.emit(
    updateScalars,
    [norm, step("clip"), state("correction1"), state("correction2"), state("skipped")],
    { beta1, beta2 },
    at,
  );
  parameters.forEach((parameter, i) => {
    const { weight, gradient, first, second } = tensors[i];
    const inputs = [weight, gradient, first, second, step("learning_rate"), scale, correction1, correction2, finite];
    const attributes = { beta1, beta2, eps: train.optimizer.eps, decay: decayOf(train.optimizer, parameter, counts) };
    emitter.emit(adamw, inputs, attributes, { ...parameter.place, key: "train.optimizer", direction: "update" });
  });
  emitBalance(emitter, all, routers, finite);
  return builder.build(
    new Map([
      ["gradient_norm", norm],
      ["finite", finite],
      ["skipped", skipped],
    ]),
  );
}

/** Moves the biases that steer the choice of experts by how many tokens each got in the step. */
function emitBalance(
  emitter: Emitter,
  parameters: readonly Parameter[],
  routers: Model["routers"],
  finite: Value,
): void {
  const { builder } = emitter;
  const schedules = biasSchedules(routers);
  for (const { path, moe } of routers) {
    const { biasUpdate } = moe.router;
    const bias = parameters.find(({ kind, place }) => kind === "choice_bias" && place.path === path);
    if (biasUpdate === undefined || bias === undefined) continue;
    const type = tensor("f32", ...bias.dims);
    const inputs = [
      builder.give(bias.name, type, storageOf(bias.kind)),
      builder.give(loadState(path), type, "state"),
      builder.give(biasRateName(schedules, biasUpdate), scalar, "step"),
      finite,
    ];
    emitter.emit(moveChoiceBias, inputs, null, {
      ...bias.place,
      key: "model.ffn.router.bias_update",
      direction: "update",
    });
  }
}

/** Every distinct schedule by which biases move. */
export const biasSchedules = (routers: Model["routers"]): Schedule[] => {
  const texts = new Map<string, Schedule>();
  for (const { moe } of routers) {
    if (moe.router.biasUpdate !== undefined) texts.set(JSON.stringify(moe.router.biasUpdate), moe.router.biasUpdate);
  }
  return [...texts.values()];
};

function giveTensors(
  builder: GraphBuilder,
  { name, dims }: Parameter,
): Record<"weight" | "gradient" | "first" | "second", Value> {
  const type = tensor("f32", ...dims);
  return {
    weight: builder.give(name, type, "parameter"),
    gradient: builder.give(gradientName(name), type, "gradient"),
    first: builder.give(momentName(name, 1), type, "moment"),
    second: builder.give(momentName(name, 2), type, "moment"),
  };
}

/** The last rule that selects the parameter's operation decides; none means no decay. */
export function decayOf(optimizer: AdamwSpec, parameter: Parameter, counts: ReadonlyMap<string, number>): number {
  const operation = { path: parameter.place.path, classes: parameter.place.classes, counts };
  return optimizer.weightDecay.findLast((rule) => matches(rule.selector, operation))?.value ?? 0;
}
