// Tensors of OlmoeForCausalLM.

import { experts, type FamilyNames, gqa, inLayer, norms, outside, qkNorms } from "./names.ts";

export const olmoe: FamilyNames = { rows: [...outside, ...inLayer([...norms, ...gqa, ...qkNorms, ...experts])] };
