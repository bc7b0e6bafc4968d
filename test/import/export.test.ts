// `mspec export`: imported models come back byte for byte, runs as a checkpoint that loads; what a Llama of transformers
// does not compute is refused.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mspec, scratchFolder } from "../cli/run-mspec.ts";
import {
  fixtureFolder,
  furthest,
  openImported,
  randomTensors,
  readJson,
  readTensors,
  type Sizes,
  smallSizes,
  writeCheckpoint,
} from "./checkpoints.ts";
import { plainLogits } from "./plain-llama.ts";
import { transformersModels, whyNoTransformers } from "./transformers.ts";

const scratch = scratchFolder();
afterAll(() => scratch.remove());

let numFolders = 0;
const fresh = (): string => join(scratch.path, `folder-${numFolders++}`);

/** Runs a verb that makes a folder, and returns the folder. */
async function made(verb: "import" | "export", folder: string): Promise<string> {
  const out = fresh();
  const { status, stderr } = await mspec([verb, folder, "-o", out]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return out;
}

describe("C14: import, then export", () => {
  test.each(["llama_gqa_untied", "llama_tied_bf16", "stories260K"])("%s comes back byte for byte", async (name) => {
    const folder = fixtureFolder(name, scratch.path);
    const out = await made("export", await made("import", folder));
    for (const file of readdirSync(out).filter((file) => file !== "config.json")) {
      expect(readFileSync(join(out, file)).equals(readFileSync(join(folder, file))), file).toBe(true);
    }
    expect(existsSync(join(out, "model.safetensors"))).toBe(true);
    // Python writes 1e-05 where JavaScript writes 0.00001: the same number.
    expect(readJson(out, "config.json")).toEqual(readJson(folder, "config.json"));
  });

  test("shards come back as one file with the same tensors, and a config of the hub in today's spelling", async () => {
    const tensors = randomTensors(smallSizes, 4);
    const config = {
      rope_parameters: undefined,
      rope_theta: 777,
      torch_dtype: "bfloat16",
      hidden_act: "swish",
      my_key: [1],
    };
    const folder = await writeCheckpoint(fresh(), smallSizes, tensors, { dtype: "BF16", shards: 3, config });
    const imported = fresh();
    expect((await mspec(["import", folder, "-o", imported])).status).toBe(0);
    const out = await made("export", imported);
    const stored = await readTensors(join(out, "model.safetensors"));
    expect([...stored.keys()].toSorted()).toEqual([...tensors.keys()].toSorted());
    const shards = readdirSync(folder).filter((file) => file.endsWith(".safetensors"));
    expect(shards.length).toBe(3);
    for (const shard of shards) {
      for (const [name, tensor] of await readTensors(join(folder, shard)))
        expect(stored.get(name), name).toEqual(tensor);
    }
    const written = readJson(out, "config.json");
    expect(written).toMatchObject({ dtype: "bfloat16", hidden_act: "swish", my_key: [1] });
    expect(written.rope_parameters).toEqual({ rope_type: "default", rope_theta: 777 });
    for (const key of ["torch_dtype", "rope_theta", "rope_scaling"]) expect(written).not.toHaveProperty(key);
  });

  test("what was changed in the spec since is what the config says", async () => {
    const imported = await made("import", await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 5)));
    const path = join(imported, "model.yaml");
    const text = readFileSync(path, "utf8")
      .replace("theta: 10000", "theta: 20000")
      .replace("silu(gate) * up", "up * gelu(gate)");
    writeFileSync(path, text);
    const config = readJson(await made("export", imported), "config.json");
    expect(config).toMatchObject({ hidden_act: "gelu", rope_parameters: { rope_theta: 20000 } });
  });
});

const runSpec = (text: string): string => `mspec: 1
name: small-run
model:
  vocab: 256
  context: 32
  width: 16
  layers: 2
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6${text} }
  ffn: { kind: dense, intermediate: 20 }
data: { tokenizer: bytes, train: ["*.txt"] }
train: { sequence: 16, batch: { sequences: 2 }, steps: 3, lr: 1e-2 }
serve: { sequences: 1, tokens: 16 }
`;

describe("a run", () => {
  let run: string;
  beforeAll(async () => {
    const folder = fresh();
    mkdirSync(folder);
    writeFileSync(join(folder, "a.txt"), "The quick brown fox jumps over the lazy dog. ".repeat(40));
    const rope = ", rope: { theta: 500, llama3: { factor: 4, low_freq_factor: 1, high_freq_factor: 4, original: 8 } }";
    writeFileSync(join(folder, "model.yaml"), runSpec(rope));
    run = join(folder, "run");
    const { status, stderr } = await mspec(["train", join(folder, "model.yaml"), "-o", run, "--threads", "1"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test("its newest checkpoint is exported in f32, and computes what a plain Llama does with it", async () => {
    const out = await made("export", run);
    const tensors = await readTensors(join(out, "model.safetensors"));
    expect(tensors.size).toBe(1 + 2 * 9 + 2);
    const step = await readTensors(join(run, "checkpoints", "step-000003", "parameters.safetensors"));
    expect(tensors.get("model.layers.1.mlp.up_proj.weight")).toEqual(step.get("layers.1.ffn.up.weight"));
    const floats = new Map(
      [...tensors].map(([name, { shape, bytes }]) => [name, { shape, values: new Float32Array(bytes.slice().buffer) }]),
    );
    const sizes: Sizes = readJson(out, "config.json");
    const tokens = [...Buffer.from("The quick bro")];
    const model = await openImported(await made("import", out));
    try {
      expect(furthest(await model.logits(tokens), plainLogits(sizes, floats, tokens).flat())).toBeLessThan(2e-4);
    } finally {
      await model.close();
    }
  });

  test("transformers loads it without a word about tensors, and computes the same logits", async ({ skip }) => {
    const why = whyNoTransformers();
    skip(why !== undefined, why);
    const folders = [await made("export", run)];
    for (const name of ["llama_gqa_untied", "llama_tied_bf16"]) {
      const folder = fixtureFolder(name, emptyFolder());
      folders.push(await made("export", await made("import", folder)));
    }
    const tokens = [5, 17, 200, 33, 5, 90, 255, 0, 41];
    const answers = transformersModels(folders.map((folder) => [folder, tokens]));
    for (const [i, folder] of folders.entries()) {
      const { problems, logits } = answers[i];
      expect(problems).toEqual([]);
      const model = await openImported(await made("import", folder));
      try {
        expect(furthest(await model.logits(tokens), logits)).toBeLessThan(2e-4);
      } finally {
        await model.close();
      }
    }
  });

  const emptyFolder = (): string => {
    const folder = fresh();
    mkdirSync(folder);
    return folder;
  };
});

describe("what a Llama of transformers does not compute", () => {
  test.each([
    [
      "mask: k <= q && q - k < 4",
      "`attention.mask` is `k <= q && q - k < 4`, and a llama of transformers would have `k <= q`",
    ],
    ["score: 30 * tanh(s / 30)", "`attention.score` is `30 * tanh(s / 30)`"],
    ["rope: { layout: interleaved }", "`attention.rope.layout` is interleaved"],
  ])("%s", async (attention, sentence) => {
    const imported = await made("import", await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 6)));
    const path = join(imported, "model.yaml");
    const text = readFileSync(path, "utf8");
    const changed = attention.startsWith("rope")
      ? text.replace("    rope:\n", "    rope:\n      layout: interleaved\n")
      : text.replace("    rope:\n", `    ${attention}\n    rope:\n`);
    writeFileSync(path, changed);
    expect(await refusedExport(imported)).toContain(sentence);
  });

  test.each([
    ["max(gate, 0)^3 * up", "the activation is `max(gate, 0)^3 * up`"],
    ["silu(gate) * up + 1", "the activation is `silu(gate) * up + 1`"],
  ])("the activation %s", async (activation, sentence) => {
    const imported = await made("import", await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 6)));
    const path = join(imported, "model.yaml");
    writeFileSync(path, readFileSync(path, "utf8").replace("silu(gate) * up", activation));
    expect(await refusedExport(imported)).toContain(sentence);
  });

  test("layers that differ, and a width that the heads do not divide", async () => {
    const sizes = { ...smallSizes, hidden_size: 26 };
    const wide = await made("import", await writeCheckpoint(fresh(), sizes, randomTensors(sizes, 6)));
    expect(await refusedExport(wide)).toContain("the width 26 is not a multiple of 4 heads");
    const imported = await made("import", await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 6)));
    const path = join(imported, "model.yaml");
    const text = readFileSync(path, "utf8");
    const list = "  ffn:\n    - { kind: dense, intermediate: 36 }\n    - { layers: 1, activation: gelu(gate) * up }\n";
    writeFileSync(path, text.replace(/ {2}ffn:\n( {4}.*\n)+/, list));
    expect(await refusedExport(imported)).toContain(
      "`ffn.activation` in layer 1 is gelu, and a llama of transformers would have silu",
    );
  });

  test("weights that are not the spec's, a folder that is neither, a folder that holds something", async () => {
    const imported = await made("import", await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 6)));
    const path = join(imported, "model.yaml");
    writeFileSync(path, readFileSync(path, "utf8").replace("intermediate: 36", "intermediate: 35"));
    expect(await refusedExport(imported)).toContain(
      "layers.0.ffn.gate.weight has shape [36, 24], the model has [35, 24]",
    );
    expect(await refusedExport(scratch.path)).toMatch(/^train\//);
    const { status, stderr } = await mspec(["export", imported, "-o", imported]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("output/not-empty") });
  });

  async function refusedExport(folder: string): Promise<string> {
    const parent = fresh();
    const { status, stderr } = await mspec(["export", folder, "-o", join(parent, "out")]);
    expect(status).toBe(2);
    expect(existsSync(parent)).toBe(false);
    return stderr;
  }
});
