// Tensors of every family on their way into mspec's names and back: where each element goes is said here once more, by hand.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { exportWeights } from "../../runtime/files/export-weights.ts";
import { type Family, recipesOf, type WantedParameter } from "../../runtime/files/hugging-face.ts";
import { importWeights } from "../../runtime/files/import-weights.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import { openSafetensors } from "../../runtime/files/safetensors.ts";
import type { TensorSource } from "../../runtime/files/safetensors-writer.ts";
import { openWeightShards } from "../../runtime/files/weight-shards.ts";
import { scratchFolder } from "../cli/run-mspec.ts";
import { fixtureFolder, readJson, readTensors, type Stored, writeFile } from "./checkpoints.ts";
import { type Config, parametersOfConfig } from "./family-parameters.ts";

const scratch = scratchFolder();
afterAll(() => scratch.remove());

const names = [
  ...["gpt_oss", "mixtral", "olmoe", "qwen3_moe", "qwen3_tied", "llama_gqa_untied", "llama_tied_bf16"],
  ...["deepseek_v2_lite", "deepseek_v3_noqlora_ragged", "deepseek_v3_fp8", "deepseek_v3_mtp"],
];

let numFiles = 0;
const fresh = (): string => join(scratch.path, `file-${numFiles++}.safetensors`);

/** Writes a checkpoint's tensors under mspec's names; their values as they are stored. */
async function imported(folder: string, family: Family, parameters: readonly WantedParameter[]) {
  const { quantization_config: quantized } = readJson(folder, "config.json");
  const shards = await openWeightShards(nodeDisk, folder);
  try {
    const scaleBlock = quantized?.weight_block_size;
    const weights = await importWeights(shards, family, parameters, { scaleBlock });
    const path = fresh();
    await writeFile(path, weights.tensors);
    weights.checkFinite();
    return { path, weights, tensors: await readTensors(path) };
  } finally {
    await shards.close();
  }
}

async function allTensors(folder: string): Promise<Map<string, Stored>> {
  const index = join(folder, "model.safetensors.index.json");
  const shards: string[] = [...new Set(Object.values(indexOf(index)))];
  const maps = await Promise.all(shards.map((name) => readTensors(join(folder, name))));
  return new Map(maps.flatMap((map) => [...map]));
}

function indexOf(path: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(path, "utf8")).weight_map;
  } catch {
    return { all: "model.safetensors" };
  }
}

describe.each(names)("%s", (name) => {
  const folder = fixtureFolder(name, scratch.path);
  const config: Config = readJson(folder, "config.json");
  const family = String(config.model_type) as Family;
  const parameters = parametersOfConfig(config);

  test("every parameter is there in its shape, and no tensor is left over", async () => {
    const { tensors, weights } = await imported(folder, family, parameters);
    expect(weights.leftOut).toEqual([]);
    expect([...tensors.keys()].toSorted()).toEqual(parameters.map((parameter) => parameter.name).toSorted());
    for (const { name: ours, dims } of parameters) expect(tensors.get(ours)?.shape, ours).toEqual(dims);
  });

  test("an export has every tensor of the checkpoint again, byte for byte unless it was FP8", async () => {
    const { path } = await imported(folder, family, parameters);
    const before = await allTensors(folder);
    const reader = await nodeDisk.openRead(path);
    const again = fresh();
    await writeFile(again, exportWeights(await openSafetensors(reader), path, family, parameters));
    await reader.close();
    const after = await readTensors(again);
    const kept = [...before].filter(([key]) => !key.endsWith("_scale_inv"));
    expect([...after.keys()].toSorted()).toEqual(kept.map(([key]) => key).toSorted());
    let numEqual = 0;
    for (const [key, tensor] of kept) {
      if (tensor.dtype === "F8_E4M3") expect(after.get(key)?.shape, key).toEqual(tensor.shape);
      else {
        expect(isSame(after.get(key), tensor), key).toBe(true);
        numEqual++;
      }
    }
    expect(numEqual).toBeGreaterThan(10);
  });
});

/** Comparing arrays element by element would take seconds. */
const isSame = (a: Stored | undefined, b: Stored): boolean =>
  a !== undefined && a.dtype === b.dtype && a.shape.join() === b.shape.join() && Buffer.from(a.bytes).equals(b.bytes);

const floats = (tensor: Stored | undefined): Float32Array =>
  new Float32Array((tensor?.bytes ?? new Uint8Array()).slice().buffer);

describe("where elements go", () => {
  const load = async (name: string) => {
    const folder = fixtureFolder(name, scratch.path, "before");
    const config: Config = readJson(folder, "config.json");
    const { tensors } = await imported(folder, String(config.model_type) as Family, parametersOfConfig(config));
    return { theirs: await allTensors(folder), ours: tensors, config };
  };

  test("experts are stacked in their order", async () => {
    const { theirs, ours } = await load("mixtral");
    const stacked = ours.get("layers.1.ffn.experts.up.weight");
    expect(stacked?.shape).toEqual([4, 112, 80]);
    const parts = [0, 1, 2, 3].map((e) => theirs.get(`model.layers.1.block_sparse_moe.experts.${e}.w3.weight`)?.bytes);
    expect(
      Buffer.concat(parts.map((part) => part ?? new Uint8Array())).equals(stacked?.bytes ?? new Uint8Array()),
    ).toBe(true);
    const down = ours.get("layers.0.ffn.experts.down.weight");
    const second = theirs.get("model.layers.0.block_sparse_moe.experts.1.w2.weight");
    expect(down?.bytes.slice(80 * 112 * 4, 2 * 80 * 112 * 4)).toEqual(second?.bytes);
  });

  test("gpt-oss's channels lie in turn, transposed", async () => {
    const { theirs, ours } = await load("gpt_oss");
    const [fused, bias] = ["gate_up_proj", "gate_up_proj_bias"].map((end) =>
      floats(theirs.get(`model.layers.1.mlp.experts.${end}`)),
    );
    const [gate, up] = ["gate", "up"].map((part) => floats(ours.get(`layers.1.ffn.experts.${part}.weight`)));
    const [gateBias, upBias] = ["gate", "up"].map((part) => floats(ours.get(`layers.1.ffn.experts.${part}.bias`)));
    const down = floats(ours.get("layers.1.ffn.experts.down.weight"));
    const theirDown = floats(theirs.get("model.layers.1.mlp.experts.down_proj"));
    const size = 64;
    let numCompared = 0;
    for (let e = 0; e < 4; e++) {
      for (let o = 0; o < size; o++) {
        expect(gateBias[e * size + o]).toBe(bias[e * 2 * size + 2 * o]);
        expect(upBias[e * size + o]).toBe(bias[e * 2 * size + 2 * o + 1]);
        for (let i = 0; i < size; i++) {
          const at = (e * size + o) * size + i;
          const there = (e * size + i) * 2 * size + 2 * o;
          if (gate[at] !== fused[there] || up[at] !== fused[there + 1]) throw new Error(`expert ${e}, ${o}, ${i}`);
          if (down[at] !== theirDown[(e * size + i) * size + o]) throw new Error(`down ${e}, ${o}, ${i}`);
          numCompared++;
        }
      }
    }
    expect(numCompared).toBe(4 * size * size);
  });

  test("a weight in FP8 is its code's value times the scale of its block of 128 x 128, ragged edges included", async () => {
    const { theirs, ours } = await load("deepseek_v3_fp8");
    // By the format's definition, with the fraction in units of 2^-9 of the smallest exponent.
    const value = (code: number): number => {
      const [exponent, fraction] = [(code >> 3) & 15, code & 7];
      const magnitude = exponent === 0 ? fraction : (8 + fraction) * 2 ** (exponent - 1);
      return ((code & 128) === 0 ? 1 : -1) * magnitude * 2 ** -9;
    };
    const pairs = [
      ["model.layers.0.mlp.gate_proj", "layers.0.ffn.gate.weight", 0],
      ["model.layers.1.self_attn.kv_a_proj_with_mqa", "layers.1.attention.kv_down.weight", 0],
      ["model.layers.2.mlp.experts.3.down_proj", "layers.2.ffn.experts.down.weight", 3],
    ] as const;
    for (const [theirName, ourName, expert] of pairs) {
      const [codes, scales] = [theirs.get(`${theirName}.weight`), theirs.get(`${theirName}.weight_scale_inv`)];
      const [rows, columns] = codes?.shape ?? [];
      const perRow = Math.ceil(columns / 128);
      expect(scales?.shape).toEqual([Math.ceil(rows / 128), perRow]);
      const [scale, got] = [floats(scales), floats(ours.get(ourName)).subarray(expert * rows * columns)];
      const distinct = new Set<number>();
      for (let i = 0; i < rows * columns; i++) {
        const block = Math.floor(i / columns / 128) * perRow + Math.floor((i % columns) / 128);
        const wanted = Math.fround(value(codes?.bytes[i] ?? 0) * scale[block]);
        if (!Object.is(got[i], wanted)) throw new Error(`${theirName} at ${i}: ${got[i]}, not ${wanted}`);
        distinct.add(wanted);
      }
      expect(distinct.size).toBeGreaterThan(100);
    }
    expect(ours.get("embedding.weight")?.dtype).toBe("BF16");
    expect(ours.get("layers.1.ffn.router.choice_bias")?.dtype).toBe("F32");
  });

  test("the module behind the last layer is mtp.0, and what it repeats is not kept twice", async () => {
    const { theirs, ours } = await load("deepseek_v3_mtp");
    const pairs = [
      ["model.layers.2.enorm.weight", "mtp.0.embedding_norm.weight"],
      ["model.layers.2.hnorm.weight", "mtp.0.hidden_norm.weight"],
      ["model.layers.2.eh_proj.weight", "mtp.0.projection.weight"],
      ["model.layers.2.shared_head.norm.weight", "mtp.0.final_norm.weight"],
      ["model.layers.2.input_layernorm.weight", "mtp.0.attention.norm.weight"],
      ["model.layers.2.mlp.gate.e_score_correction_bias", "mtp.0.ffn.router.choice_bias"],
    ];
    for (const [from, to] of pairs) expect(ours.get(to), to).toEqual(theirs.get(from));
    expect(theirs.has("model.layers.2.embed_tokens.weight")).toBe(true);
  });
});

test("no two parameters of a family are said to lie in the same elements", () => {
  for (const name of names) {
    const config: Config = readJson(join(scratch.path, `${name}-now`), "config.json");
    const recipes = recipesOf(String(config.model_type) as Family, parametersOfConfig(config));
    const places = recipes.flatMap((recipe) =>
      (recipe?.parts ?? []).map(
        (part) => `${part.name} ${recipe?.layout?.kind === "columns" ? recipe.layout.part : ""}`,
      ),
    );
    expect(recipes.every((recipe) => recipe !== undefined)).toBe(true);
    expect(new Set(places).size).toBe(places.length);
  }
});

describe("sizes that no fixture has", () => {
  /** Tensors with values that say where they are from. */
  const numbered = (rows: readonly (readonly [string, ...number[]])[], dtype: "F32" | "BF16" | "F16"): TensorSource[] =>
    rows.map(([name, ...shape], t) => {
      const length = shape.reduce((count, size) => count * size, 1);
      const words = dtype === "F32" ? new Uint32Array(length) : new Uint16Array(length);
      for (let i = 0; i < length; i++) words[i] = (t + 1) * 1000 + i;
      return { name, dtype, shape, read: () => new Uint8Array(words.buffer) };
    });

  test.each([
    ["F32", 1, 1, 1],
    ["BF16", 3, 5, 7],
    ["F16", 2, 1, 9],
  ] as const)(
    "gpt-oss's fused tensors in %s of %i experts, %i inputs, %i channels",
    async (dtype, experts, inputs, out) => {
      const prefix = "model.layers.0.mlp.experts.";
      const sources = numbered(
        [
          [`${prefix}gate_up_proj`, experts, inputs, 2 * out],
          [`${prefix}gate_up_proj_bias`, experts, 2 * out],
          [`${prefix}down_proj`, experts, out, inputs],
        ],
        dtype,
      );
      const path = fresh();
      await writeFile(path, sources);
      const parameters: WantedParameter[] = [
        { name: "layers.0.ffn.experts.gate.weight", dims: [experts, out, inputs] },
        { name: "layers.0.ffn.experts.up.weight", dims: [experts, out, inputs] },
        { name: "layers.0.ffn.experts.gate.bias", dims: [experts, out] },
        { name: "layers.0.ffn.experts.up.bias", dims: [experts, out] },
        { name: "layers.0.ffn.experts.down.weight", dims: [experts, inputs, out] },
      ];
      const before = await readTensors(path);
      const mine = await throughOurNames(path, "gpt_oss", parameters);
      expect(mine.after).toEqual(before);
      const width = dtype === "F32" ? 4 : 2;
      const first = (name: string) => Buffer.from(mine.ours.get(name)?.bytes ?? []).readUIntLE(0, width);
      expect(first("layers.0.ffn.experts.gate.weight")).toBe(1000);
      expect(first("layers.0.ffn.experts.up.weight")).toBe(1001);
      expect(first("layers.0.ffn.experts.up.bias")).toBe(2001);
    },
  );

  async function throughOurNames(path: string, family: Family, parameters: readonly WantedParameter[]) {
    const folder = join(scratch.path, `through-${numFiles++}`);
    const { mkdirSync, renameSync } = await import("node:fs");
    mkdirSync(folder);
    renameSync(path, join(folder, "model.safetensors"));
    const shards = await openWeightShards(nodeDisk, folder);
    const weights = await importWeights(shards, family, parameters, { scaleBlock: undefined });
    const [middle, end] = [fresh(), fresh()];
    await writeFile(middle, weights.tensors);
    await shards.close();
    const reader = await nodeDisk.openRead(middle);
    await writeFile(end, exportWeights(await openSafetensors(reader), middle, family, parameters));
    await reader.close();
    return { ours: await readTensors(middle), after: await readTensors(end) };
  }
});
