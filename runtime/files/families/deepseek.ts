// Tensors of DeepseekV2ForCausalLM and DeepseekV3ForCausalLM. The modules that predict further tokens are numbered as layers
// behind the last one, and repeat embedding and head.

import {
  denseBlock,
  experts,
  type FamilyNames,
  inLayer,
  latentAttention,
  type NameRow,
  norms,
  outside,
  sharedExperts,
} from "./names.ts";

const layer: readonly NameRow[] = [...norms, ...latentAttention, ...denseBlock, ...experts, ...sharedExperts];

export const deepseekV2: FamilyNames = { rows: [...outside, ...inLayer(layer)] };

export const deepseekV3: FamilyNames = {
  rows: [...outside, ...inLayer([...layer, ["ffn.router.choice_bias", "mlp.gate.e_score_correction_bias"]])],
  prediction: [
    ["embedding_norm.weight", "enorm.weight"],
    ["hidden_norm.weight", "hnorm.weight"],
    ["projection.weight", "eh_proj.weight"],
    ["final_norm.weight", "shared_head.norm.weight"],
  ],
  repeated: [
    ["embed_tokens.weight", "embedding.weight"],
    ["shared_head.head.weight", "head.weight"],
  ],
};
