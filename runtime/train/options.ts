// What a caller can ask of a training run, and what it is told while the run goes on.

import type { Split } from "../data/token-stream.ts";
import type { ExpertUse } from "./expert-loads.ts";
import type { RunFolder } from "./run-folder.ts";

export interface TrainOptions {
  /** The folder that the run writes to: a path, or one that the caller holds. Without it nothing is written. */
  readonly folder?: string | RunFolder;
  /** The folder that the data's patterns are relative to; the working folder unless given. */
  readonly base?: string;
  /**
   * Tokens, or documents, instead of the files that the spec names. Of documents the part that the spec says is set aside
   * for validation.
   */
  readonly corpus?: Split | readonly string[];
  /** A JSON file with the offsets of every step's sequences. */
  readonly order?: string;
  /** Go on behind the folder's newest complete checkpoint. */
  readonly resume?: boolean;
  /** How many checkpoints are kept; 3 unless given. */
  readonly keep?: number;
  /**
   * Steps whose number is a multiple of this compute their gradients twice, which takes about twice as long, and end the run
   * where a bit differs: memory or arithmetic of the device has failed. The run's bits are those without. Never unless given.
   */
  readonly recheckEvery?: number;
  /** Ends the run after the step in progress, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly observer?: TrainObserver;
}

/** Called between steps; an observer that throws ends the run. */
export interface TrainObserver {
  onStart?(start: TrainStart): void;
  onStep?(report: StepReport): void;
  onSample?(step: number, text: string): void;
  onSave?(step: number, folder: string): void;
  /** A sentence. */
  onWarning?(sentence: string): void;
}

export interface TrainStart {
  /** Steps made before: 0 for a new run. */
  readonly step: number;
  readonly steps: number;
  readonly trainTokens: number;
  readonly validationTokens: number;
}

export interface StepReport {
  /** Steps made, with this one. */
  readonly step: number;
  readonly steps: number;
  /** Tokens seen in all, with this step. */
  readonly tokens: number;
  /** Mean over the step's targets, in nats. */
  readonly loss: number;
  /** Means of the other losses by name, without their coefficients: `balance.sequence`, `mtp.0`. */
  readonly losses: Readonly<Record<string, number>>;
  readonly gradientNorm: number;
  readonly learningRate: number;
  readonly sequences: number;
  readonly isSkipped: boolean;
  /** Of the step alone, without evaluation, samples and saves. */
  readonly tokensPerSecond: number;
  /** How the step's tokens chose experts, where the model has some. */
  readonly experts?: ExpertUse;
  /** Where the step was followed by an evaluation. */
  readonly validationLoss?: number;
  /** How the validation data's tokens chose experts; see Evaluation. */
  readonly validationExperts?: ExpertUse;
}

export interface TrainResult {
  /** Steps made in all. */
  readonly steps: number;
  readonly tokens: number;
  /** Of the last step; undefined when there was none to make. */
  readonly loss: number | undefined;
  /** Of the last evaluation. */
  readonly validationLoss: number | undefined;
  /** Steps whose gradients were not finite, in the whole run. */
  readonly skipped: number;
  /** A signal ended the run before its last step. */
  readonly isStopped: boolean;
  /** The last checkpoint, where there is a folder. */
  readonly checkpoint: string | undefined;
}
