// What a person sees while a model trains: one line that updates on a terminal, lines now and then in a log.

import cliProgress from "cli-progress";
import type { StepReport, TrainObserver, TrainStart } from "../../runtime/train/options.ts";
import * as say from "../source/messages/train.ts";

/** Seconds between two lines of a log. */
const logEvery = 5;
/** How much the newest step counts in the speed that is shown. */
const newestShare = 0.1;

/** Where lines go; a terminal also has a line that is drawn again and again. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export class TrainingProgress implements TrainObserver {
  readonly #output: Output & NodeJS.WritableStream;
  readonly #folder: string;
  #bars: cliProgress.MultiBar | undefined;
  #bar: cliProgress.SingleBar | undefined;
  #started = 0;
  #firstStep = 0;
  #lastLogged = 0;
  #speed: number | undefined;

  constructor(output: Output & NodeJS.WritableStream, folder: string) {
    this.#output = output;
    this.#folder = folder;
  }

  onStart({ step, steps, trainTokens, validationTokens }: TrainStart): void {
    this.#print(say.dataLine(trainTokens, validationTokens));
    this.#print(say.runLine(this.#folder, step, steps));
    this.#started = performance.now();
    this.#firstStep = step;
    if (this.#output.isTTY !== true) return;
    this.#bars = new cliProgress.MultiBar(
      { format: "{bar} {line}", stream: this.#output, hideCursor: true, barsize: 20, forceRedraw: true },
      cliProgress.Presets.shades_classic,
    );
    this.#bar = this.#bars.create(steps, step, { line: "" });
  }

  onStep(report: StepReport): void {
    const { step, steps, loss, isSkipped, validationLoss, tokensPerSecond, experts } = report;
    this.#speed =
      this.#speed === undefined ? tokensPerSecond : this.#speed + newestShare * (tokensPerSecond - this.#speed);
    const now = performance.now();
    // Evaluations, samples and saves are part of what is left, so it is taken from the whole time so far.
    const secondsLeft = ((now - this.#started) / 1000 / (step - this.#firstStep)) * (steps - step);
    const line = say.stepLine({
      ...{ step, steps, loss, isSkipped, validationLoss, maxViolation: experts?.maxViolation },
      tokensPerSecond: this.#speed,
      secondsLeft,
    });
    this.#bar?.update(step, { line });
    const isDue = step === this.#firstStep + 1 || step === steps || now - this.#lastLogged >= 1000 * logEvery;
    if (this.#bar === undefined && (isDue || isSkipped || validationLoss !== undefined)) {
      this.#lastLogged = now;
      this.#print(line);
    }
  }

  onSample(step: number, text: string): void {
    this.#print(say.sampleBlock(step, text));
  }

  onSave(step: number, folder: string): void {
    this.#print(say.savedLine(step, folder));
  }

  onWarning(sentence: string): void {
    this.#print(say.warningLine(sentence));
  }

  /** Leaves the last state of the line on the terminal. */
  end(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#bar = undefined;
  }

  #print(line: string): void {
    if (this.#bars === undefined) this.#output.write(`${line}\n`);
    else this.#bars.log(`${line}\n`);
  }
}
