// The text of `mspec plan`.

import { size } from "../source/messages/device.ts";
import * as say from "../source/messages/plan.ts";
import { count, flopsPerToken } from "../source/messages/train.ts";
import { rangeOf } from "../spec/ranges.ts";
import type { ModelSpec, Spec } from "../spec/spec.ts";
import type { PlanDevice } from "./plan-devices.ts";
import type { PlanFacts } from "./plan-facts.ts";
import { table } from "./table.ts";

/** What a compile for wasm says, where the model is small enough for one. */
export interface WasmPlan {
  readonly activations: number;
  /** Whether and how everything fits, in one line. */
  readonly fit: string;
}

export interface PlanText {
  readonly spec: Spec;
  readonly facts: PlanFacts;
  readonly devices: readonly PlanDevice[];
  readonly wasm: WasmPlan | undefined;
}

export function planText(plan: PlanText): string {
  return [parameters(plan), work(plan), cache(plan), checkpoint(plan), ...memory(plan), ...devices(plan)].join("\n\n");
}

function parameters({ spec: { name, model }, facts: { size } }: PlanText): string {
  const { parts, mtp, active, inputEmbedding } = size;
  const rows = parts.map((part) => [part.part, count(part.parameters), count(part.active)]);
  const all = ["all", count(size.parameters), count(active)];
  const short = ["", say.billions(size.parameters), say.billions(active)];
  const apart = mtp === undefined ? [] : [[mtp.part, count(mtp.parameters), count(mtp.active)]];
  const lines = [
    table(name, [["parameters", "all", "active"], ...rows, all, short, ...apart]),
    say.activeConvention(chosenExperts(model), active, inputEmbedding, model.tieEmbeddings),
  ];
  if (model.mtp !== undefined) lines.push(say.mtpApart(model.mtp.depth));
  return lines.join("\n");
}

/** Layers by how many of how many experts they use. */
function chosenExperts({ layers }: ModelSpec): say.ChosenExperts[] {
  const indices = new Map<string, { topK: number; experts: number; indices: number[] }>();
  layers.forEach(({ ffn }, index) => {
    if (ffn.kind !== "moe") return;
    const { topK, experts } = ffn;
    const known = indices.get(`${topK}/${experts}`);
    if (known === undefined) indices.set(`${topK}/${experts}`, { topK, experts, indices: [index] });
    else known.indices.push(index);
  });
  return [...indices.values()].map(({ topK, experts, indices: own }) => ({ topK, experts, layers: rangeOf(own) }));
}

function work({ spec: { model }, facts: { training, serving } }: PlanText): string {
  const isLatent = model.layers.some(({ attention }) => attention.kind === "mla");
  return `${flopsPerToken(training)}\n${say.servingFlops({ ...serving, isLatent })}`;
}

function cache({ facts: { cache: facts } }: PlanText): string {
  const { context, windowed, layers, formats } = facts;
  const rows = [
    ["", ...formats.map(({ format }) => format)],
    [say.perToken, ...formats.map(({ perToken }) => count(perToken))],
    [say.cacheKept(context), ...formats.map(({ whole }) => size(whole))],
  ];
  if (windowed === 0) return table(say.cacheTitle, rows);
  rows.push([say.cacheSeen(context), ...formats.map(({ seen }) => size(seen))]);
  return `${table(say.cacheTitle, rows)}\n${say.windowNote(windowed, layers, context)}`;
}

function checkpoint({ facts }: PlanText): string {
  const rows = facts.checkpoint.map(({ format, bytes }) => [format, count(bytes), size(bytes)]);
  const notes = facts.checkpoint.flatMap(({ format }) =>
    format === "e4m3" || format === "e2m1" ? [say.checkpointNotes[format]] : [],
  );
  return [table(say.checkpointTitle, [["", "bytes", ""], ...rows]), ...notes].join("\n");
}

function memory({ spec: { train, serve }, facts, wasm }: PlanText): string[] {
  const { weights, gradients, moments } = facts.trainingMemory;
  const activations = activationBytes(facts, wasm);
  const classes = [
    ["weights", size(weights)],
    ["gradients", size(gradients)],
    ["moments", size(moments)],
    ...(activations === undefined ? [] : [["activations", size(activations)]]),
    ["all", size(trainingBytes(facts, wasm))],
  ];
  const title = train === undefined ? say.untrainedTitle : say.trainingTitle(train.batch.micro, train.sequence);
  const source = wasm === undefined ? say.activationsByFormula : say.activationsByPlan;
  const serving = facts.servingMemory.map(({ weightFormat, cacheFormat, weights: own, cache: pages }) => [
    `weights ${weightFormat}, cache ${cacheFormat}`,
    size(own),
    size(pages),
    size(own + pages),
  ]);
  const served = say.servingTitle(facts.slots, serve.pages, serve.page);
  return [
    train === undefined ? table(title, classes) : `${table(title, classes)}\n${source}`,
    table(served, [["", "weights", "cache", "all"], ...serving]),
  ];
}

/** The memory plan's number where there is one. */
const activationBytes = (facts: PlanFacts, wasm: WasmPlan | undefined): number | undefined =>
  facts.trainingMemory.activations === undefined ? undefined : (wasm?.activations ?? facts.trainingMemory.activations);

function trainingBytes(facts: PlanFacts, wasm: WasmPlan | undefined): number {
  const { weights, gradients, moments } = facts.trainingMemory;
  return weights + gradients + moments + (activationBytes(facts, wasm) ?? 0);
}

interface Use {
  readonly name: string;
  readonly bytes: number;
}

function devices({ facts, devices: listed, wasm }: PlanText): string[] {
  const uses: Use[] = facts.servingMemory.map(({ weightFormat, weights, cache: pages }) => ({
    name: `serve ${weightFormat}`,
    bytes: weights + pages,
  }));
  uses.push({ name: "train f32", bytes: trainingBytes(facts, wasm) });
  const rows = listed.map((device) => [
    say.deviceName(device.title, device.bytes),
    ...uses.map(({ bytes }) => say.deviceCell(bytes, device.bytes, device.isAlone)),
  ]);
  const text = `${table(say.devicesTitle, [["", ...uses.map(({ name }) => name)], ...rows])}\n${say.devicesNote}`;
  return [
    text,
    ...(listed.length === 1 ? [arithmetic(uses, listed[0])] : []),
    ...(wasm === undefined ? [] : [wasm.fit]),
  ];
}

const arithmetic = (uses: readonly Use[], { bytes: memoryBytes }: PlanDevice): string =>
  uses.map(({ name, bytes }) => say.deviceArithmetic(name, bytes, memoryBytes)).join("\n");
