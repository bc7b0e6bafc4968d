// @ts-check
// What the benchmark calls in a page: greedy decoding by mspec and by onnxruntime-web, token by token, on the page's adapter.

import { openModel } from "mspec/page";

/** A tensor of onnxruntime-web, as far as it is used here. @typedef {{ data: Float32Array, dispose(): void }} OrtTensor */
/** @typedef {{ run(given: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>> }} OrtSession */
/**
 * @typedef {object} Ort
 * @property {{ wasm: { numThreads: number, wasmPaths: string } }} env
 * @property {new (type: string, data: ArrayLike<number> | BigInt64Array, dims: readonly number[]) => OrtTensor} Tensor
 * @property {{ create(address: string, options: object): Promise<OrtSession> }} InferenceSession
 */
/** Tokens, and when each of them was there, in milliseconds. @typedef {{ tokens: number[], times: number[] }} Decoded */

/** @param {string} address a compiled model @param {number} prompt @param {number} count @returns {Promise<Decoded>} */
async function decodeByMspec(address, prompt, count) {
  const model = await openModel(address, { device: "webgpu:software" });
  // The weights follow from the spec's seed, here as elsewhere.
  await model.initialize();
  /** @type {number[]} */
  const times = [];
  const onToken = () => void times.push(performance.now());
  const wanted = { prompt: [prompt], maxTokens: count, temperature: 0, endTokens: [], onToken };
  const { tokens } = await model.generate(wanted);
  await model.close();
  return { tokens: [...tokens], times };
}

/**
 * Caches stay on the GPU, as in pages that generate text with onnxruntime-web.
 * @param {string} address of a file @param {string} library @param {string[]} caches @param {number[]} empty their first dimensions
 * @param {number} prompt @param {number} count @returns {Promise<Decoded>}
 */
async function decodeByOrt(address, library, caches, empty, prompt, count) {
  /** @type {Ort} */
  const ort = await import(`${library}ort.webgpu.min.mjs`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = library;
  const session = await ort.InferenceSession.create(address, {
    executionProviders: ["webgpu"],
    preferredOutputLocation: Object.fromEntries(caches.map((name) => [`${name}.present`, "gpu-buffer"])),
  });
  let past = caches.map(() => new ort.Tensor("float32", new Float32Array(0), empty));
  /** @type {Decoded} */
  const { tokens, times } = { tokens: [], times: [] };
  for (let token = prompt; tokens.length < count; tokens.push(token)) {
    const results = await session.run({
      token: new ort.Tensor("int64", BigInt64Array.of(BigInt(token)), [1, 1]),
      last: new ort.Tensor("int32", Int32Array.of(tokens.length), [1]),
      total: new ort.Tensor("int32", Int32Array.of(tokens.length + 1), []),
      ...Object.fromEntries(caches.map((name, i) => [`${name}.past`, past[i]])),
    });
    const { data } = results.logits;
    token = data.indexOf(Math.max(...data));
    times.push(performance.now());
    for (const tensor of past) tensor.dispose();
    past = caches.map((name) => results[`${name}.present`]);
  }
  return { tokens, times };
}

Object.assign(globalThis, { mspecBench: { decodeByMspec, decodeByOrt } });
