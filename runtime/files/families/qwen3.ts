// Tensors of Qwen3ForCausalLM.

import { denseBlock, type FamilyNames, gqa, inLayer, norms, outside, qkNorms } from "./names.ts";

export const qwen3: FamilyNames = { rows: [...outside, ...inLayer([...norms, ...gqa, ...qkNorms, ...denseBlock])] };
