// Compares how a model learns with reference data: its losses and gradients on one batch, and what some steps change.

import type { Batch } from "../data/batches.ts";
import { lacks, lacksSome, otherModel } from "../messages/verify.ts";
import type { Model } from "../model.ts";
import { clearOptimizer } from "../train/device-state.ts";
import { runStep, type StepSettings } from "../train/step.ts";
import type { Family } from "./hugging-face.ts";
import { Errors, relativeDistance, type Skipped, type Verification } from "./verify-errors.ts";
import { parametersOfFile } from "./verify-parameters.ts";
import { checkReferenceTokens, type Reference, type ReferenceBatches } from "./verify-reference.ts";

/** The loss and the gradients on the first batch, and what the steps on all batches change. */
export async function verifyTraining(
  model: Model,
  reference: Reference,
  batches: ReferenceBatches,
  family: Family,
): Promise<Verification> {
  const { training } = model.manifest;
  if (training === undefined) throw new RangeError("the model was compiled without training");
  const { vocab } = model.manifest.model;
  checkReferenceTokens(reference, "batches", batches.tokens, vocab);
  const labels = batches.labels.map((label) => Math.max(0, label));
  checkReferenceTokens(reference, "labels", labels, vocab);
  const { optimizer, mtpWeight } = reference;
  // The reference moves no bias of the choice and has no balance losses: what is left out is 0.
  const values = training.stepValues.map(({ tensor }) => (tensor.startsWith("step.mtp.") ? (mtpWeight ?? 0) : 0));
  const settings = { learningRate: optimizer?.lr ?? 0, clip: optimizer?.clip, values };
  const before = new Map<string, Float32Array>();
  for (const name of model.parameterNames) before.set(name, (await model.parameter(name)).slice());
  clearOptimizer(model.device);
  const outcome = await runStep(model.device, training, batchOf(batches, 0), settings);
  const losses = compareLosses(reference, outcome);
  const gradients = await verifyGradients(model, reference, family);
  const update = await verifyUpdate(model, reference, family, { batches, before, settings });
  const parts = [losses, gradients, update];
  return {
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
    skipped: parts.flatMap(({ skipped }) => skipped),
  };
}

interface Losses {
  readonly loss: number;
  readonly losses: Readonly<Record<string, number>>;
}

function compareLosses(reference: Reference, { loss, losses }: Losses): Verification {
  const errors = new Errors("loss", "relative");
  if (reference.loss !== undefined) errors.add("batch 0", Math.abs(loss / reference.loss - 1));
  const ahead = Object.keys(losses).filter((name) => name.startsWith("mtp."));
  if (reference.mtpLoss !== undefined && ahead.length > 0) {
    const mean = ahead.reduce((sum, name) => sum + losses[name], 0);
    errors.add("batch 0, mtp", Math.abs(mean / reference.mtpLoss - 1));
  }
  const skipped = reference.loss === undefined ? [{ quantity: "loss", why: lacks("loss_batch0 in ref.json") }] : [];
  return { comparisons: errors.result(), skipped };
}

async function verifyGradients(
  model: Model,
  { gradients: file, folder }: Reference,
  family: Family,
): Promise<Verification> {
  const quantity = "gradients";
  if (file === undefined) return { comparisons: [], skipped: [{ quantity, why: lacks("grads.safetensors") }] };
  const errors = new Errors(quantity, "relative L2");
  const tensors = new Map(model.manifest.parameters.map(({ name, gradient }) => [name, gradient]));
  const theirs = parametersOfFile(file, `${folder}/grads.safetensors`, model, family);
  for (const [ours, read] of theirs) {
    const gradient = tensors.get(ours);
    if (gradient === undefined) throw otherModel(`${folder}/grads.safetensors`, `${ours} has no gradient in the model`);
    errors.add(ours, relativeDistance(await model.device.read(gradient), await read()));
  }
  return { comparisons: errors.result(), skipped: missingOnes(quantity, theirs, model) };
}

interface TrainingState {
  readonly batches: ReferenceBatches;
  readonly before: ReadonlyMap<string, Float32Array>;
  readonly settings: StepSettings;
}

/** The first step was made; the others follow. */
async function verifyUpdate(
  model: Model,
  { after: file, optimizer, folder }: Reference,
  family: Family,
  { batches, before, settings }: TrainingState,
): Promise<Verification> {
  const quantity = "update";
  const skip = (what: string) => ({ comparisons: [], skipped: [{ quantity, why: lacks(what) }] });
  if (file === undefined) return skip("after3.safetensors");
  if (optimizer === undefined) return skip("`optimizer` in ref.json that is AdamW at a constant rate");
  if (optimizer.steps > batches.count) return skip(`batch for each of its ${optimizer.steps} steps`);
  const { training } = model.manifest;
  for (let index = 1; training !== undefined && index < optimizer.steps; index++) {
    await runStep(model.device, training, batchOf(batches, index), settings);
  }
  const errors = new Errors(quantity, "relative L2 of the change");
  const theirs = parametersOfFile(file, `${folder}/after3.safetensors`, model, family);
  for (const [ours, read] of theirs) {
    const start = before.get(ours) ?? new Float32Array();
    const change = (values: Float32Array) => values.map((value, i) => value - start[i]);
    errors.add(ours, relativeDistance(change(await model.parameter(ours)), change(await read())));
  }
  return { comparisons: errors.result(), skipped: missingOnes(quantity, theirs, model) };
}

/** Parameters that train and of which the reference has nothing. */
function missingOnes(quantity: string, found: ReadonlyMap<string, unknown>, { manifest }: Model): Skipped[] {
  const trained = manifest.parameters.filter(({ gradient }) => gradient !== undefined);
  const missing = trained.filter(({ name }) => !found.has(name)).length;
  return missing === 0 ? [] : [{ quantity, why: lacksSome(missing, trained.length) }];
}

function batchOf({ sequences, sequence, tokens, labels }: ReferenceBatches, index: number): Batch {
  const length = sequences * sequence;
  const from = index * length;
  const isLast = (i: number) => i % sequence === sequence - 1;
  return {
    rows: sequences,
    tokens: tokens.slice(from, from + length),
    targets: Int32Array.from({ length }, (_, i) => (isLast(i) ? -1 : Math.max(-1, labels[from + i + 1]))),
    documents: new Int32Array(length),
    positions: Int32Array.from({ length }, (_, i) => i % sequence),
  };
}
