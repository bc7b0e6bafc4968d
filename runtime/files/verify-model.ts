// Compares a model with reference data: what it says, and how it learns. Each quantity has the tolerance that references in
// f32 support: double precision moves their logits by 1e-5, and three steps of AdamW by 1e-4 of a weight's change.

import type { Batch } from "../data/batches.ts";
import { lacks, lacksSome, otherModel } from "../messages/verify.ts";
import type { Model } from "../model.ts";
import { clearOptimizer } from "../train/device-state.ts";
import { runStep } from "../train/step.ts";
import type { Family } from "./hugging-face.ts";
import { parametersOfFile } from "./verify-parameters.ts";
import type { Reference, ReferenceBatches } from "./verify-reference.ts";

/** The largest error among what was compared of a quantity. */
export interface Comparison {
  readonly quantity: string;
  /** How it is measured. */
  readonly measure: string;
  readonly compared: number;
  readonly error: number;
  readonly tolerance: number;
  /** Where the error is largest. */
  readonly worst: string;
}

export interface Skipped {
  readonly quantity: string;
  readonly why: string;
}

export interface Verification {
  readonly comparisons: readonly Comparison[];
  readonly skipped: readonly Skipped[];
}

const tolerances = { logits: 2e-4, greedy: 0, loss: 1e-5, gradients: 1e-3, update: 1e-2 } as const;

/** An error that is no number is larger than any. */
export const isWithin = ({ error, tolerance }: Comparison): boolean => error <= tolerance;

/** Collects errors of one quantity and keeps the largest. */
class Errors {
  readonly #quantity: keyof typeof tolerances;
  readonly #measure: string;
  #compared = 0;
  #largest = { error: 0, at: "" };

  constructor(quantity: keyof typeof tolerances, measure: string) {
    this.#quantity = quantity;
    this.#measure = measure;
  }

  add(error: number, at: string): void {
    const known = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    if (this.#compared++ === 0 || known > this.#largest.error) this.#largest = { error: known, at };
  }

  /** None where nothing was compared. */
  result(): Comparison[] {
    if (this.#compared === 0) return [];
    const [quantity, measure, compared] = [this.#quantity, this.#measure, this.#compared];
    const { error, at } = this.#largest;
    return [{ quantity, measure, compared, error, tolerance: tolerances[quantity], worst: at }];
  }
}

/** Logits of every prompt, and the text that the most likely tokens make. */
export async function verifyServing(model: Model, reference: Reference): Promise<Verification> {
  const logits = new Errors("logits", "largest difference");
  const greedy = new Errors("greedy", "tokens that differ");
  const { vocab } = model.manifest.model;
  for (const number of reference.prompts) {
    const prompt = await reference.integers(`prompt.${number}`);
    checkTokens(reference, `prompt.${number}`, prompt, vocab);
    if (reference.has(`logits.${number}`)) {
      const shape = reference.shapeOf(`logits.${number}`);
      if (shape.join() !== [prompt.length, vocab].join()) {
        const problem = `logits.${number} is [${shape.join(", ")}], the model's are [${prompt.length}, ${vocab}]`;
        throw otherModel(reference.path, problem);
      }
      const { index, error } = furthest(await model.logits(prompt), await reference.floats(`logits.${number}`));
      logits.add(error, `prompt ${number}, position ${Math.floor(index / vocab)}, token ${index % vocab}`);
    }
    if (!reference.has(`greedy.${number}`)) continue;
    const expected = await reference.integers(`greedy.${number}`);
    const { tokens } = await model.generate({ prompt, maxTokens: Math.max(1, expected.length), temperature: 0 });
    const differing = [...expected.keys()].filter((i) => tokens[i] !== expected[i]);
    const [first = 0] = differing;
    const at = `prompt ${number}, new token ${first}: ${tokens[first]}, there ${expected[first]}`;
    greedy.add(differing.length, differing.length === 0 ? "" : at);
  }
  const comparisons = [...logits.result(), ...greedy.result()];
  const missing = (["logits", "greedy"] as const).filter((name) => !comparisons.some((one) => one.quantity === name));
  return { comparisons, skipped: missing.map((quantity) => ({ quantity, why: lacks(`prompt.i with ${quantity}.i`) })) };
}

/** The loss and the gradients on the first batch, and what the steps on all batches change. */
export async function verifyTraining(
  model: Model,
  reference: Reference,
  batches: ReferenceBatches,
  family: Family,
): Promise<Verification> {
  const { training } = model.manifest;
  if (training === undefined) throw new RangeError("the model was compiled without training");
  checkTokens(reference, "batches", batches.tokens, model.manifest.model.vocab);
  checkTokens(
    reference,
    "labels",
    batches.labels.map((label) => Math.max(0, label)),
    model.manifest.model.vocab,
  );
  const { optimizer } = reference;
  const settings = { learningRate: optimizer?.lr ?? 0, clip: optimizer?.clip };
  const before = new Map<string, Float32Array>();
  for (const name of model.parameterNames) before.set(name, (await model.parameter(name)).slice());
  clearOptimizer(model.device);
  const { loss } = await runStep(model.device, training, batchOf(batches, 0), settings);
  const losses = new Errors("loss", "relative");
  if (reference.loss !== undefined) losses.add(Math.abs(loss / reference.loss - 1), "batch 0");
  const gradients = await verifyGradients(model, reference, family);
  const result = { comparisons: [...losses.result(), ...gradients.comparisons], skipped: [...gradients.skipped] };
  if (reference.loss === undefined) result.skipped.unshift({ quantity: "loss", why: lacks("loss_batch0 in ref.json") });
  const update = await verifyUpdate(model, reference, family, { batches, before, settings });
  return {
    comparisons: [...result.comparisons, ...update.comparisons],
    skipped: [...result.skipped, ...update.skipped],
  };
}

async function verifyGradients(model: Model, { gradients: file, folder }: Reference, family: Family) {
  const quantity = "gradients";
  if (file === undefined) return { comparisons: [], skipped: [{ quantity, why: lacks("grads.safetensors") }] };
  const errors = new Errors(quantity, "relative L2");
  const tensors = new Map(model.manifest.parameters.map(({ name, gradient }) => [name, gradient]));
  const theirs = parametersOfFile(file, `${folder}/grads.safetensors`, model, family);
  for (const [ours, read] of theirs) {
    const gradient = tensors.get(ours);
    if (gradient === undefined) throw otherModel(`${folder}/grads.safetensors`, `${ours} has no gradient in the model`);
    errors.add(relativeDistance(await model.device.read(gradient), await read()), ours);
  }
  return { comparisons: errors.result(), skipped: missingOnes(quantity, theirs, model) };
}

interface TrainingState {
  readonly batches: ReferenceBatches;
  readonly before: ReadonlyMap<string, Float32Array>;
  readonly settings: { readonly learningRate: number; readonly clip: number | undefined };
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
    errors.add(relativeDistance(change(await model.parameter(ours)), change(await read())), ours);
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

/** A token outside the vocabulary would read what is no row of the embedding. */
function checkTokens({ path }: Reference, name: string, tokens: Int32Array, vocab: number): void {
  const outside = tokens.find((token) => !(token >= 0 && token < vocab));
  if (outside !== undefined) throw otherModel(path, `${name} holds token ${outside}, the model has ${vocab}`);
}

function furthest(got: Float32Array, expected: Float32Array): { readonly index: number; readonly error: number } {
  let [index, error] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(got[i] - expected[i]);
    if (difference <= error) continue;
    [index, error] = [i, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference];
  }
  return { index, error };
}

/** Euclidean length of a - b over that of b. */
function relativeDistance(a: Float32Array, b: Float32Array): number {
  let [difference, length] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    length += b[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / length);
}
