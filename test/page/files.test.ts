// Files of a page without a page: addresses, and files that somebody chose. The models run on wasm here.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tensorFromArray, writeSafetensors } from "../../runtime/files/safetensors-writer.ts";
import type { Model } from "../../runtime/model.ts";
import { nodeHost } from "../../runtime/node-host.ts";
import { openOnHost } from "../../runtime/open-on-host.ts";
import { addressDisk, addressSource } from "../../runtime/page-files.ts";
import { openTiny, sourceOf, tinySpec } from "../runtime/tiny-model.ts";
import { documents } from "../train/run-setup.ts";
import { type Site, serveFiles } from "./site.mjs";

const folder = mkdtempSync(join(tmpdir(), "mspec-page-files-"));
let site: Site;
let model: Model;

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

/** A file of weights in which every value of a parameter is the parameter's number. */
async function numberedWeights({ manifest }: Model): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = manifest.parameters.map(({ name, dims }, number) =>
    tensorFromArray(name, dims, new Float32Array(dims.reduce((product, size) => product * size, 1)).fill(number)),
  );
  const pieces: Uint8Array[] = [];
  await writeSafetensors(tensors, {}, async (piece) => void pieces.push(piece.slice()));
  return Uint8Array.from(Buffer.concat(pieces));
}

async function firstValues(of: Model): Promise<number[]> {
  const values: number[] = [];
  for (const name of of.parameterNames) values.push((await of.parameter(name))[0]);
  return values;
}

beforeAll(async () => {
  const source = await sourceOf(tinySpec);
  for (const file of ["manifest.json", "normalized.yaml"]) write(`tiny/${file}`, await source.text(file));
  write("tiny/wasm/kernels.wasm", await source.bytes("wasm/kernels.wasm"));
  site = await serveFiles(folder);
  const { openWasm, gpu } = nodeHost;
  const host = { disk: addressDisk, openWasm, gpu };
  model = await openOnHost(addressSource(`${site.address}/tiny/`), host, { device: "wasm", threads: 1 });
  write("weights.safetensors", await numberedWeights(model));
});
afterAll(async () => {
  await model.close();
  await site.close();
  rmSync(folder, { recursive: true });
});

describe("weights", () => {
  it("come from an address, and from a file that somebody chose", async () => {
    const numbers = model.parameterNames.map((_, number) => number);
    await model.loadWeights(`${site.address}/weights.safetensors`);
    expect(await firstValues(model)).toEqual(numbers);
    await model.initialize();
    expect(await firstValues(model)).not.toEqual(numbers);
    await model.loadWeights(new Blob([await numberedWeights(model)]));
    expect(await firstValues(model)).toEqual(numbers);
  });

  it("that are not there, or are another file, are refused and change nothing", async () => {
    await model.loadWeights(`${site.address}/weights.safetensors`);
    const before = await firstValues(model);
    await expect(model.loadWeights(`${site.address}/none.safetensors`)).rejects.toThrow(/model\/missing-weights/);
    await expect(model.loadWeights(`${site.address}/start-page/none.safetensors`)).rejects.toThrow(/missing-weights/);
    const half = (await numberedWeights(model)).subarray(0, 4000);
    await expect(model.loadWeights(new File([half], "half.safetensors"))).rejects.toThrow(
      /safetensors\/.*\n {2}half\.safetensors/,
    );
    expect(await firstValues(model)).toEqual(before);
  });
});

describe("training", () => {
  it("on documents is training on their tokens, with the part set aside that the spec says", async () => {
    const texts = documents(6);
    const overrides = ["train.steps=2", "data.validation=0.2"];
    const own = await openTiny(tinySpec, overrides);
    const losses: (number | undefined)[] = [];
    const observer = { onStep: ({ loss }: { loss: number }) => void losses.push(loss) };
    const starts: number[] = [];
    const onStart = (start: { trainTokens: number; validationTokens: number }) =>
      void starts.push(start.trainTokens, start.validationTokens);
    const { validationLoss } = await own.train({ corpus: texts, observer: { ...observer, onStart } });
    await own.close();
    const bytes = texts.map((text) => new TextEncoder().encode(text).length);
    const total = bytes.reduce((sum, count) => sum + count, 0);
    expect(starts[0] + starts[1]).toBe(total);
    // One document of six is nearest to a fifth.
    expect(bytes).toContain(starts[1]);
    expect(losses).toHaveLength(2);
    expect(validationLoss).toBeGreaterThan(0);
  });

  it("needs no folder, and without one says so of what does", async () => {
    await expect(model.train()).rejects.toThrow(/train\/no-folders.*the spec names \*\.txt\n.*`corpus`/s);
    await expect(model.train({ corpus: documents(2), folder: "run" })).rejects.toThrow(
      /train\/no-folders.*\n {2}run\n.*`model\.parameter`/s,
    );
    expect(await model.train({ corpus: documents(2) })).toMatchObject({ steps: 8, checkpoint: undefined });
  });
});
