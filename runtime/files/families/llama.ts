// Tensors of LlamaForCausalLM.

import { denseBlock, type FamilyNames, gqa, inLayer, norms, outside } from "./names.ts";

export const llama: FamilyNames = { rows: [...outside, ...inLayer([...norms, ...gqa, ...denseBlock])] };
