// A training run from beginning to end: takes the folder, reads the data, begins or resumes, trains, lets go.

import type { BuildSource } from "../build-source.ts";
import type { Manifest, ManifestTraining } from "../contract.ts";
import { checkTrainingLength, checkValidationLength } from "../data/batches.ts";
import { type Corpus, checkSameFiles, readCorpus } from "../data/corpus.ts";
import { encodeDocuments, type Split, splitForValidation } from "../data/token-stream.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { Device } from "../device.ts";
import { targetOfDevice } from "../device-targets.ts";
import { Fault } from "../fault.ts";
import { checksumOfText } from "../files/disk.ts";
import type { Host } from "../host.ts";
import { notTrained } from "../messages/model.ts";
import {
  noData,
  noDataFolders,
  noRunFolders,
  otherTarget,
  partChanged,
  skippedLines,
  specChanged,
  stateIncomplete,
} from "../messages/train.ts";
import { findManifest } from "../read-manifest.ts";
import { checkTokens } from "../serve/tokens.ts";
import { clearOptimizer, readParameters, restoreOptimizer } from "./device-state.ts";
import { MetricsWriter } from "./metrics-writer.ts";
import type { TrainOptions, TrainResult } from "./options.ts";
import { normalizedSpec, RunFolder } from "./run-folder.ts";
import { decodeState, type RunState } from "./run-state.ts";
import { type GivenOrder, readOrder } from "./sequences.ts";
import { type Progress, type RunOutput, Trainer } from "./trainer.ts";

/** What a run does with a model; the model holds off every other caller meanwhile. */
export interface Trainee {
  readonly manifest: Manifest;
  readonly device: Device;
  readonly source: BuildSource;
  readonly host: Host;
  readonly tokenizerJson: string | undefined;
  readonly hasWeights: boolean;
  /** Errors: `model/no-tokenizer`. */
  tokenizer(): Tokenizer;
  initialize(): Promise<void>;
  setParameters(entries: Iterable<readonly [string, Float32Array]>): Promise<void>;
  sampleText(): Promise<string>;
}

/** Trains a model as its spec says; see TrainOptions. Errors: faults `train/…`, `data/…`, `run/…`, `checkpoint/…`. */
export async function trainModel(model: Trainee, options: TrainOptions): Promise<TrainResult> {
  const { training } = model.manifest;
  if (training === undefined) throw notTrained(model.manifest.name);
  if (typeof options.folder !== "string") return new Run(model, training, options, options.folder).train();
  const { disk, processes } = model.host;
  if (processes === undefined) throw noRunFolders(options.folder);
  const folder = await RunFolder.take({ disk, processes }, options.folder);
  try {
    return await new Run(model, training, options, folder).train();
  } finally {
    await orWarning(options, folder.release());
  }
}

/** What comes after the last checkpoint never hides how the run itself ended. */
async function orWarning({ observer }: TrainOptions, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    observer?.onWarning?.(error.claim);
  }
}

const beginning: Progress = { step: 0, tokens: 0, sequences: 0, skippedInARow: 0 };

/** What a run is made of when it begins. */
interface Data {
  readonly corpus: Split;
  readonly files: Corpus["files"];
  readonly order: GivenOrder | undefined;
}

class Run {
  readonly #model: Trainee;
  readonly #training: ManifestTraining;
  readonly #options: TrainOptions;
  readonly #folder: RunFolder | undefined;

  constructor(model: Trainee, training: ManifestTraining, options: TrainOptions, folder: RunFolder | undefined) {
    this.#model = model;
    this.#training = training;
    this.#options = options;
    this.#folder = folder;
  }

  async train(): Promise<TrainResult> {
    const resumed = this.#options.resume === true ? await this.#findState() : undefined;
    if (resumed === undefined) await this.#folder?.checkNew();
    const data = await this.#readData();
    const output = this.#folder && { folder: this.#folder, fixed: await this.#fixedParts(this.#folder, data) };
    if (resumed === undefined || output === undefined) await this.#begin();
    else {
      await this.#restore(resumed, output.fixed);
      await this.#addTarget(resumed, output);
      output.folder.keep();
    }
    const { step } = resumed?.state ?? beginning;
    const { train, validation } = data.corpus;
    const [trainTokens, validationTokens] = [train.tokens.length, validation.tokens.length];
    this.#options.observer?.onStart?.({ step, steps: this.#training.steps, trainTokens, validationTokens });
    if (output === undefined) return this.#trainer(data, undefined, undefined).run();
    const metrics = await MetricsWriter.open(output.folder, resumed === undefined ? -1 : step);
    try {
      return await this.#trainer(data, { ...output, metrics }, resumed).run();
    } finally {
      await orWarning(this.#options, metrics.close());
      const report = this.#model.host.writeReport?.(output.folder, this.#model.manifest);
      if (report !== undefined) await orWarning(this.#options, report);
    }
  }

  #trainer(data: Data, output: RunOutput | undefined, resumed: Resumed | undefined): Trainer {
    const parts = {
      device: this.#model.device,
      training: this.#training,
      corpus: data.corpus,
      order: data.order,
      output,
      options: this.#options,
      sample: () => this.#model.sampleText(),
    };
    return new Trainer(parts, resumed?.state ?? beginning, resumed?.folder);
  }

  async #readData(): Promise<Data> {
    const { corpus, files } = await this.#readCorpus();
    checkTrainingLength(corpus.train, this.#training.sequence);
    if (corpus.validation.tokens.length > 0) checkValidationLength(corpus.validation);
    const { order: path } = this.#options;
    const { disk } = this.#model.host;
    const order = path === undefined ? undefined : await readOrder(disk, path, corpus.train, this.#training);
    return { corpus, files, order };
  }

  async #readCorpus(): Promise<Pick<Data, "corpus" | "files">> {
    const { host, manifest } = this.#model;
    if (this.#options.corpus !== undefined) {
      const corpus = this.#splitOf(this.#options.corpus);
      for (const { tokens } of [corpus.train, corpus.validation]) checkTokens(tokens, manifest.model.vocab);
      return { corpus, files: [] };
    }
    if (manifest.data === undefined) throw noData();
    if (host.processes === undefined) throw noDataFolders(manifest.data.train);
    const base = this.#options.base ?? ".";
    const { seed } = this.#training;
    const corpus = await readCorpus(host.disk, this.#model.tokenizer(), {
      ...manifest.data,
      base,
      seed,
      vocab: manifest.model.vocab,
    });
    for (const warning of corpus.warnings) this.#options.observer?.onWarning?.(warning);
    if (corpus.skippedLines > 0) this.#options.observer?.onWarning?.(skippedLines(corpus.skippedLines));
    // A run that resumes from another working folder finds the same files.
    const files = corpus.files.map((file) => ({ ...file, path: relativeTo(base, file.path) }));
    return { corpus, files };
  }

  #splitOf(corpus: Split | readonly string[]): Split {
    if ("train" in corpus) return corpus;
    const { data } = this.#model.manifest;
    const fraction = typeof data?.validation === "number" ? data.validation : 0;
    return splitForValidation(encodeDocuments(this.#model.tokenizer(), corpus), fraction, this.#training.seed);
  }

  /** What a run never changes, as checksums. */
  async #fixedParts({ disk }: RunFolder, { files, order }: Data): Promise<RunOutput["fixed"]> {
    const { device, manifest, source, tokenizerJson } = this.#model;
    const kernels = manifest.kernels.map(({ sha256 }) => sha256).join("\n");
    return {
      spec: checksumOfText(disk, await source.text(normalizedSpec)),
      target: targetOfDevice[device.name],
      kernels: checksumOfText(disk, kernels),
      tokenizer: tokenizerJson === undefined ? "" : checksumOfText(disk, tokenizerJson),
      order: order === undefined ? "" : checksumOfText(disk, order.text),
      files,
    };
  }

  async #begin(): Promise<void> {
    const { manifest, source, tokenizerJson, device } = this.#model;
    if (!this.#model.hasWeights) await this.#model.initialize();
    clearOptimizer(device);
    if (this.#folder === undefined) return;
    const targets = new Map([[targetOfDevice[device.name], manifest]]);
    // Whoever generates text from the run later may have no more than a CPU.
    const wasm = targets.has("wasm") ? undefined : await findManifest(source, "wasm");
    if (wasm !== undefined) targets.set("wasm", wasm);
    await this.#folder.writeModel(targets, source, tokenizerJson);
  }

  /** A run may go on on another device than it was saved on; its folder has the kernels of both from then on. */
  async #addTarget({ state }: Resumed, { folder, fixed }: Pick<RunOutput, "folder" | "fixed">): Promise<void> {
    const { manifest, source, device } = this.#model;
    if (state.target !== fixed.target) this.#options.observer?.onWarning?.(otherTarget(state.target, fixed.target));
    await folder.addTarget(targetOfDevice[device.name], manifest, source);
  }

  async #findState(): Promise<Resumed | undefined> {
    if (this.#folder === undefined) return undefined;
    const { checkpoint, warnings } = await this.#folder.latest();
    for (const warning of warnings) this.#options.observer?.onWarning?.(warning);
    const state = decodeState(await checkpoint.readState());
    if (!("step" in state)) throw stateIncomplete(checkpoint.folder, state);
    const spec = await this.#model.source.text(normalizedSpec);
    await this.#folder.checkSpec(spec);
    // Whoever edited or deleted spec.yaml has not changed what the checkpoint was trained by.
    if (checksumOfText(this.#folder.disk, spec) !== state.spec) throw specChanged(this.#folder.path, []);
    return { state, checkpoint, folder: checkpoint.folder };
  }

  async #restore({ state, checkpoint, folder }: Resumed, fixed: RunOutput["fixed"]): Promise<void> {
    for (const part of ["kernels", "tokenizer", "order"] as const) {
      // Another target's kernels are others, of which nothing was saved.
      const isCompared = part !== "kernels" || state.target === fixed.target;
      if (isCompared && state[part] !== fixed[part]) throw partChanged(part, folder);
    }
    checkSameFiles(state.files, fixed.files);
    const { device, manifest } = this.#model;
    await this.#model.setParameters(await readParameters(checkpoint, manifest.parameters));
    await restoreOptimizer(device, checkpoint, state);
  }
}

interface Resumed {
  readonly state: RunState;
  readonly checkpoint: Parameters<typeof readParameters>[0];
  readonly folder: string;
}

const relativeTo = (base: string, path: string): string =>
  path.startsWith(`${base}/`) ? path.slice(base.length + 1) : path;
