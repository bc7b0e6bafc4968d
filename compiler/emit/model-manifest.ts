// A spec and its parameters → the manifest's facts for training, serving and data.

import type {
  InitRule,
  Manifest,
  ManifestParameter,
  ManifestServing,
  ManifestTraining,
} from "../../runtime/contract.ts";
import { queryChunk } from "../kernels/wasm/attention.ts";
import type { Model } from "../model/model.ts";
import { biasRateName, loadState } from "../model/objectives.ts";
import { isTrained, type Parameter } from "../model/parameters.ts";
import { biasSchedules, decayOf, gradientName, momentName } from "../model/update.ts";
import { matches } from "../spec/selector.ts";
import type { Spec, TrainSpec } from "../spec/spec.ts";

/** The part of a manifest that follows from the spec alone. */
export type ModelManifest = Pick<Manifest, "name" | "model" | "training" | "serving" | "data" | "parameters">;

export function modelManifest(
  spec: Spec,
  built: Pick<Model, "parameters" | "objectives" | "routers">,
  counts: ReadonlyMap<string, number>,
): ModelManifest {
  const { model, train, data, serve } = spec;
  const serving: ManifestServing = { ...serve, rowTile: queryChunk };
  return {
    name: spec.name,
    model: {
      vocab: model.vocab,
      context: model.context,
      width: model.width,
      layers: model.layers.length,
      tieEmbeddings: model.tieEmbeddings,
    },
    ...(train === undefined
      ? {}
      : { training: { ...trainingFacts(train), ...objectiveFacts(built), mtpDepth: model.mtp?.depth ?? 0 } }),
    serving,
    ...(data === undefined ? {} : { data }),
    parameters: built.parameters.map((parameter) => parameterEntry(parameter, train, counts)),
  };
}

type ObjectiveFacts = Pick<ManifestTraining, "stepValues" | "losses" | "loads">;

function objectiveFacts({ objectives, routers }: Pick<Model, "objectives" | "routers">): ObjectiveFacts {
  const schedules = biasSchedules(routers);
  return {
    stepValues: [
      ...objectives.map(({ seed, schedule, per, terms }) => ({ tensor: seed, schedule, per, terms })),
      ...schedules.map((schedule) => ({
        tensor: biasRateName(schedules, schedule),
        schedule,
        per: "step" as const,
        terms: 1,
      })),
    ],
    losses: objectives.map(({ result, per, summed }) => {
      return { name: result, tensor: `metrics.${result}`, per, terms: summed };
    }),
    loads: routers.map(({ path, moe }) => ({ path, tensor: loadState(path), experts: moe.experts })),
  };
}

function trainingFacts(train: TrainSpec): Omit<ManifestTraining, keyof ObjectiveFacts | "mtpDepth"> {
  const { sequence, batch, steps, learningRate, clip, seed, evaluateEvery, saveEvery, sampleEvery } = train;
  return {
    sequence,
    micro: batch.micro,
    sequences: batch.sequences,
    steps,
    learningRate,
    ...(clip === undefined ? {} : { clip }),
    seed,
    evaluateEvery,
    saveEvery,
    sampleEvery,
  };
}

function parameterEntry(
  parameter: Parameter,
  train: TrainSpec | undefined,
  counts: ReadonlyMap<string, number>,
): ManifestParameter {
  const { name, dims, place } = parameter;
  const common = { name, dims: dims.map((d) => d.size), path: place.path };
  if (train === undefined || !isTrained(parameter)) return { ...common, init: { kind: "zeros" }, decay: 0 };
  return {
    ...common,
    init: initOf(parameter, train, counts),
    decay: decayOf(train.optimizer, parameter, counts),
    gradient: gradientName(name),
    moments: [momentName(name, 1), momentName(name, 2)],
  };
}

/** The last rule that selects the parameter's operation decides; none means zeros, and so do biases. */
function initOf({ place, kind }: Parameter, train: TrainSpec, counts: ReadonlyMap<string, number>): InitRule {
  if (kind !== "weight") return { kind: "zeros" };
  const operation = { path: place.path, classes: place.classes, counts };
  return train.init.findLast((rule) => matches(rule.selector, operation))?.distribution ?? { kind: "zeros" };
}
