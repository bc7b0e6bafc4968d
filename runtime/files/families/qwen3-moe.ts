// Tensors of Qwen3MoeForCausalLM, some of whose layers may be dense.

import { denseBlock, experts, type FamilyNames, gqa, inLayer, norms, outside, qkNorms } from "./names.ts";

export const qwen3Moe: FamilyNames = {
  rows: [...outside, ...inLayer([...norms, ...gqa, ...qkNorms, ...denseBlock, ...experts])],
};
