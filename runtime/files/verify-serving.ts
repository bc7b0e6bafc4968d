// Compares what a model says with reference data: hidden states of one text, logits of several, and the text that the most
// likely tokens make.

import { lacks, noHiddenStates, otherModel } from "../messages/verify.ts";
import type { Model } from "../model.ts";
import { Errors, furthest, relativeDistance, type Verification } from "./verify-errors.ts";
import { checkReferenceTokens, type Reference } from "./verify-reference.ts";

export async function verifyServing(model: Model, reference: Reference): Promise<Verification> {
  const hidden = await verifyHidden(model, reference);
  const logits = new Errors("logits", "largest difference");
  const further = new Errors("mtp_logits", "largest difference");
  const predictsFurther = model.manifest.programs.some(({ name }) => name === "draft");
  const greedy = new Errors("greedy", "tokens that differ");
  for (const number of reference.prompts) {
    const prompt = await reference.integers(`prompt.${number}`);
    checkReferenceTokens(reference, `prompt.${number}`, prompt, model.manifest.model.vocab);
    if (reference.has(`logits.${number}`)) {
      const got = { name: `logits.${number}`, rows: prompt.length, values: await model.logits(prompt) };
      logits.add(`prompt ${number}`, ...(await compareLogits(model, reference, got)));
    }
    if (predictsFurther && reference.has(`mtp_logits.${number}`)) {
      const values = await model.furtherLogits(prompt);
      const got = { name: `mtp_logits.${number}`, rows: prompt.length - 1, values };
      further.add(`prompt ${number}`, ...(await compareLogits(model, reference, got)));
    }
    if (reference.has(`greedy.${number}`)) await compareGreedy(model, reference, number, prompt, greedy);
  }
  const comparisons = [...hidden.comparisons, ...logits.result(), ...further.result(), ...greedy.result()];
  const missing = (["logits", "greedy"] as const).filter((name) => !comparisons.some((one) => one.quantity === name));
  return {
    comparisons,
    skipped: [
      ...hidden.skipped,
      ...missing.map((quantity) => ({ quantity, why: lacks(`prompt.i with ${quantity}.i`) })),
    ],
  };
}

/** The prompt of which a reference has hidden states. */
const hiddenPrompt = 1;

/** hidden.0 is the embedding, hidden.i what layer i - 1 gives, and the last one stands behind the final norm. */
async function verifyHidden(model: Model, reference: Reference): Promise<Verification> {
  const quantity = "hidden";
  const { layers, vocab, width } = model.manifest.model;
  const indices = Array.from({ length: layers + 1 }, (_, i) => i).filter((i) => reference.has(`hidden.${i}`));
  const name = `prompt.${hiddenPrompt}`;
  if (indices.length === 0 || !reference.has(name)) {
    return { comparisons: [], skipped: [{ quantity, why: lacks(`hidden.i with ${name}`) }] };
  }
  const prompt = await reference.integers(name);
  checkReferenceTokens(reference, name, prompt, vocab);
  const states = await model.hiddenStates(prompt);
  if (states === undefined) return { comparisons: [], skipped: [{ quantity, why: noHiddenStates }] };
  const errors = new Errors(quantity, "relative L2");
  for (const i of indices) {
    const shape = reference.shapeOf(`hidden.${i}`);
    if (shape.join() !== [prompt.length, width].join()) {
      const problem = `hidden.${i} is [${shape.join(", ")}], the model's are [${prompt.length}, ${width}]`;
      throw otherModel(reference.path, problem);
    }
    errors.add(hiddenName(i, layers), relativeDistance(states[i], await reference.floats(`hidden.${i}`)));
  }
  return { comparisons: errors.result(), skipped: [] };
}

function hiddenName(index: number, layers: number): string {
  if (index === 0) return "embedding";
  return index === layers ? `layers.${index - 1} and final_norm` : `layers.${index - 1}`;
}

interface Logits {
  readonly name: string;
  readonly rows: number;
  readonly values: Float32Array;
}

/** The largest difference, and where it is. */
async function compareLogits(
  model: Model,
  reference: Reference,
  { name, rows, values }: Logits,
): Promise<[error: number, at: string]> {
  const { vocab } = model.manifest.model;
  const shape = reference.shapeOf(name);
  if (shape.join() !== [rows, vocab].join()) {
    const problem = `${name} is [${shape.join(", ")}], the model's are [${rows}, ${vocab}]`;
    throw otherModel(reference.path, problem);
  }
  const { index, error } = furthest(values, await reference.floats(name));
  return [error, `position ${Math.floor(index / vocab)}, token ${index % vocab}`];
}

async function compareGreedy(
  model: Model,
  reference: Reference,
  number: number,
  prompt: Int32Array,
  errors: Errors,
): Promise<void> {
  const expected = await reference.integers(`greedy.${number}`);
  const { tokens } = await model.generate({ prompt, maxTokens: Math.max(1, expected.length), temperature: 0 });
  const differing = [...expected.keys()].filter((i) => tokens[i] !== expected[i]);
  const [first = 0] = differing;
  const at = `new token ${first}: ${tokens[first]}, there ${expected[first]}`;
  errors.add(`prompt ${number}`, differing.length, differing.length === 0 ? "" : at);
}
