// Tensors of GptOssForCausalLM: experts in one tensor each, transposed, with the channels of gate and up in turn.

import { type FamilyNames, gqa, inLayer, type Layout, norms, outside } from "./names.ts";

const [gate, up]: readonly Layout[] = [0, 1].map((part) => ({ kind: "columns", of: 2, part }));
const down: Layout = { kind: "columns", of: 1, part: 0 };

export const gptOss: FamilyNames = {
  rows: [
    ...outside,
    ...inLayer([
      ...norms,
      ...gqa,
      ["attention.core.sinks", "self_attn.sinks"],
      ["ffn.router.weight", "mlp.router.weight"],
      ["ffn.router.bias", "mlp.router.bias"],
      ["ffn.experts.gate.weight", "mlp.experts.gate_up_proj", gate],
      ["ffn.experts.up.weight", "mlp.experts.gate_up_proj", up],
      ["ffn.experts.down.weight", "mlp.experts.down_proj", down],
      ["ffn.experts.gate.bias", "mlp.experts.gate_up_proj_bias", gate],
      ["ffn.experts.up.bias", "mlp.experts.gate_up_proj_bias", up],
      ["ffn.experts.down.bias", "mlp.experts.down_proj_bias"],
    ]),
  ],
};
