// `mspec generate`: lets a trained model continue a prompt, and prints the text as it comes.

import { join } from "node:path";
import type { Command } from "commander";
import type { Model } from "../../runtime/model.ts";
import type { OpenRunOptions } from "../../runtime/open-run.ts";
import * as say from "../source/messages/train.ts";
import { chooseDevice } from "./choose-device.ts";
import { realFlag, threadsFlag, wholeFlag } from "./number-flags.ts";
import { deviceFlag, type deviceNames } from "./spec-flags.ts";

interface GenerateFlags {
  readonly prompt: string;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly maxTokens?: number;
  readonly weights?: string;
  readonly tokenizer?: string;
  readonly device?: (typeof deviceNames)[number];
  readonly threads?: number;
}

export function addGenerateVerb(program: Command): void {
  program
    .command("generate")
    .description("continue a prompt with the newest checkpoint of a run, or with a compiled model and its weights")
    .argument("<folder>", "a run folder, or a folder that mspec compile wrote")
    .option("--prompt <text>", "what the text begins with (default: the beginning of a document)", "")
    .addOption(realFlag("temperature", "0 takes the most likely token (default: 0.8)"))
    .addOption(wholeFlag("top-k", "sample from the k most likely tokens (default: all)", 0))
    .addOption(realFlag("top-p", "sample from the most likely tokens that together have this probability (default: 1)"))
    .addOption(realFlag("min-p", "leave out tokens less likely than this share of the most likely one (default: 0)"))
    .addOption(wholeFlag("seed", "the same seed gives the same text (default: 0)", 0))
    .addOption(wholeFlag("max-tokens", "the most new tokens (default: 256)", 1))
    .option("--weights <file>", "a safetensors file (default, for a compiled model: model.safetensors beside it)")
    .option("--tokenizer <file>", "a tokenizer.json (default: the one in the folder)")
    .addOption(deviceFlag("the device to run on"))
    .addOption(threadsFlag())
    .action(generate);
}

async function generate(folder: string, flags: GenerateFlags): Promise<void> {
  const model = await openFolder(folder, flags);
  const controller = new AbortController();
  // Nobody reads any more: there is no reason to go on.
  process.stdout.once("error", () => controller.abort());
  const onInterrupt = () => controller.abort();
  process.once("SIGINT", onInterrupt);
  try {
    const { prompt, temperature, topK, topP, minP, seed, maxTokens } = flags;
    const given = { temperature, topK, topP, minP, seed, maxTokens };
    const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    // The prompt stands before the first text: what is refused prints nothing.
    let before = prompt;
    const onText = (text: string) => {
      process.stdout.write(before + text);
      before = "";
    };
    const { reason } = await model.generate({ prompt, ...known, onText }, controller.signal);
    process.stdout.write(`${before}\n`);
    if (reason === "context") process.stderr.write(`${say.contextEnds(model.manifest.model.context)}\n`);
  } finally {
    process.off("SIGINT", onInterrupt);
    await model.close();
  }
}

/** A run folder has checkpoints; a compiled model has a manifest and weights beside it. */
async function openFolder(folder: string, flags: GenerateFlags): Promise<Model> {
  const options: OpenRunOptions = {
    device: chooseDevice(flags.device).name,
    ...(flags.threads === undefined ? {} : { threads: flags.threads }),
  };
  const { nodeHost, folderSource } = await import("../../runtime/node-host.ts");
  const exists = async (path: string) => (await nodeHost.disk.stat(path)) !== undefined;
  if (!(await exists(join(folder, "manifest.json")))) {
    const { openRun } = await import("../../runtime/open-run.ts");
    const { model, warnings } = await openRun(folder, options);
    for (const sentence of warnings) process.stderr.write(`${say.warningLine(sentence)}\n`);
    return model;
  }
  const { openModel } = await import("../../runtime/open-model.ts");
  const beside = join(folder, "tokenizer.json");
  const tokenizer = flags.tokenizer ?? ((await exists(beside)) ? beside : undefined);
  const model = await openModel(folderSource(folder), {
    ...options,
    ...(tokenizer === undefined ? {} : { tokenizer }),
  });
  try {
    await model.loadWeights(flags.weights ?? join(folder, "model.safetensors"));
    return model;
  } catch (error) {
    await model.close();
    throw error;
  }
}
