// Tensors of MixtralForCausalLM, which numbers an expert's: w1 is the gate, w3 up, w2 down.

import { type FamilyNames, gqa, inLayer, norms, outside, stack } from "./names.ts";

export const mixtral: FamilyNames = {
  rows: [
    ...outside,
    ...inLayer([
      ...norms,
      ...gqa,
      ["ffn.router.weight", "block_sparse_moe.gate.weight"],
      ["ffn.experts.gate.weight", "block_sparse_moe.experts.{e}.w1.weight", stack],
      ["ffn.experts.up.weight", "block_sparse_moe.experts.{e}.w3.weight", stack],
      ["ffn.experts.down.weight", "block_sparse_moe.experts.{e}.w2.weight", stack],
    ]),
  ],
};
