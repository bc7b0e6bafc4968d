// `mspec verify`: an imported model against what another system computed with the same weights.

import { join } from "node:path";
import type { Command } from "commander";
import type { Comparison, Verification } from "../../runtime/files/verify-model.ts";
import type { Reference, ReferenceBatches } from "../../runtime/files/verify-reference.ts";
import type { Model } from "../../runtime/model.ts";
import * as say from "../source/messages/verify.ts";
import { chooseDevice } from "./choose-device.ts";
import { threadsFlag } from "./number-flags.ts";
import { deviceFlag, type deviceNames, readSpecOrThrow } from "./spec-flags.ts";

interface VerifyFlags {
  readonly reference: string;
  readonly device?: (typeof deviceNames)[number];
  readonly threads?: number;
}

export function addVerifyVerb(program: Command): void {
  program
    .command("verify")
    .description("compare an imported model with what another system computed with its weights")
    .argument("<folder>", "a folder that mspec import wrote")
    .requiredOption("--reference <folder>", "the folder of reference data, see below")
    .addOption(deviceFlag("the device to run on"))
    .addOption(threadsFlag())
    .addHelpText("after", after)
    .action(verifyFolder);
}

const after = `
The reference folder holds ref.safetensors, and as much else as there is; what it lacks is skipped and said:
  ref.safetensors     prompt.i: token ids; logits.i [tokens, vocab]; greedy.i: the most likely tokens behind the prompt
                      batches, labels [batches, sequences, tokens]: the label of a token is the token itself, below 0: none
  ref.json            loss_batch0: mean over the targets of batch 0; optimizer: lr, betas, eps, weight_decay (of all
                      parameters), clip_grad_norm, steps, and "optimizer": "torch.optim.AdamW", one batch for each step
  grads.safetensors   d loss / d parameter on batch 0, before clipping, under Hugging Face's names
  after3.safetensors  the parameters after these steps
Tolerances: logits 2e-4, greedy tokens all equal, loss 1e-5 relative, gradients 1e-3 and the steps' change 1e-2 in relative
L2 for each tensor. Exit code 1: something differs by more, or nothing was compared.`;

const mismatch = 1;

async function verifyFolder(folder: string, flags: VerifyFlags): Promise<void> {
  const { nodeDisk } = await import("../../runtime/files/node-disk.ts");
  const { Reference } = await import("../../runtime/files/verify-reference.ts");
  const { isWithin } = await import("../../runtime/files/verify-model.ts");
  const reference = await Reference.open(nodeDisk, flags.reference);
  try {
    const { comparisons, skipped } = await compareAll(folder, reference, flags);
    const rows = comparisons.map((comparison) => rowOf(comparison, isWithin(comparison)));
    const lines = [
      ...(rows.length === 0 ? [say.nothingCompared(flags.reference)] : say.table(rows)),
      ...skipped.map(({ quantity, why }) => say.skipped(quantity, why)),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    if (rows.length === 0 || rows.some(({ isRight }) => !isRight)) process.exitCode = mismatch;
  } finally {
    await reference.close();
  }
}

const rowOf = (
  { quantity, measure, compared, error, tolerance, worst }: Comparison,
  isRight: boolean,
): say.VerifyRow => ({
  quantity,
  measure,
  compared,
  error,
  tolerance,
  worst,
  isRight,
});

async function compareAll(folder: string, reference: Reference, flags: VerifyFlags): Promise<Verification> {
  const { verifyServing, verifyTraining } = await import("../../runtime/files/verify-model.ts");
  const { lacks } = await import("../../runtime/messages/verify.ts");
  const batches = await reference.batches();
  const model = await openImported(folder, batches, reference, flags);
  try {
    const serving = await verifyServing(model, reference);
    const training =
      batches === undefined
        ? { comparisons: [], skipped: [{ quantity: "loss, gradients, update", why: lacks("batches and labels") }] }
        : await verifyTraining(model, reference, batches, "llama");
    return {
      comparisons: [...serving.comparisons, ...training.comparisons],
      skipped: [...serving.skipped, ...training.skipped],
    };
  } finally {
    await model.close();
  }
}

/** The model as its spec says, trained as the reference was. A tokenizer would end greedy text where it ends documents. */
async function openImported(
  folder: string,
  batches: ReferenceBatches | undefined,
  reference: Reference,
  flags: VerifyFlags,
): Promise<Model> {
  const { compileInMemory } = await import("./compile-in-memory.ts");
  const { openModel } = await import("../../runtime/open-model.ts");
  const set = batches === undefined ? [] : [trainingOf(batches, reference)];
  const { data: _data, train, ...spec } = readSpecOrThrow(join(folder, "model.yaml"), { set });
  const source = await compileInMemory({ ...spec, data: undefined, train: batches === undefined ? undefined : train });
  const threads = flags.threads === undefined ? {} : { threads: flags.threads };
  const model = await openModel(source, { device: chooseDevice(flags.device).name, ...threads });
  try {
    await model.loadWeights(join(folder, "model.safetensors"));
    return model;
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** A training section for `--set`; JSON is YAML. */
function trainingOf({ sequence, sequences, count }: ReferenceBatches, { optimizer }: Reference): string {
  const { betas, eps, weightDecay } = optimizer ?? { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 };
  const batch = { sequences, micro: 1 };
  const rule = { betas, eps, weight_decay: weightDecay };
  return `train=${JSON.stringify({ sequence, batch, steps: count, lr: optimizer?.lr ?? 0, optimizer: rule })}`;
}
