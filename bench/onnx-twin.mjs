// @ts-check
// The twin of a dense mspec model in ONNX, as it decodes: one token at a time, keys and values of earlier ones given back
// and forth. Norms and attention are single operators of ONNX Runtime, as its own exporters of language models choose them.

import { constant, input, node, onnxFile, ortDomain, output } from "./onnx.mjs";

/** Reads a parameter of the mspec model, row-major. @typedef {(name: string) => Promise<Float32Array>} ReadWeight */
/** @typedef {typeof import("./twins.mjs").sotu.facts} Facts */

/** Names of the caches: what goes in comes out one position longer. @param {number} layers */
export const cacheNames = (layers) =>
  Array.from({ length: layers }, (_, layer) => [`${layer}.keys`, `${layer}.values`]).flat();

/** [out, in] as mspec stores it to [in, out]. @param {Float32Array} weight @param {number} outputs */
function transposed(weight, outputs) {
  const inputs = weight.length / outputs;
  return Float32Array.from(weight, (_, at) => weight[(at % outputs) * inputs + Math.floor(at / outputs)]);
}

/** @param {Facts} facts @param {ReadWeight} read */
export async function decoderOnnx(
  { vocab, width, layers, heads, kv_heads: kvHeads, head_dim: headDim, ...rest },
  read,
) {
  const { intermediate, sequence: context } = rest;
  /** @type {Buffer[]} */
  const fields = [];
  const put = (/** @type {Parameters<typeof node>} */ ...given) => {
    fields.push(node(...given));
    return given[2][0];
  };
  const linear = async (
    /** @type {string} */ x,
    /** @type {string} */ name,
    /** @type {number[]} */ [inputs, outputs],
  ) => {
    fields.push(constant(name, [inputs, outputs], transposed(await read(`${name}.weight`), outputs)));
    return put("MatMul", [x, name], [`${name}.product`]);
  };
  const norm = async (/** @type {string} */ x, /** @type {string} */ name) => {
    fields.push(constant(name, [width], await read(`${name}.weight`)));
    const numbers = { floats: { epsilon: 1e-5 }, ints: { axis: -1 } };
    return put("SimplifiedLayerNormalization", [x, name], [`${name}.normed`], numbers);
  };
  const half = headDim / 2;
  const angles = Float64Array.from(
    { length: context * half },
    (_, i) => Math.floor(i / half) / 1e4 ** ((i % half) / half),
  );
  const embedding = await read("embedding.weight");
  fields.push(
    input("token", "i64", [1, 1]),
    // How many positions are cached, and how many there are with this token.
    input("last", "i32", [1]),
    input("total", "i32", []),
    constant("cos", [context, half], Float32Array.from(angles, Math.cos)),
    constant("sin", [context, half], Float32Array.from(angles, Math.sin)),
    constant("embedding", [vocab, width], embedding),
    constant("head", [width, vocab], transposed(embedding, vocab)),
  );
  for (const name of cacheNames(layers)) {
    fields.push(input(`${name}.past`, "f32", [1, kvHeads, "past", headDim]));
    fields.push(output(`${name}.present`, "f32", [1, kvHeads, "present", headDim]));
  }
  let x = put("Gather", ["embedding", "token"], ["embedded"]);
  for (let layer = 0; layer < layers; layer++) {
    const [attention, ffn, caches] = [
      `layers.${layer}.attention`,
      `layers.${layer}.ffn`,
      cacheNames(layers).slice(2 * layer),
    ];
    const h = await norm(x, `${attention}.norm`);
    const q = await linear(h, `${attention}.q`, [width, heads * headDim]);
    const k = await linear(h, `${attention}.k`, [width, kvHeads * headDim]);
    const v = await linear(h, `${attention}.v`, [width, kvHeads * headDim]);
    const [keys, values] = caches;
    const given = [q, k, v, `${keys}.past`, `${values}.past`, "last", "total", "cos", "sin"];
    const results = [`${attention}.mixed`, `${keys}.present`, `${values}.present`];
    const ints = { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: 0 };
    const mixed = put("GroupQueryAttention", given, results, { ints, domain: ortDomain });
    const attended = await linear(mixed, `${attention}.out`, [heads * headDim, width]);
    const y = put("Add", [x, attended], [`${attention}.sum`]);
    const inner = await norm(y, `${ffn}.norm`);
    const gate = await linear(inner, `${ffn}.gate`, [width, intermediate]);
    const up = await linear(inner, `${ffn}.up`, [width, intermediate]);
    const sigmoid = put("Sigmoid", [gate], [`${ffn}.sigmoid`]);
    const silu = put("Mul", [gate, sigmoid], [`${ffn}.silu`]);
    const activated = put("Mul", [silu, up], [`${ffn}.activated`]);
    const down = await linear(activated, `${ffn}.down`, [intermediate, width]);
    x = put("Add", [y, down], [`${ffn}.sum`]);
  }
  put("MatMul", [await norm(x, "final_norm"), "head"], ["logits"]);
  fields.push(output("logits", "f32", [1, 1, vocab]));
  return onnxFile(fields);
}
