// What transformers calls activations, as the formulas that a gated feed-forward block has of them.

/** `hidden_act` → `model.ffn.activation`. Where two names mean one function, the first is written. */
export const activationFormulas: ReadonlyMap<string, string> = new Map([
  ["silu", "silu(gate) * up"],
  ["swish", "silu(gate) * up"],
  ["gelu", "gelu(gate) * up"],
  ["gelu_pytorch_tanh", "gelu_tanh(gate) * up"],
  ["gelu_new", "gelu_tanh(gate) * up"],
  ["quick_gelu", "gate * sigmoid(1.702 * gate) * up"],
  ["relu", "max(gate, 0) * up"],
  ["relu2", "max(gate, 0)^2 * up"],
  ["sigmoid", "sigmoid(gate) * up"],
  ["tanh", "tanh(gate) * up"],
  ["linear", "gate * up"],
]);
