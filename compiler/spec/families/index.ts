// The families that mspec imports and exports.

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
