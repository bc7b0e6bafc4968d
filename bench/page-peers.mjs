// @ts-check
// Decoding in a page of headless Chromium, on its software adapter: mspec, and onnxruntime-web with the same weights.

import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { openBrowser } from "../test/page/chromium.mjs";
import { serveFiles } from "../test/page/site.mjs";
import { median, openModel, pageFiles } from "./model.mjs";
import { cacheNames, decoderOnnx } from "./onnx-twin.mjs";
import { sotu } from "./twins.mjs";

/** @typedef {import("./decode-in-page.mjs").Decoded} Decoded */

const root = fileURLToPath(new URL("..", import.meta.url));
const prompt = 5;
const count = 64;
/** With weights as small as a run begins with, every token would be followed by itself. */
const overrides = ["train.init={all: normal(0.2)}"];

/** What somebody installed into a folder; undefined where it is not there. @param {string} folder @param {string} name */
function installed(folder, name) {
  const path = join(resolve(folder), "node_modules", name);
  return existsSync(path) ? path : undefined;
}

/** Modules that the runtime imports by name. */
const imports = {
  "mspec/page": "/mspec/page.js",
  "@huggingface/tokenizers": "/tokenizers/dist/tokenizers.mjs",
  "fastest-levenshtein": "/levenshtein/esm/mod.js",
};
const page = `<!doctype html><title>decoding</title>
<script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module" src="/decode-in-page.mjs"></script>`;

/** Puts everything that the page loads into a folder. @param {string} folder @param {string} ort */
async function makeSite(folder, ort) {
  const path = join(root, sotu.path);
  for (const { path: file, content } of await pageFiles(path, { device: "webgpu:software" }, overrides)) {
    mkdirSync(dirname(join(folder, "model", file)), { recursive: true });
    writeFileSync(join(folder, "model", file), content);
  }
  const model = await openModel(path, {}, overrides);
  await model.initialize();
  writeFileSync(join(folder, "decoder.onnx"), await decoderOnnx(sotu.facts, (name) => model.device.read(name)));
  await model.close();
  writeFileSync(join(folder, "index.html"), page);
  /** @type {[string, string][]} */
  const links = [
    ["mspec", join(root, "dist/runtime")],
    ["tokenizers", join(root, "node_modules/@huggingface/tokenizers")],
    ["levenshtein", join(root, "node_modules/fastest-levenshtein")],
    ["ort", join(ort, "dist")],
    ["decode-in-page.mjs", join(root, "bench/decode-in-page.mjs")],
  ];
  for (const [name, target] of links) symlinkSync(target, join(folder, name));
}

/** Milliseconds per token of the second half, when pipelines are made. @param {Decoded} decoded */
function perToken({ times }) {
  const late = times.slice(times.length >> 1);
  return median(late.slice(1).map((time, i) => time - late[i]));
}

/**
 * Milliseconds per token of onnxruntime-web and of mspec, and how many of the tokens are equal; or why there are none.
 * @param {string | undefined} peers the folder that peers are installed in
 */
export async function decodingInPage(peers) {
  if (peers === undefined) return { missing: "no folder is given by `--peers FOLDER`", measured: undefined };
  const ort = installed(peers, "onnxruntime-web");
  if (ort === undefined) return { missing: "that folder has no onnxruntime-web", measured: undefined };
  const folder = mkdtempSync(join(tmpdir(), "mspec-bench-page-"));
  await makeSite(folder, ort);
  const [site, browser] = await Promise.all([serveFiles(folder), openBrowser()]);
  try {
    const opened = await browser.newPage();
    await opened.goto(site.address);
    await opened.waitForFunction("globalThis.mspecBench !== undefined");
    const { layers, kv_heads: kvHeads, head_dim: headDim } = sotu.facts;
    /** @param {string} call @param {unknown[]} given @returns {Promise<Decoded>} */
    const ask = (call, ...given) => opened.evaluate(`mspecBench.${call}(...${JSON.stringify(given)})`);
    const empty = [1, kvHeads, 0, headDim];
    const ours = await ask("decodeByMspec", `${site.address}/model`, prompt, count);
    const names = cacheNames(layers);
    const theirs = await ask("decodeByOrt", "/decoder.onnx", `${site.address}/ort/`, names, empty, prompt, count);
    const equal = ours.tokens.filter((token, i) => token === theirs.tokens[i]).length;
    return { missing: undefined, measured: { ours: perToken(ours), theirs: perToken(theirs), equal, count } };
  } finally {
    await Promise.all([browser.close(), site.close()]);
    rmSync(folder, { recursive: true });
  }
}
