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

/** The fields of a graph, and the layers that are put into it; each method gives the name of what it computes. */
class DecoderGraph {
  /** @type {Buffer[]} */
  fields = [];

  /** @param {ReadWeight} read */
  constructor(read) {
    this.read = read;
  }

  /** @param {Parameters<typeof node>} given */
  put(...given) {
    this.fields.push(node(...given));
    return given[2][0];
  }

  /** @param {string} x @param {string} name @param {[inputs: number, outputs: number]} sizes */
  async linear(x, name, [inputs, outputs]) {
    this.fields.push(constant(name, [inputs, outputs], transposed(await this.read(`${name}.weight`), outputs)));
    return this.put("MatMul", [x, name], [`${name}.product`]);
  }

  /** @param {string} x @param {string} name */
  async norm(x, name) {
    const gain = await this.read(`${name}.weight`);
    this.fields.push(constant(name, [gain.length], gain));
    const numbers = { floats: { epsilon: 1e-5 }, ints: { axis: -1 } };
    return this.put("SimplifiedLayerNormalization", [x, name], [`${name}.normed`], numbers);
  }

  /** @param {string} x @param {string} name @param {string[]} caches @param {Facts} facts */
  async attention(x, name, [keys, values], { width, heads, kv_heads: kvHeads, head_dim: headDim }) {
    const h = await this.norm(x, `${name}.norm`);
    const q = await this.linear(h, `${name}.q`, [width, heads * headDim]);
    const k = await this.linear(h, `${name}.k`, [width, kvHeads * headDim]);
    const v = await this.linear(h, `${name}.v`, [width, kvHeads * headDim]);
    const given = [q, k, v, `${keys}.past`, `${values}.past`, "last", "total", "cos", "sin"];
    const results = [`${name}.mixed`, `${keys}.present`, `${values}.present`];
    const ints = { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: 0 };
    const mixed = this.put("GroupQueryAttention", given, results, { ints, domain: ortDomain });
    const attended = await this.linear(mixed, `${name}.out`, [heads * headDim, width]);
    return this.put("Add", [x, attended], [`${name}.sum`]);
  }

  /** @param {string} x @param {string} name @param {Facts} facts */
  async feedForward(x, name, { width, intermediate }) {
    const h = await this.norm(x, `${name}.norm`);
    const gate = await this.linear(h, `${name}.gate`, [width, intermediate]);
    const up = await this.linear(h, `${name}.up`, [width, intermediate]);
    const sigmoid = this.put("Sigmoid", [gate], [`${name}.sigmoid`]);
    const silu = this.put("Mul", [gate, sigmoid], [`${name}.silu`]);
    const activated = this.put("Mul", [silu, up], [`${name}.activated`]);
    const down = await this.linear(activated, `${name}.down`, [intermediate, width]);
    return this.put("Add", [x, down], [`${name}.sum`]);
  }
}

/** @param {Facts} facts @param {ReadWeight} read */
export async function decoderOnnx(facts, read) {
  const { vocab, width, layers, kv_heads: kvHeads, head_dim: headDim, sequence: context } = facts;
  const graph = new DecoderGraph(read);
  const half = headDim / 2;
  const angles = Float64Array.from(
    { length: context * half },
    (_, i) => Math.floor(i / half) / 1e4 ** ((i % half) / half),
  );
  const embedding = await read("embedding.weight");
  const caches = cacheNames(layers);
  graph.fields.push(
    input("token", "i64", [1, 1]),
    // How many positions are cached, and how many there are with this token.
    input("last", "i32", [1]),
    input("total", "i32", []),
    constant("cos", [context, half], Float32Array.from(angles, Math.cos)),
    constant("sin", [context, half], Float32Array.from(angles, Math.sin)),
    constant("embedding", [vocab, width], embedding),
    constant("head", [width, vocab], transposed(embedding, vocab)),
    ...caches.map((name) => input(`${name}.past`, "f32", [1, kvHeads, "past", headDim])),
    ...caches.map((name) => output(`${name}.present`, "f32", [1, kvHeads, "present", headDim])),
    output("logits", "f32", [1, 1, vocab]),
  );
  let x = graph.put("Gather", ["embedding", "token"], ["embedded"]);
  for (let layer = 0; layer < layers; layer++) {
    const y = await graph.attention(x, `layers.${layer}.attention`, caches.slice(2 * layer), facts);
    x = await graph.feedForward(y, `layers.${layer}.ffn`, facts);
  }
  graph.put("MatMul", [await graph.norm(x, "final_norm"), "head"], ["logits"]);
  return onnxFile(graph.fields);
}
