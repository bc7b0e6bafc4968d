// What a config.json says about a model, in words of mspec: each number with the key that it is from. Reads nothing.

import type { Sourced } from "../config-keys.ts";

export interface ModelFacts {
  readonly vocab: Sourced<number>;
  readonly context: Sourced<number>;
  readonly width: Sourced<number>;
  readonly layers: Sourced<number>;
  readonly tied: Sourced<boolean>;
  readonly eps: Sourced<number>;
  readonly attention: GqaFacts | MlaFacts;
  readonly window: WindowFacts | undefined;
  readonly rope: RopeFacts;
  readonly dense: DenseFacts | undefined;
  readonly moe: MoeFacts | undefined;
  /** The layers with a dense block where there are experts in others, ascending. */
  readonly denseLayers: Sourced<readonly number[]>;
  /** How many tokens beyond the next one are predicted; undefined: none. */
  readonly mtp: Sourced<number> | undefined;
  readonly initializerRange: Sourced<number>;
}

export interface GqaFacts {
  readonly kind: "gqa";
  readonly heads: Sourced<number>;
  readonly kvHeads: Sourced<number>;
  readonly headDim: Sourced<number>;
  readonly bias: Sourced<boolean>;
  readonly qkNorm: Sourced<"head" | "full"> | undefined;
  readonly sinks: Sourced<true> | undefined;
}

export interface MlaFacts {
  readonly kind: "mla";
  readonly heads: Sourced<number>;
  readonly qRank: Sourced<number> | undefined;
  readonly kvRank: Sourced<number>;
  readonly nopeDim: Sourced<number>;
  readonly ropeDim: Sourced<number>;
  readonly valueDim: Sourced<number>;
  readonly normEps: Sourced<number>;
}

/** The layers that see only the last tokens; undefined: all of them. */
export interface WindowFacts {
  readonly size: Sourced<number>;
  readonly layers: Sourced<readonly number[]> | undefined;
}

export interface RopeFacts {
  readonly theta: Sourced<number>;
  readonly layout: Sourced<"half" | "interleaved">;
  readonly llama3: Llama3Facts | undefined;
  readonly yarn: YarnFacts | undefined;
}

export interface Llama3Facts {
  readonly factor: Sourced<number>;
  readonly lowFreqFactor: Sourced<number>;
  readonly highFreqFactor: Sourced<number>;
  readonly original: Sourced<number>;
}

export interface YarnFacts {
  readonly factor: Sourced<number>;
  readonly original: Sourced<number>;
  readonly betaFast: Sourced<number>;
  readonly betaSlow: Sourced<number>;
  readonly truncate: Sourced<boolean>;
  readonly attentionFactor: Sourced<number> | undefined;
  readonly mscale: Sourced<number> | undefined;
  readonly mscaleAllDim: Sourced<number> | undefined;
}

interface BlockFacts {
  readonly intermediate: Sourced<number>;
  /** The formula. */
  readonly activation: Sourced<string>;
  readonly bias: Sourced<boolean>;
}

export type DenseFacts = BlockFacts;

export interface MoeFacts extends BlockFacts {
  readonly experts: Sourced<number>;
  readonly topK: Sourced<number>;
  readonly shared: Sourced<number> | undefined;
  readonly score: Sourced<"softmax" | "sigmoid">;
  readonly groups: GroupFacts | undefined;
  readonly normalize: Sourced<boolean>;
  readonly scale: Sourced<number>;
  readonly routerBias: Sourced<true> | undefined;
  readonly choiceBias: Sourced<true> | undefined;
}

export interface GroupFacts {
  readonly count: Sourced<number>;
  readonly keep: Sourced<number>;
  readonly score: Sourced<"top2_sum" | "max">;
}
