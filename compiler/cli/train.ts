// `mspec train`: compiles a spec, trains it in a run folder, and says what it does.

import { dirname, join, relative, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { DeviceName } from "../../runtime/device.ts";
import type { Model } from "../../runtime/model.ts";
import type { TrainResult } from "../../runtime/train/options.ts";
import type { RunFolder } from "../../runtime/train/run-folder.ts";
import * as say from "../source/messages/train.ts";
import type { Spec } from "../spec/spec.ts";
import { chooseDevice } from "./choose-device.ts";
import { compileInMemory } from "./compile-in-memory.ts";
import { threadsFlag, wholeFlag } from "./number-flags.ts";
import { deviceFlag, outFlag, readSpecOrThrow, setFlag } from "./spec-flags.ts";

interface TrainFlags {
  readonly data?: readonly string[];
  readonly out?: string;
  readonly device?: DeviceName;
  readonly threads?: number;
  readonly resume?: true;
  readonly weights?: string;
  readonly order?: string;
  readonly recheck?: number;
  readonly deadline?: number;
  readonly set: readonly string[];
}

/** The flags, with the device that is taken. */
interface TrainChoices extends TrainFlags {
  readonly device: DeviceName;
  readonly because: string;
}

const recheckText =
  "every so many steps, compute one twice and end the run where a bit differs; such a step takes about twice as long (default: never)";

const deadlineText =
  "seconds that a GPU may be at work on a step before it is given up (default: ten minutes, or thirty times as long as one took)";

export function addTrainVerb(program: Command): void {
  program
    .command("train")
    .description("train a model as its spec says, in a folder with checkpoints, metrics and a report")
    .argument("<spec>", "the model spec, a YAML file")
    .option("--data <patterns...>", "training files, instead of those that the spec names")
    .addOption(outFlag("the run folder (default: runs/<name>)"))
    .addOption(deviceFlag("the device to train on"))
    .addOption(threadsFlag())
    .addOption(new Option("--resume", "go on from the run's newest checkpoint").conflicts("weights"))
    .option("--weights <file>", "begin with the weights of a safetensors file")
    .option("--order <file>", "a JSON file with the token offsets of every step's sequences")
    .addOption(wholeFlag("recheck", recheckText, 1))
    .addOption(wholeFlag("deadline", deadlineText, 1))
    .addOption(setFlag())
    .action(trainSpec);
}

async function trainSpec(path: string, flags: TrainFlags): Promise<void> {
  const spec = readSpecOrThrow(path, { set: [...flags.set, ...dataOverride(path, flags.data)] });
  const { name: device, because } = await chooseDevice(flags.device);
  const choices = { ...flags, device, because };
  const [{ RunFolder }, { nodeHost }, { checkUse, outputFolder }] = await Promise.all([
    import("../../runtime/train/run-folder.ts"),
    import("../../runtime/node-host.ts"),
    import("./output-folder.ts"),
  ]);
  const written = flags.out ?? join("runs", spec.name);
  checkUse(outputFolder(written).path, "run");
  const out = written.replace(/(?<=[^/\\])[/\\]+$/, "");
  const folder = await RunFolder.take(nodeHost, out);
  try {
    const model = await openForTraining(path, spec, folder, choices);
    try {
      await trainModel(path, spec, model, folder, choices);
    } finally {
      await model.close();
    }
  } finally {
    await folder.release();
  }
}

/** Patterns on the command line are relative to the working folder, in a spec to the spec: one meaning from here on. */
function dataOverride(path: string, patterns: readonly string[] | undefined): string[] {
  if (patterns === undefined) return [];
  const list = patterns.map((pattern) => relative(resolve(dirname(path)), resolve(pattern)).replaceAll("\\", "/"));
  return [`data.train=${JSON.stringify(list)}`];
}

/** A run that is resumed goes on with the kernels that it began with. */
async function openForTraining(path: string, spec: Spec, folder: RunFolder, flags: TrainChoices): Promise<Model> {
  const { normalizeSpec } = await import("../spec/normalize.ts");
  if (flags.resume === true) await folder.checkSpec(normalizeSpec(spec));
  const { device, threads, deadline } = flags;
  const options = {
    device,
    ...(threads === undefined ? {} : { threads }),
    ...(deadline === undefined ? {} : { deadlineSeconds: deadline }),
  };
  const { manifestFiles, targetOfDevice } = await import("../../runtime/device-targets.ts");
  const manifest = `compiled/${manifestFiles[targetOfDevice[device]]}`;
  // A run that has not been on this device yet gets kernels for it, which the trainer adds to its folder.
  if (flags.resume === true && (await folder.has(manifest))) {
    const { openRunModel } = await import("../../runtime/open-run.ts");
    return openRunModel(folder.path, options);
  }
  const { openModel } = await import("../../runtime/open-model.ts");
  const tokenizer = await tokenizerPath(path, spec, flags.resume === true ? folder : undefined);
  const source = await compileInMemory(spec, {}, device);
  return openModel(source, { ...options, ...(tokenizer === undefined ? {} : { tokenizer }) });
}

/** A run that goes on has a copy of the tokenizer that it began with; undefined for a model of bytes. */
async function tokenizerPath(path: string, { data }: Spec, run: RunFolder | undefined): Promise<string | undefined> {
  const { runNames } = await import("../../runtime/train/run-folder.ts");
  if (data === undefined || data.tokenizer === "bytes") return undefined;
  const hasCopy = run !== undefined && (await run.has(runNames.tokenizer));
  return hasCopy ? join(run.path, runNames.tokenizer) : resolve(dirname(path), data.tokenizer);
}

async function trainModel(
  path: string,
  spec: Spec,
  model: Model,
  folder: RunFolder,
  flags: TrainChoices,
): Promise<void> {
  if (flags.weights !== undefined) await model.loadWeights(flags.weights);
  const { printFacts } = await import("./print-facts.ts");
  printFacts(spec, model, flags.because);
  const { TrainingProgress } = await import("./training-progress.ts");
  const progress = new TrainingProgress(process.stdout, folder.path);
  const { signal, letGo } = stopOnSignals((sentence) => progress.onWarning(sentence));
  const started = performance.now();
  try {
    const result = await model.train({
      folder,
      base: dirname(path),
      ...(flags.resume === true ? { resume: true } : {}),
      ...(flags.order === undefined ? {} : { order: flags.order }),
      ...(flags.recheck === undefined ? {} : { recheckEvery: flags.recheck }),
      signal,
      observer: progress,
    });
    progress.end();
    printEnd(result, spec, folder, (performance.now() - started) / 1000);
  } finally {
    progress.end();
    letGo();
  }
}

function printEnd(result: TrainResult, spec: Spec, folder: RunFolder, seconds: number): void {
  const { steps, tokens, loss, validationLoss, skipped, isStopped } = result;
  if (steps === 0) {
    process.stdout.write(`${say.stoppedBefore}\n`);
    return;
  }
  const lines = [say.summary({ seconds, tokens, loss, validationLoss, skipped })];
  if (isStopped) lines.push(say.stopped(steps, spec.train?.steps ?? steps));
  lines.push(say.whatNext(folder.path));
  process.stdout.write(`${lines.join("\n")}\n`);
}

const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The first signal ends the run behind its step, with a checkpoint; the second ends the process: what is saved is safe. */
function stopOnSignals(tell: (sentence: string) => void): { signal: AbortSignal; letGo: () => void } {
  const controller = new AbortController();
  const onSignal = (name: (typeof endingSignals)[number]): void => {
    if (controller.signal.aborted) process.exit(128 + (name === "SIGINT" ? 2 : name === "SIGTERM" ? 15 : 1));
    controller.abort();
    tell(say.stopping(name));
  };
  for (const name of endingSignals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    letGo: () => {
      for (const name of endingSignals) process.off(name, onSignal);
    },
  };
}
