// The training loop: steps, and between them what the spec asks for: evaluation, samples, checkpoints. Bits of the result
// follow from the state that it begins with and from nothing else.

import type { ManifestTraining } from "../contract.ts";
import type { Batch } from "../data/batches.ts";
import type { Split } from "../data/token-stream.ts";
import type { Device } from "../device.ts";
import { Fault } from "../fault.ts";
import { goesOnUnsaved, notFinite, nothingLearnt, sampleLeftOut } from "../messages/train.ts";
import { scheduleValue } from "../schedule.ts";
import { checkFinite, checkpointFiles, readScalars } from "./device-state.ts";
import { evaluateStream } from "./evaluate.ts";
import { expertUse } from "./expert-loads.ts";
import { findNonFinite } from "./find-non-finite.ts";
import { metricsRecord } from "./metrics-record.ts";
import type { MetricsWriter } from "./metrics-writer.ts";
import type { StepReport, TrainOptions, TrainResult } from "./options.ts";
import { type RunFolder, sampleName } from "./run-folder.ts";
import { encodeState, type RunState } from "./run-state.ts";
import { batchOf, type GivenOrder } from "./sequences.ts";
import { runStep } from "./step.ts";

/** So many steps in a row without a finite gradient are no accident any more. */
const mostSkipped = 10;
const checkpointsKept = 3;

/** Where the run writes to. */
export interface RunOutput {
  readonly folder: RunFolder;
  readonly metrics: MetricsWriter;
  /** What of the run never changes. */
  readonly fixed: Pick<RunState, "spec" | "kernels" | "tokenizer" | "order" | "files">;
}

export interface TrainerParts {
  readonly device: Device;
  readonly training: ManifestTraining;
  readonly corpus: Split;
  readonly order: GivenOrder | undefined;
  readonly output: RunOutput | undefined;
  readonly options: TrainOptions;
  /** Some text of the model as it is. */
  readonly sample: () => Promise<string>;
}

/** What has been done so far: with the tensors it is the whole state of a run. */
export type Progress = Pick<RunState, "step" | "tokens" | "sequences" | "skippedInARow">;

export class Trainer {
  readonly #parts: TrainerParts;
  #progress: Progress;
  #loss: number | undefined;
  #validationLoss: number | undefined;
  #checkpoint: string | undefined;
  #lastBatch: Batch | undefined;
  /** Why the last sample could not be written: told once, not at every sample. */
  #sampleProblem: string | undefined;

  /** `checkpoint` is the one that the run resumes from. */
  constructor(parts: TrainerParts, progress: Progress, checkpoint: string | undefined) {
    this.#parts = parts;
    this.#progress = progress;
    this.#checkpoint = checkpoint;
  }

  async run(): Promise<TrainResult> {
    const { training, options, device } = this.#parts;
    while (this.#progress.step < training.steps && options.signal?.aborted !== true) await this.#makeStep();
    const { step, tokens } = this.#progress;
    const { skipped } = await readScalars(device);
    if (this.#progress.skippedInARow > 0) await this.#warnOfNothingLearnt();
    return {
      steps: step,
      tokens,
      loss: this.#loss,
      validationLoss: this.#validationLoss,
      skipped,
      isStopped: step < training.steps,
      checkpoint: this.#checkpoint,
    };
  }

  async #makeStep(): Promise<void> {
    const { training, options } = this.#parts;
    const report = await this.#train();
    const { step } = this.#progress;
    const isLast = step === training.steps;
    const isDue = (every: number) => isLast || (every > 0 && step % every === 0);
    await this.#record({ ...report, ...(isDue(training.evaluateEvery) ? await this.#evaluate() : undefined) });
    if (training.sampleEvery > 0 && isDue(training.sampleEvery)) await this.#sample();
    const isEnd = isLast || options.signal?.aborted === true;
    // While steps are skipped nothing new is learnt: a checkpoint would only push out one from before the fault.
    const isSaved = isDue(training.saveEvery) && this.#progress.skippedInARow === 0;
    if (isEnd || isSaved) await this.#save(isEnd);
  }

  async #train(): Promise<StepReport> {
    const { device, training, corpus, order, output } = this.#parts;
    const { step, tokens, sequences, skippedInARow } = this.#progress;
    const started = performance.now();
    const now = { steps: step, tokens };
    const batch = batchOf(training, corpus.train, order, now, sequences);
    this.#lastBatch = batch;
    const end = { steps: step + 1, tokens: tokens + batch.rows * training.sequence };
    const learningRate = scheduleValue(training.learningRate, now, end);
    const clip = training.clip && scheduleValue(training.clip, now, end);
    const values = training.stepValues.map(({ schedule }) => scheduleValue(schedule, now, end));
    const outcome = await runStep(device, training, batch, { learningRate, clip, values });
    const { loss, losses, gradientNorm, isSkipped } = outcome;
    const seconds = (performance.now() - started) / 1000;
    this.#loss = loss;
    this.#progress = {
      step: end.steps,
      tokens: end.tokens,
      sequences: sequences + batch.rows,
      skippedInARow: isSkipped ? skippedInARow + 1 : 0,
    };
    output?.folder.keep();
    if (this.#progress.skippedInARow >= mostSkipped) await this.#stop(batch);
    const tokensPerSecond = (end.tokens - tokens) / seconds;
    const experts = expertUse(training, outcome.loads);
    return {
      ...{ step: end.steps, steps: training.steps, tokens: end.tokens, sequences: batch.rows },
      ...{ loss, losses, gradientNorm, learningRate, isSkipped, tokensPerSecond },
      ...(experts === undefined ? {} : { experts }),
    };
  }

  /** Names the operation that goes wrong. */
  async #stop(batch: Batch): Promise<never> {
    const { device, training } = this.#parts;
    const found = await findNonFinite(device, training, batch);
    throw notFinite(mostSkipped, this.#progress.step, found, this.#checkpoint);
  }

  /** A run that ends before it would be stopped must not end as if it had trained; called behind the last save. */
  async #warnOfNothingLearnt(): Promise<void> {
    const { device, training } = this.#parts;
    if (this.#lastBatch === undefined) return;
    const { step, skippedInARow } = this.#progress;
    this.#warn(nothingLearnt(skippedInARow, step, await findNonFinite(device, training, this.#lastBatch)));
  }

  async #evaluate(): Promise<Pick<StepReport, "validationLoss" | "validationExperts">> {
    const { device, training, corpus } = this.#parts;
    if (corpus.validation.tokens.length === 0) return {};
    const { loss, experts } = await evaluateStream(device, training, corpus.validation);
    this.#validationLoss = loss;
    return { validationLoss: loss, ...(experts === undefined ? {} : { validationExperts: experts }) };
  }

  async #record(report: StepReport): Promise<void> {
    const { options, output } = this.#parts;
    options.observer?.onStep?.(report);
    const warning = await output?.metrics.append(metricsRecord(report));
    this.#warn(warning);
  }

  async #sample(): Promise<void> {
    const { options, output, sample } = this.#parts;
    try {
      const text = await sample();
      options.observer?.onSample?.(this.#progress.step, text);
      await output?.folder.write(sampleName(this.#progress.step), text);
    } catch (error) {
      // A sample that is not written or not kept is no reason to end a run.
      if (!(error instanceof Fault)) throw error;
      const problem = sampleLeftOut(error);
      if (problem !== this.#sampleProblem) this.#warn(problem);
      this.#sampleProblem = problem;
    }
  }

  /** At the end of a run a disk that refuses is a fault: nothing would try again. */
  async #save(isEnd: boolean): Promise<void> {
    const { device, output, options } = this.#parts;
    if (output === undefined) return;
    await checkFinite(device, this.#checkpoint);
    this.#warn(await output.metrics.sync());
    const state: RunState = { ...this.#progress, ...(await readScalars(device)), ...output.fixed };
    const content = { step: state.step, files: checkpointFiles(device), state: encodeState(state) };
    // An end among skipped steps must be resumable, but not at the cost of the last checkpoint that learnt something.
    const keep = state.skippedInARow > 0 ? Number.POSITIVE_INFINITY : (options.keep ?? checkpointsKept);
    const { folder, problem } = await output.folder.save(content, keep);
    if (folder === undefined && problem !== undefined) {
      if (isEnd) throw problem;
      this.#warn(goesOnUnsaved(problem));
      return;
    }
    this.#checkpoint = folder;
    if (problem !== undefined) this.#warn(problem.message);
    if (folder !== undefined) options.observer?.onSave?.(state.step, folder);
  }

  #warn(sentence: string | undefined): void {
    if (sentence !== undefined) this.#parts.options.observer?.onWarning?.(sentence);
  }
}
