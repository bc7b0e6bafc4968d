// `mspec generate`: lets a trained model continue a prompt, and prints the text as it comes.

import { join } from "node:path";
import type { Command } from "commander";
import type { BuildSource } from "../../runtime/build-source.ts";
import type { StreamingDecoder } from "../../runtime/data/tokenizer.ts";
import type { DeviceName } from "../../runtime/device.ts";
import type { Model } from "../../runtime/model.ts";
import type { OpenRunOptions } from "../../runtime/open-run.ts";
import { DiagnosticError } from "../source/diagnostic.ts";
import * as say from "../source/messages/train.ts";
import { chooseDevice } from "./choose-device.ts";
import { endTokensOf } from "./end-tokens.ts";
import { realFlag, threadsFlag, wholeFlag } from "./number-flags.ts";
import { deviceFlag } from "./spec-flags.ts";

interface GenerateFlags {
  readonly prompt?: string;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly maxTokens?: number;
  readonly drafts: boolean;
  readonly weights?: string;
  readonly tokenizer?: string;
  readonly device?: DeviceName;
  readonly threads?: number;
}

export function addGenerateVerb(program: Command): void {
  program
    .command("generate")
    .description(
      "continue a prompt with a run's newest checkpoint, an imported model, or a compiled one and its weights",
    )
    .argument("<folder>", "a run folder, or a folder that mspec import or mspec compile wrote")
    .option("--prompt <text>", "what the text begins with (default: the beginning of a document)")
    .addOption(realFlag("temperature", "0 takes the most likely token (default: 0.8)"))
    .addOption(wholeFlag("top-k", "sample from the k most likely tokens (default: all)", 0))
    .addOption(realFlag("top-p", "sample from the most likely tokens that together have this probability (default: 1)"))
    .addOption(realFlag("min-p", "leave out tokens less likely than this share of the most likely one (default: 0)"))
    .addOption(wholeFlag("seed", "the same seed gives the same text (default: 0)", 0))
    .addOption(wholeFlag("max-tokens", "the most new tokens (default: 256)", 1))
    .option("--no-drafts", "guess no token ahead, where the model can: greedy text is the same, only slower")
    .option("--weights <file>", "a safetensors file (default, unless it is a run: model.safetensors in the folder)")
    .option("--tokenizer <file>", "a tokenizer.json (default: the one in the folder)")
    .addOption(deviceFlag("the device to run on"))
    .addOption(threadsFlag())
    .action(generate);
}

async function generate(folder: string, flags: GenerateFlags): Promise<void> {
  const model = await openFolder(folder, flags);
  model.device.onWarning = (sentence) => void process.stderr.write(`${say.warningLine(sentence)}\n`);
  const controller = new AbortController();
  // Nobody reads any more: there is no reason to go on.
  process.stdout.once("error", () => controller.abort());
  const onInterrupt = () => controller.abort();
  process.once("SIGINT", onInterrupt);
  try {
    const { prompt = "", temperature, topK, topP, minP, seed, maxTokens } = flags;
    const given = { temperature, topK, topP, minP, seed, maxTokens };
    const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    // The prompt stands before the first text: what is refused prints nothing.
    let before = prompt;
    const print = (text: string) => {
      if (text === "") return;
      process.stdout.write(before + text);
      before = "";
    };
    const tokens = await tokensOf(model, prompt);
    const decoder = decoderBehind(model, tokens);
    const onToken = (token: number) => print(decoder.push(token));
    const endTokens = await endTokensOf(folder);
    const options = { prompt: tokens, endTokens, ...known, drafts: flags.drafts, onToken };
    const { reason, drafts } = await model.generate(options, controller.signal);
    print(decoder.end());
    process.stdout.write(`${before}\n`);
    if (drafts.made > 0) process.stderr.write(`${say.acceptedDrafts(drafts.accepted, drafts.made)}\n`);
    if (reason === "context") process.stderr.write(`${say.contextEnds(model.manifest.model.context)}\n`);
  } finally {
    process.off("SIGINT", onInterrupt);
    await model.close();
  }
}

/** The prompt as the model was trained to see one: behind the token that begins a document, if its tokenizer has one. */
async function tokensOf(model: Model, prompt: string): Promise<number[]> {
  const { documentStart } = await import("../../runtime/data/document-start.ts");
  const start = model.tokenizerJson === undefined ? [] : documentStart(model.tokenizerJson);
  return [...start, ...model.tokenizer.encode(prompt)];
}

/** Some tokenizers write a space before a token only where another stands before it. */
function decoderBehind(model: Model, prompt: readonly number[]): StreamingDecoder {
  const decoder = model.tokenizer.startDecoding();
  for (const token of prompt) decoder.push(token);
  return decoder;
}

const specFile = "model.yaml";

/** What trains would only take memory: gradients and moments are three times the weights. */
async function compileForServing(path: string, device: DeviceName): Promise<BuildSource> {
  const { readSpecOrThrow } = await import("./spec-flags.ts");
  const { compileInMemory } = await import("./compile-in-memory.ts");
  const { data: _data, train: _train, ...spec } = readSpecOrThrow(path, { set: [] });
  return compileInMemory({ ...spec, data: undefined, train: undefined }, {}, device);
}

/** A run has weights and a tokenizer of its own; what is no run at all is told by whoever opens it. */
function refuseFlagsOfCompiled(folder: string, isFolder: boolean, { weights, tokenizer }: GenerateFlags): void {
  if (!isFolder) return;
  const flag = weights !== undefined ? "--weights" : tokenizer !== undefined ? "--tokenizer" : undefined;
  if (flag !== undefined) throw new DiagnosticError([say.onlyForCompiled(folder, flag)]);
}

/** What is asked for; or the best device that is here, if the build in `compiled` has kernels for it. */
async function deviceFor(flags: GenerateFlags, compiled: string | undefined): Promise<DeviceName> {
  const { name } = await chooseDevice(flags.device);
  if (flags.device !== undefined || compiled === undefined) return name;
  const { nodeHost } = await import("../../runtime/node-host.ts");
  const { manifestFiles, targetOfDevice } = await import("../../runtime/device-targets.ts");
  const isCompiledFor = (await nodeHost.disk.stat(join(compiled, manifestFiles[targetOfDevice[name]]))) !== undefined;
  return isCompiledFor ? name : "wasm";
}

/** A run folder has checkpoints, a compiled model a manifest, an imported one its spec; weights lie beside both. */
async function openFolder(folder: string, flags: GenerateFlags): Promise<Model> {
  const { nodeHost, folderSource } = await import("../../runtime/node-host.ts");
  const exists = async (path: string) => (await nodeHost.disk.stat(path)) !== undefined;
  const isFolder = (await nodeHost.disk.stat(folder))?.kind === "folder";
  const isCompiled = isFolder && (await exists(join(folder, "manifest.json")));
  const spec = join(folder, specFile);
  // A run may lie beside the spec that it was made from, and a spec alone is a model without weights.
  const isRun = isFolder && (await exists(join(folder, "checkpoints")));
  const isModel = isFolder && !isCompiled && !isRun && (await exists(spec));
  const isImported = isModel && (flags.weights !== undefined || (await exists(join(folder, "model.safetensors"))));
  const compiled = isCompiled ? folder : join(folder, "compiled");
  const device = await deviceFor(flags, isImported || !isFolder ? undefined : compiled);
  const options: OpenRunOptions = {
    device,
    ...(flags.threads === undefined ? {} : { threads: flags.threads }),
  };
  if (!isCompiled && !isImported) {
    refuseFlagsOfCompiled(folder, isFolder, flags);
    const { openRun } = await import("../../runtime/open-run.ts");
    const { model, warnings } = await openRun(folder, options);
    for (const sentence of warnings) process.stderr.write(`${say.warningLine(sentence)}\n`);
    return model;
  }
  const { openModel } = await import("../../runtime/open-model.ts");
  const beside = join(folder, "tokenizer.json");
  const tokenizer = flags.tokenizer ?? ((await exists(beside)) ? beside : undefined);
  const source = isCompiled ? folderSource(folder) : await compileForServing(spec, device);
  const model = await openModel(source, {
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
