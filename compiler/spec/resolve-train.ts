// Training data and training: sizes and schedules on the clock of the batch.

import * as say from "../source/messages/model.ts";
import * as saySchedule from "../source/messages/schedule.ts";
import { type Batch, type Length, readSchedule, resolveBatch } from "./batch.ts";
import { readInit, readWeightDecay } from "./rules.ts";
import type { Section } from "./section.ts";
import type { AdamwSpec, DataSpec, TrainSpec } from "./spec.ts";

/** What the file says of data; undefined if it says nothing or anything of it is faulty. */
export function resolveData(root: Section): DataSpec | undefined {
  if (!root.isGiven("data")) return undefined;
  const data = root.section("data");
  const model = root.section("model");
  const tokenizer = data.text("tokenizer")?.text;
  const train = globsOf(data, "train");
  const validation = data.node("validation")?.kind === "list" ? globsOf(data, "validation") : data.number("validation");
  const skipBadLines = data.flag("skip_bad_lines");
  const vocab = model.isGiven("vocab") ? model.number("vocab") : undefined;
  if (tokenizer === "bytes" && vocab !== undefined && vocab < 256) {
    const place = model.placeOf("vocab");
    data.reading.diagnostics.add(say.bytesNeedVocab(vocab, place, data.placeOf("tokenizer")));
  }
  if (tokenizer === undefined || train === undefined || validation === undefined || skipBadLines === undefined)
    return undefined;
  return { tokenizer, train, validation, skipBadLines };
}

function globsOf(data: Section, name: string): string[] | undefined {
  const node = data.node(name);
  if (node?.kind !== "list") return undefined;
  return node.items.flatMap((item) => (item.kind === "scalar" && typeof item.value === "string" ? [item.value] : []));
}

/** The batch of every step, which is the clock of all schedules; undefined if anything of it is faulty. */
export function resolveTrainBatch(train: Section): Batch | undefined {
  const [sequence, length] = [train.number("sequence"), lengthOf(train)];
  return train.isGiven("batch") ? resolveBatch(train.section("batch"), sequence, length) : undefined;
}

/** What the file says of training; undefined if anything of it is faulty. */
export function resolveTrain(train: Section, model: Section, batch: Batch | undefined): TrainSpec | undefined {
  const sequence = train.number("sequence");
  const context = model.number("context");
  if (sequence !== undefined && context !== undefined && sequence > context) {
    const place = train.placeOf("sequence");
    train.reading.diagnostics.add(say.sequenceBeyondContext(sequence, context, place, model.placeOf("context")));
  }
  const optimizer = resolveOptimizer(train.section("optimizer"));
  const init = readInit(train);
  const learningRate = readSchedule(train, "lr", { kind: "real", least: 0, isFloat: true }, batch);
  const clip = train.isGiven("clip")
    ? readSchedule(train, "clip", { kind: "real", above: 0, isFloat: true }, batch)
    : undefined;
  const counts = ["seed", "evaluate_every", "save_every", "sample_every"].map((name) => train.number(name));
  const [seed, evaluateEvery, saveEvery, sampleEvery] = counts;
  if (
    sequence === undefined ||
    batch === undefined ||
    optimizer === undefined ||
    learningRate === undefined ||
    (train.isGiven("clip") && clip === undefined) ||
    seed === undefined ||
    evaluateEvery === undefined ||
    saveEvery === undefined ||
    sampleEvery === undefined
  ) {
    return undefined;
  }
  const { sequences, micro, steps } = batch;
  const every = { evaluateEvery, saveEvery, sampleEvery };
  return { sequence, batch: { sequences, micro }, steps, optimizer, learningRate, clip, init, seed, ...every };
}

function lengthOf(train: Section): Length | undefined {
  const { diagnostics } = train.reading;
  const [hasSteps, hasTokens] = [train.isGiven("steps"), train.isGiven("tokens")];
  if (hasSteps === hasTokens) {
    const place = hasSteps ? train.placeOf("tokens") : train.place;
    const other = hasSteps ? train.placeOf("steps") : undefined;
    diagnostics.add(saySchedule.stepsOrTokens(hasSteps ? "both" : "neither", place, other));
    return undefined;
  }
  const [steps, tokens] = [
    hasSteps ? train.number("steps") : undefined,
    hasTokens ? train.number("tokens") : undefined,
  ];
  if (steps !== undefined) return { steps };
  return tokens === undefined ? undefined : { tokens };
}

function resolveOptimizer(optimizer: Section): AdamwSpec | undefined {
  const betas = betasOf(optimizer);
  const eps = optimizer.number("eps");
  const weightDecay = readWeightDecay(optimizer);
  return betas && eps !== undefined ? { kind: "adamw", betas, eps, weightDecay } : undefined;
}

function betasOf(optimizer: Section): readonly [number, number] | undefined {
  const node = optimizer.node("betas");
  const given = (node?.kind === "list" ? node.items : []).map((item, i) => {
    const path = `${optimizer.pathOf("betas")}[${i}]`;
    const bounds = { kind: "real", least: 0, below: 1, isFloat: true } as const;
    return item.kind === "scalar" ? optimizer.numberOf(item.text, bounds, path) : undefined;
  });
  const [first, second] = optimizer.isGiven("betas") ? given : optimizer.fallbackItems("betas").map(Number);
  return first === undefined || second === undefined ? undefined : [first, second];
}
