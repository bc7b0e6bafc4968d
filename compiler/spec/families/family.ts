// What a family of Hugging Face's models is to mspec: how its config is read and written. Adding one is a file beside this
// one and its tensors' names in runtime/files/families/.

import type { ConfigKeys } from "../config-keys.ts";
import type { ModelSpec } from "../spec.ts";
import type { ModelFacts } from "./facts.ts";

export const familyNames = [
  "llama",
  "qwen3",
  "qwen3_moe",
  "mixtral",
  "olmoe",
  "deepseek_v2",
  "deepseek_v3",
  "gpt_oss",
] as const;
export type FamilyName = (typeof familyNames)[number];

/** A key with values that mspec cannot say. */
export interface Refusal {
  readonly key: string;
  readonly isHarmless: (value: unknown, config: ConfigKeys) => boolean;
  readonly why: string;
  readonly help: string;
}

/** Tells what of a model the family cannot compute, and the key of the spec. */
export type Refuse = (what: string, why: string, key: string) => void;

export interface ConfigFamily {
  readonly name: FamilyName;
  /** Values of `model_type`; the first one is written. */
  readonly modelTypes: readonly string[];
  readonly architecture: string;
  /** Values of `auto_map` that name code which transformers has itself. */
  readonly remoteCode: readonly string[];
  readonly refusals: readonly Refusal[];
  /** Keys that `read` reads, or that say nothing about what the model computes. */
  readonly keys: readonly string[];
  /** What is missing or wrong is told, and then the facts are not used. */
  read(config: ConfigKeys): ModelFacts;
  /** Whether all of a model's blocks are of the kinds that the family has. */
  fits(model: ModelSpec): boolean;
  /** The keys of a model of which every block fits. What they do not say is found by reading them again. */
  write(model: ModelSpec, refuse: Refuse): Readonly<Record<string, unknown>>;
}
