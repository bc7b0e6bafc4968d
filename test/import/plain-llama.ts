// A Llama as plainly as it can be written, in double precision, from the papers and transformers' documentation: what
// logits of generated checkpoints are compared with. Shares no code with mspec.

import type { Sizes, Tensors } from "./checkpoints.ts";

type Rows = readonly (readonly number[])[];

const erf = (x: number): number => {
  // The Maclaurin series: its terms grow to exp(x^2), so up to 4, which arguments here stay below, it is right to 1e-9.
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};

const activations: Readonly<Record<string, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  gelu_pytorch_tanh: (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
  relu: (x) => Math.max(x, 0),
};

/** Logits after each token: [tokens][vocab]. */
export function plainLogits(sizes: Sizes, tensors: Tensors, tokens: readonly number[]): number[][] {
  const matrix = (name: string): Rows => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`no tensor ${name}`);
    const columns = tensor.shape.at(-1) ?? 1;
    return Array.from({ length: tensor.values.length / columns }, (_, i) => [
      ...tensor.values.subarray(i * columns, (i + 1) * columns),
    ]);
  };
  const times = (rows: Rows, name: string): number[][] => {
    const weight = matrix(name);
    return rows.map((row) => weight.map((line) => line.reduce((sum, value, i) => sum + value * row[i], 0)));
  };
  const norm = (rows: Rows, name: string): number[][] =>
    rows.map((row) => {
      const mean = row.reduce((sum, value) => sum + value * value, 0) / row.length;
      return row.map((value, i) => (value / Math.sqrt(mean + sizes.rms_norm_eps)) * matrix(name)[0][i]);
    });
  const plus = (a: Rows, b: Rows): number[][] => a.map((row, t) => row.map((value, i) => value + b[t][i]));
  const embedding = matrix("model.embed_tokens.weight");
  let hidden: number[][] = tokens.map((token) => [...embedding[token]]);
  for (let i = 0; i < sizes.num_hidden_layers; i++) {
    const at = `model.layers.${i}`;
    const input = norm(hidden, `${at}.input_layernorm.weight`);
    const [q, k, v] = ["q", "k", "v"].map((part) => times(input, `${at}.self_attn.${part}_proj.weight`));
    hidden = plus(hidden, times(attend(sizes, q, k, v), `${at}.self_attn.o_proj.weight`));
    const middle = norm(hidden, `${at}.post_attention_layernorm.weight`);
    const up = times(middle, `${at}.mlp.up_proj.weight`);
    const gate = times(middle, `${at}.mlp.gate_proj.weight`);
    const inner = gate.map((row, t) => row.map((value, c) => activations[sizes.hidden_act](value) * up[t][c]));
    hidden = plus(hidden, times(inner, `${at}.mlp.down_proj.weight`));
  }
  const head = sizes.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  return times(norm(hidden, "model.norm.weight"), head);
}

function attend(sizes: Sizes, q: Rows, k: Rows, v: Rows): number[][] {
  const { num_attention_heads: heads, num_key_value_heads: groups, head_dim: dim } = sizes;
  const part = (row: readonly number[], head: number) => row.slice(head * dim, (head + 1) * dim);
  return q.map((row, t) =>
    Array.from({ length: heads }, (_, head) => {
      const group = Math.floor(head / (heads / groups));
      const query = turn(sizes, part(row, head), t);
      const scores = Array.from({ length: t + 1 }, (_, s) => {
        const key = turn(sizes, part(k[s], group), s);
        return query.reduce((sum, value, i) => sum + value * key[i], 0) / Math.sqrt(dim);
      });
      const most = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - most));
      const total = weights.reduce((sum, value) => sum + value, 0);
      return Array.from({ length: dim }, (_, i) =>
        weights.reduce((sum, weight, s) => sum + (weight / total) * part(v[s], group)[i], 0),
      );
    }).flat(),
  );
}

/** Rotary positions: channel i turns with channel i + dim / 2. */
function turn({ rope_parameters: rope }: Sizes, row: readonly number[], position: number): number[] {
  const half = row.length / 2;
  return row.map((value, i) => {
    const pair = i % half;
    const angle = position * scaled(rope, Number(rope.rope_theta) ** (-(2 * pair) / row.length));
    const other = i < half ? -row[i + half] : row[i - half];
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** Llama 3.1's smoothing between stretched long waves and short waves that are left alone. */
function scaled(rope: Sizes["rope_parameters"], frequency: number): number {
  if (rope.rope_type !== "llama3") return frequency;
  const [factor, low, high, original] = [
    rope.factor,
    rope.low_freq_factor,
    rope.high_freq_factor,
    rope.original_max_position_embeddings,
  ].map(Number);
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
