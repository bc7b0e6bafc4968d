// The families that mspec imports and exports.

import type { ModelSpec } from "../spec.ts";
import { deepseekV2 } from "./deepseek-v2.ts";
import { deepseekV3 } from "./deepseek-v3.ts";
import type { ConfigFamily } from "./family.ts";
import { gptOss } from "./gpt-oss.ts";
import { llama } from "./llama.ts";
import { mixtral } from "./mixtral.ts";
import { olmoe } from "./olmoe.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen3Moe } from "./qwen3-moe.ts";

/** The first one that a model fits is what a run of mspec's own is exported as. */
export const configFamilies: readonly ConfigFamily[] = [
  llama,
  qwen3,
  mixtral,
  qwen3Moe,
  olmoe,
  deepseekV3,
  deepseekV2,
  gptOss,
];

/** The family of an imported model: what its config says, or the first one whose blocks it has. */
export function familyOfModel(type: unknown, model: ModelSpec): ConfigFamily | undefined {
  const named = configFamilies.find(({ modelTypes }) => modelTypes.some((each) => each === type));
  return named ?? configFamilies.find((family) => family.fits(model));
}
