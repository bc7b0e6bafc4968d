// `mspec verify`: an imported model against what another system computed with the same weights.

import { join } from "node:path";
import type { Command } from "commander";
import type { DeviceName } from "../../runtime/device.ts";
import type { Family } from "../../runtime/files/hugging-face.ts";
import type { Comparison, Verification } from "../../runtime/files/verify-errors.ts";
import type { Reference, ReferenceBatches } from "../../runtime/files/verify-reference.ts";
import type { Model } from "../../runtime/model.ts";
import * as say from "../source/messages/verify.ts";
import type { ModelSpec, Spec } from "../spec/spec.ts";
import { chooseDevice } from "./choose-device.ts";
import { threadsFlag } from "./number-flags.ts";
import { deviceFlag, readSpecOrThrow } from "./spec-flags.ts";

interface VerifyFlags {
  readonly reference: string;
  readonly device?: DeviceName;
  readonly threads?: number;
  readonly all?: boolean;
  readonly oracle?: boolean;
}

export function addVerifyVerb(program: Command): void {
  program
    .command("verify")
    .description("compare an imported model with what another system computed with its weights")
    .argument("<folder>", "a folder that mspec import wrote")
    .requiredOption("--reference <folder>", "the folder of reference data, see below")
    .option("--all", "print a row for every tensor, not only for those with the largest errors")
    .option("--oracle", "compute by what the operations mean, in double precision, instead of with kernels; slow")
    .addOption(deviceFlag("the device to run on"))
    .addOption(threadsFlag())
    .addHelpText("after", after)
    .action(verifyFolder);
}

const after = `
The reference folder holds ref.safetensors, and as much else as there is; what it lacks is skipped and said:
  ref.safetensors     prompt.i: token ids; logits.i [tokens, vocab]; greedy.i: the most likely tokens behind the prompt
                      mtp_logits.i [tokens - 1, vocab]: of the token behind the next one
                      hidden.j [tokens, width] of prompt 1: behind the embedding, behind layer j - 1, behind the final norm
                      batches, labels [batches, sequences, tokens]: the label of a token is the token itself, below 0: none
  ref.json            loss_batch0: mean over the targets of batch 0; optimizer: lr, betas, eps, weight_decay (of all
                      parameters), clip_grad_norm, steps, and "optimizer": "torch.optim.AdamW", one batch for each step
                      of a model that predicts further ahead: main_loss, mtp_loss, and lambda_, the weight of the second
  grads.safetensors   d loss / d parameter on batch 0, before clipping, under Hugging Face's names
  after3.safetensors  the parameters after these steps
Tolerances: hidden states 1e-4 relative L2, logits 2e-4, greedy tokens all equal, loss 1e-5 relative, gradients 1e-3 and the
steps' change 1e-2 in relative L2 for each tensor. No bias of a router's choice moves, and no balance is asked for.
Exit code 1: something differs by more, or nothing was compared.`;

const mismatch = 1;
/** Rows of a quantity that are printed unless all are asked for. */
const mostRows = 10;

async function verifyFolder(folder: string, flags: VerifyFlags): Promise<void> {
  const { nodeDisk } = await import("../../runtime/files/node-disk.ts");
  const { Reference } = await import("../../runtime/files/verify-reference.ts");
  const reference = await Reference.open(nodeDisk, flags.reference);
  try {
    const { comparisons, skipped } = await compareAll(folder, reference, flags);
    const mostParts = flags.all === true ? Number.POSITIVE_INFINITY : mostRows;
    const lines = [
      ...(comparisons.length === 0 ? [say.nothingCompared(flags.reference)] : say.table(comparisons.map(summaryOf))),
      ...comparisons.flatMap((comparison) => say.parts(comparison.quantity, partsOf(comparison), mostParts)),
      ...firstLayer(comparisons),
      ...skipped.map(({ quantity, why }) => say.skipped(quantity, why)),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    if (comparisons.length === 0 || !comparisons.every((comparison) => summaryOf(comparison).isRight))
      process.exitCode = mismatch;
  } finally {
    await reference.close();
  }
}

function summaryOf(comparison: Comparison): say.VerifyRow {
  const { quantity, measure, tolerance, parts } = comparison;
  const worst = parts.reduce((most, part) => (part.error > most.error ? part : most));
  const { error } = worst;
  const at = [worst.name, worst.at].filter((text) => text !== "").join(", ");
  const isRight = error <= tolerance;
  return { quantity, measure, compared: parts.length, error, tolerance, worst: error === 0 ? "" : at, isRight };
}

const partsOf = ({ parts, tolerance }: Comparison): say.PartRow[] =>
  parts.map(({ name, error, at }) => ({ name, error, tolerance, at, isRight: error <= tolerance }));

/** The first hidden state that is another one tells where to look. */
function firstLayer(comparisons: readonly Comparison[]): string[] {
  const hidden = comparisons.find(({ quantity }) => quantity === "hidden");
  const first = hidden?.parts.find(({ error }) => !(error <= hidden.tolerance));
  return first === undefined ? [] : [say.firstThatDiffers(first.name)];
}

async function compareAll(folder: string, reference: Reference, flags: VerifyFlags): Promise<Verification> {
  const { verifyServing } = await import("../../runtime/files/verify-serving.ts");
  const { verifyTraining } = await import("../../runtime/files/verify-training.ts");
  const { lacks } = await import("../../runtime/messages/verify.ts");
  const batches = await reference.batches();
  const { model, family } = await openImported(folder, batches, reference, flags);
  try {
    const serving = await verifyServing(model, reference);
    const training =
      batches === undefined
        ? { comparisons: [], skipped: [{ quantity: "loss, gradients, update", why: lacks("batches") }] }
        : await verifyTraining(model, reference, batches, family);
    return {
      comparisons: [...serving.comparisons, ...training.comparisons],
      skipped: [...serving.skipped, ...training.skipped],
    };
  } finally {
    await model.close();
  }
}

interface ImportedModel {
  readonly model: Model;
  readonly family: Family;
}

/** The model as its spec says, trained as the reference was. A tokenizer would end greedy text where it ends documents. */
async function openImported(
  folder: string,
  batches: ReferenceBatches | undefined,
  reference: Reference,
  flags: VerifyFlags,
): Promise<ImportedModel> {
  const set = batches === undefined ? [] : [trainingOf(batches, reference)];
  const { data: _data, train, ...spec } = readSpecOrThrow(join(folder, "model.yaml"), { set });
  const trained = { ...spec, data: undefined, train: batches === undefined ? undefined : train };
  const family = await familyOf(folder, spec.model);
  const model = await openTrained(trained, flags);
  try {
    await model.loadWeights(join(folder, "model.safetensors"));
    return { model, family };
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** Kernels on a device, or what they are held against. */
async function openTrained(spec: Spec, flags: VerifyFlags): Promise<Model> {
  if (flags.oracle === true) {
    const { openOnOracle } = await import("./oracle-device.ts");
    // A call computes all rows that there is room for: few keep a token at a time affordable.
    const tokens = Math.min(spec.serve.tokens, oracleTokens);
    return openOnOracle({ ...spec, serve: { ...spec.serve, sequences: 1, tokens } }, { givesHidden: true });
  }
  const { compileInMemory } = await import("./compile-in-memory.ts");
  const { openModel } = await import("../../runtime/open-model.ts");
  const { name: device } = await chooseDevice(flags.device);
  const source = await compileInMemory(spec, { givesHidden: true }, device);
  const threads = flags.threads === undefined ? {} : { threads: flags.threads };
  return openModel(source, { device, ...threads });
}

const oracleTokens = 16;

/** Whose names the reference has. */
async function familyOf(folder: string, model: ModelSpec): Promise<Family> {
  const { readSmallFile } = await import("./new-folder.ts");
  const { familyOfModel } = await import("../spec/families/index.ts");
  const config = await readSmallFile(join(folder, "config.json"));
  const type = config === undefined ? undefined : JSON.parse(new TextDecoder().decode(config)).model_type;
  // A model that no family has is compared by what it says; its names are as good as any.
  return familyOfModel(type, model)?.name ?? "llama";
}

/** A training section for `--set`; JSON is YAML. */
function trainingOf({ sequence, sequences, count }: ReferenceBatches, { optimizer }: Reference): string {
  const { betas, eps, weightDecay } = optimizer ?? { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 };
  const batch = { sequences, micro: 1 };
  const rule = { betas, eps, weight_decay: weightDecay };
  return `train=${JSON.stringify({ sequence, batch, steps: count, lr: optimizer?.lr ?? 0, optimizer: rule })}`;
}
