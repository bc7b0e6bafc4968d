// The training loop: steps, and between them what the spec asks for: evaluation, samples, checkpoints. Bits of the result
// follow from the state that it begins with and from nothing else.

import type { ManifestTraining } from "../contract.ts";
import type { Batch } from "../data/batches.ts";
import type { Split } from "../data/token-stream.ts";
import type { Device } from "../device.ts";
import { Fault } from "../fault.ts";
import { deviceFailed, goesOnUnsaved, notFinite, nothingLearnt, sampleLeftOut } from "../messages/train.ts";
import { type Moment, scheduleValue } from "../schedule.ts";
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
import { type StepOutcome, startStep } from "./step.ts";

/** So many steps in a row without a finite gradient are no accident any more. */
const mostSkipped = 10;
const checkpointsKept = 3;

/** Where the run writes to. */
export interface RunOutput {
  readonly folder: RunFolder;
  readonly metrics: MetricsWriter;
  /** What of the run never changes. */
  readonly fixed: Pick<RunState, "spec" | "target" | "kernels" | "tokenizer" | "order" | "files">;
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

/** A step that the device was given. */
interface IssuedStep {
  readonly batch: Batch;
  readonly learningRate: number;
  readonly tokens: number;
  /** When, in milliseconds. */
  readonly started: number;
  /** What will have been done behind it. */
  readonly end: Moment & Pick<Progress, "sequences">;
  readonly outcome: Promise<StepOutcome>;
}

/** The device is gone or broken; a refusal of what was asked of it is none. */
const isDeviceFault = (error: unknown): error is Fault =>
  error instanceof Fault && error.kind === "environment" && error.code.startsWith("device/");

export class Trainer {
  readonly #parts: TrainerParts;
  /** Behind the newest step whose outcome is known. */
  #progress: Progress;
  /** Behind the newest step that was begun. */
  #begun: Moment & Pick<Progress, "sequences">;
  /** Steps that were begun and whose outcome is not known, from the oldest. */
  #issued: IssuedStep[] = [];
  /** When the newest outcome came. */
  #lastOutcome = 0;
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
    this.#begun = { steps: progress.step, tokens: progress.tokens, sequences: progress.sequences };
    this.#checkpoint = checkpoint;
  }

  /** Errors: a fault of the device says which checkpoint the run can go on behind. */
  async run(): Promise<TrainResult> {
    const { device } = this.#parts;
    const tellBefore = device.onWarning;
    if (tellBefore !== undefined) device.onWarning = (sentence) => this.#warn(sentence);
    try {
      return await this.#makeSteps();
    } catch (error) {
      if (!isDeviceFault(error)) throw error;
      throw deviceFailed(error, this.#progress.step, this.#checkpoint, this.#parts.output !== undefined);
    } finally {
      if (tellBefore !== undefined) device.onWarning = tellBefore;
    }
  }

  async #makeSteps(): Promise<TrainResult> {
    const { training, device } = this.#parts;
    while (this.#begun.steps < training.steps && !this.#isAborted()) {
      this.#issued.push(await this.#begin());
      await this.#finishIssued();
    }
    await this.#finishIssued();
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

  #isAborted(): boolean {
    return this.#parts.options.signal?.aborted === true;
  }

  /** Finishes the steps that were begun; the newest one stays behind where the next may begin before it ends. */
  async #finishIssued(): Promise<void> {
    while (this.#issued.length > (this.#mayRunAhead() ? 1 : 0)) {
      const [oldest] = this.#issued.splice(0, 1);
      await this.#finish(oldest);
    }
  }

  /** What looks at the state behind a step must find the device there, and so must whoever names an operation that fails. */
  #mayRunAhead(): boolean {
    const { device, training } = this.#parts;
    const { evaluateEvery, saveEvery, sampleEvery } = training;
    const { steps } = this.#begun;
    const isLookedAt = [evaluateEvery, saveEvery, sampleEvery].some((every) => this.#isDue(every, steps));
    // A recheck ends the run from within the step that it looks at: the one before has been told of by then.
    const isAwaited = isLookedAt || this.#isRechecked(steps + 1);
    return device.isQueued && !isAwaited && !this.#isAborted() && this.#progress.skippedInARow === 0;
  }

  #isRechecked(step: number): boolean {
    const { recheckEvery = 0 } = this.#parts.options;
    return recheckEvery > 0 && step % recheckEvery === 0;
  }

  #isDue(every: number, step: number): boolean {
    return step === this.#parts.training.steps || (every > 0 && step % every === 0);
  }

  /** Gives the device the next step. */
  async #begin(): Promise<IssuedStep> {
    const { device, training, corpus, order } = this.#parts;
    const { sequences, ...now } = this.#begun;
    const started = performance.now();
    const batch = batchOf(training, corpus.train, order, now, sequences);
    const end = { steps: now.steps + 1, tokens: now.tokens + batch.rows * training.sequence };
    const learningRate = scheduleValue(training.learningRate, now, end);
    const clip = training.clip && scheduleValue(training.clip, now, end);
    const values = training.stepValues.map(({ schedule }) => scheduleValue(schedule, now, end));
    const rechecked = this.#isRechecked(end.steps) ? { recheckedStep: end.steps } : {};
    const { outcome } = await startStep(device, training, batch, { learningRate, clip, values, ...rechecked });
    this.#begun = { ...end, sequences: sequences + batch.rows };
    return { batch, learningRate, started, outcome, tokens: end.tokens - now.tokens, end: this.#begun };
  }

  /** Waits for a step, tells of it, and does what is due behind it. */
  async #finish(issued: IssuedStep): Promise<void> {
    const { training } = this.#parts;
    const report = await this.#reportOf(issued);
    const { step } = report;
    await this.#record({
      ...report,
      ...(this.#isDue(training.evaluateEvery, step) ? await this.#evaluate() : undefined),
    });
    if (training.sampleEvery > 0 && this.#isDue(training.sampleEvery, step)) await this.#sample();
    const isEnd = step === training.steps || (this.#isAborted() && this.#issued.length === 0);
    // While steps are skipped nothing new is learnt: a checkpoint would only push out one from before the fault.
    const isSaved = this.#isDue(training.saveEvery, step) && this.#progress.skippedInARow === 0;
    if (isEnd || isSaved) await this.#save(isEnd);
  }

  async #reportOf({ batch, learningRate, started, outcome, tokens, end }: IssuedStep): Promise<StepReport> {
    const { training, output } = this.#parts;
    const { loss, losses, gradientNorm, isSkipped, loads } = await outcome;
    const now = performance.now();
    const seconds = (now - Math.max(started, this.#lastOutcome)) / 1000;
    this.#lastOutcome = now;
    this.#loss = loss;
    this.#lastBatch = batch;
    const skippedInARow = isSkipped ? this.#progress.skippedInARow + 1 : 0;
    this.#progress = { step: end.steps, tokens: end.tokens, sequences: end.sequences, skippedInARow };
    output?.folder.keep();
    if (skippedInARow >= mostSkipped) await this.#stop(batch);
    const experts = expertUse(training, loads);
    return {
      ...{ step: end.steps, steps: training.steps, tokens: end.tokens, sequences: batch.rows },
      ...{ loss, losses, gradientNorm, learningRate, isSkipped, tokensPerSecond: tokens / seconds },
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
      if (!(error instanceof Fault) || isDeviceFault(error)) throw error;
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
