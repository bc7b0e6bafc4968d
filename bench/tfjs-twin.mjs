// @ts-check
// The twin of a dense mspec model in tfjs on WebGPU: the same layers and loss, and Adam without weight decay and clipping;
// embeddings are looked up as products. Answers like steps.mjs.
// node bench/tfjs-twin.mjs FOLDER DEVICE FACTS

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

/** A tensor of tfjs, as far as it is used here. @typedef {{ [method: string]: (...args: unknown[]) => Tensor }} Tensor */

const [folder, device, factsText] = process.argv.slice(2);
const facts = JSON.parse(factsText);
const { vocab, width, layers, heads, kv_heads: kvHeads, head_dim: headDim, intermediate, sequence, sequences } = facts;

/** tfjs finds WebGPU where a page has it. */
async function openTfjs() {
  const { openDawn } = await import(new URL("../dist/runtime/devices/node-dawn.js", import.meta.url).href);
  const gpu = await openDawn({ isSoftware: device === "webgpu:software" });
  const { globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" } });
  const { resolve: find } = createRequire(join(resolve(folder), "package.json"));
  const { default: tfjs } = await import(pathToFileURL(find("@tensorflow/tfjs")).href);
  await import(pathToFileURL(find("@tensorflow/tfjs-backend-webgpu")).href);
  if (!(await tfjs.setBackend("webgpu"))) throw new Error("tfjs does not open WebGPU");
  return tfjs;
}

const tf = await openTfjs();
const matrix = (/** @type {number} */ rows, /** @type {number} */ columns) =>
  tf.variable(tf.randomNormal([rows, columns], 0, 0.02));
const gain = () => tf.variable(tf.ones([width]));
const embedding = matrix(vocab, width);
const finalGain = gain();
const blocks = Array.from({ length: layers }, () => ({
  norm1: gain(),
  norm2: gain(),
  q: matrix(width, heads * headDim),
  k: matrix(width, kvHeads * headDim),
  v: matrix(width, kvHeads * headDim),
  out: matrix(heads * headDim, width),
  gate: matrix(width, intermediate),
  up: matrix(width, intermediate),
  down: matrix(intermediate, width),
}));
const half = headDim / 2;
const angles = tf.outerProduct(tf.range(0, sequence), tf.pow(10000, tf.range(0, half).div(-half)));
const [cos, sin] = [angles.cos(), angles.sin()];
const mask = tf.linalg
  .bandPart(tf.ones([sequence, sequence]), -1, 0)
  .sub(1)
  .mul(1e9);
const tokens = tf.randomUniform([sequences * sequence], 0, vocab, "int32");
const given = tf.oneHot(tokens, vocab).toFloat();
const wanted = tf.concat([given.slice([1, 0]), given.slice([0, 0], [1, vocab])]);

const norm = (/** @type {Tensor} */ x, /** @type {Tensor} */ g) =>
  x.mul(x.square().mean(-1, true).add(1e-5).rsqrt()).mul(g);

function rotate(/** @type {Tensor} */ x) {
  const [a, b] = tf.split(x, 2, -1);
  return tf.concat([a.mul(cos).sub(b.mul(sin)), a.mul(sin).add(b.mul(cos))], -1);
}

/** [tokens, n * headDim] to [sequences, heads, sequence, headDim]; heads that share keys and values have copies. */
function byHead(/** @type {Tensor} */ x, /** @type {number} */ n) {
  const split = x.reshape([sequences, sequence, n, headDim]).transpose([0, 2, 1, 3]);
  return n === heads ? split : tf.concat(Array(heads / n).fill(split), 1);
}

function layer(/** @type {Tensor} */ x, /** @type {(typeof blocks)[number]} */ w) {
  const h = norm(x, w.norm1);
  const q = rotate(byHead(tf.matMul(h, w.q), heads));
  const k = rotate(byHead(tf.matMul(h, w.k), kvHeads));
  const v = byHead(tf.matMul(h, w.v), kvHeads);
  const scores = tf
    .matMul(q, k, false, true)
    .mul(headDim ** -0.5)
    .add(mask);
  const mixed = tf
    .matMul(tf.softmax(scores), v)
    .transpose([0, 2, 1, 3])
    .reshape([sequences * sequence, heads * headDim]);
  const y = x.add(tf.matMul(mixed, w.out));
  const inner = norm(y, w.norm2);
  const gate = tf.matMul(inner, w.gate);
  return y.add(tf.matMul(gate.mul(gate.sigmoid()).mul(tf.matMul(inner, w.up)), w.down));
}

function loss() {
  const x = blocks.reduce(layer, tf.matMul(given, embedding));
  const logits = tf.matMul(norm(x, finalGain), embedding, false, true);
  return tf.losses.softmaxCrossEntropy(wanted, logits);
}

const optimizer = tf.train.adam(1e-3, 0.9, 0.95, 1e-8);
console.log("ready");
for await (const _ of createInterface({ input: process.stdin })) {
  const [start, used] = [performance.now(), process.cpuUsage()];
  const value = optimizer.minimize(loss, true);
  const seconds = (performance.now() - start) / 1e3;
  const [of] = await value.data();
  value.dispose();
  const { user, system } = process.cpuUsage(used);
  const whole = (performance.now() - start) / 1e3;
  console.log(JSON.stringify({ seconds: whole, host: seconds, cpu: (user + system) / 1e6, loss: of, memory: 0 }));
}
