// Weights of experts, of FP8 and of further predictions that are not what config.json says: each fault by its tensor, before
// or while nothing is written. Ids are rows of the catalogue of faults, see CONTRIBUTING.md.

import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { exportWeights } from "../../runtime/files/export-weights.ts";
import type { Family, WantedParameter } from "../../runtime/files/hugging-face.ts";
import { importWeights } from "../../runtime/files/import-weights.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import { openSafetensors } from "../../runtime/files/safetensors.ts";
import { type TensorSource, writeSafetensors } from "../../runtime/files/safetensors-writer.ts";
import { openWeightShards } from "../../runtime/files/weight-shards.ts";
import { mspec, scratchFolder } from "../cli/run-mspec.ts";
import { fixtureFolder, readJson, readTensors, type Stored, writeFile } from "./checkpoints.ts";
import { type Config, parametersOfConfig } from "./family-parameters.ts";

const scratch = scratchFolder();
afterAll(() => scratch.remove());

let numFolders = 0;
function fresh(): string {
  const folder = join(scratch.path, `folder-${numFolders++}`);
  mkdirSync(folder);
  return folder;
}

type Tensors = Map<string, Stored>;

/** A fixture of which `change` changed tensors or the config. */
async function changed(
  name: string,
  change: (tensors: Tensors, config: Record<string, unknown>) => void,
): Promise<{ readonly folder: string; readonly config: Config }> {
  const from = fixtureFolder(name, fresh());
  const config = readJson(from, "config.json");
  const tensors = await readTensors(join(from, "model.safetensors"));
  change(tensors, config);
  const folder = fresh();
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  await writeFile(join(folder, "model.safetensors"), sourcesOf(tensors));
  return { folder, config };
}

const sourcesOf = (tensors: Tensors): TensorSource[] =>
  [...tensors].map(([name, { dtype, shape, bytes }]) => ({ name, dtype, shape, read: () => bytes }));

interface Read {
  readonly leftOut: readonly string[];
  readonly largestPiece: number;
  readonly written: number;
}

/** Imports all tensors and writes them nowhere. */
async function read(folder: string, config: Config, parameters = parametersOfConfig(config)): Promise<Read> {
  const scaleBlock = (config.quantization_config as { weight_block_size?: [number, number] } | undefined)
    ?.weight_block_size;
  const shards = await openWeightShards(nodeDisk, folder);
  try {
    const weights = await importWeights(shards, config.model_type as Family, parameters, { scaleBlock });
    let [largestPiece, written] = [0, 0];
    await writeSafetensors(weights.tensors, {}, async (bytes) => {
      largestPiece = Math.max(largestPiece, bytes.length);
      written += bytes.length;
    });
    weights.checkFinite();
    return { leftOut: weights.leftOut, largestPiece, written };
  } finally {
    await shards.close();
  }
}

async function faultOf(name: string, change: (tensors: Tensors, config: Record<string, unknown>) => void) {
  const { folder, config } = await changed(name, change);
  const fault = await read(folder, config).then(
    () => ({ code: "none", message: "" }),
    (error: Error & { code?: string; at?: string; details?: readonly string[]; help?: string }) => ({
      code: error.code ?? error.name,
      message: [error.message, error.at, ...(error.details ?? []), error.help].join("\n"),
    }),
  );
  return fault;
}

const put = (tensors: Tensors, name: string, part: Partial<Stored>): void => {
  const before = tensors.get(name);
  if (before === undefined) throw new Error(`there is no ${name}`);
  tensors.set(name, { ...before, ...part });
};

describe("C8: experts", () => {
  const expert = "model.layers.1.mlp.experts.5.up_proj.weight";

  test.each<[string, string, (tensors: Tensors, config: Record<string, unknown>) => void, string]>([
    ["deepseek_v3_noqlora_ragged", "one is missing", (tensors) => tensors.delete(expert), `${expert} is missing`],
    [
      "deepseek_v3_noqlora_ragged",
      "there are more than the config says",
      (_tensors, config) => {
        config.n_routed_experts = 5;
      },
      `${expert} is not a parameter of the model`,
    ],
    [
      "deepseek_v3_noqlora_ragged",
      "one is transposed",
      (tensors) => put(tensors, expert, { shape: [100, 36] }),
      `${expert} has shape [100, 36], the model has [36, 100]: it is transposed`,
    ],
    [
      "gpt_oss",
      "the fused one is not transposed",
      (tensors) => put(tensors, "model.layers.0.mlp.experts.gate_up_proj", { shape: [4, 128, 64] }),
      "model.layers.0.mlp.experts.gate_up_proj has shape [4, 128, 64], the model has [4, 64, 128]",
    ],
    [
      "mixtral",
      "the names are those of another family",
      (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(name.replace("block_sparse_moe", "mlp"), tensor);
        }
      },
      "model.layers.0.block_sparse_moe.gate.weight is missing; of what the file has besides, model.layers.0.mlp.gate.weight",
    ],
  ])("%s: %s", async (name, _title, change, sentence) => {
    const { code, message } = await faultOf(name, change);
    expect(code).toBe("import/tensors-differ");
    expect(message).toContain(sentence);
  });

  test("formats that differ within one stack are refused, both named", async () => {
    const first = "model.layers.1.mlp.experts.0.up_proj.weight";
    const { code, message } = await faultOf("deepseek_v3_noqlora_ragged", (tensors) => {
      const { bytes = new Uint8Array() } = tensors.get(expert) ?? {};
      put(tensors, expert, { dtype: "BF16", bytes: bytes.slice(0, bytes.length / 2) });
    });
    expect(code).toBe("import/mixed-formats");
    expect(message).toContain(`${first} is F32, ${expert} is BF16`);
  });

  test("C7: what is not finite is named by their tensor and its own element, in turned tensors, too", async () => {
    const name = "model.layers.1.mlp.experts.gate_up_proj";
    const { code, message } = await faultOf("gpt_oss", (tensors) => {
      const { bytes = new Uint8Array() } = tensors.get(name) ?? {};
      const values = new Float32Array(bytes.slice().buffer);
      values[2 * 64 * 128 + 3 * 128 + 9] = Number.NaN;
      values[5] = Number.NEGATIVE_INFINITY;
      put(tensors, name, { bytes: new Uint8Array(values.buffer) });
    });
    expect(code).toBe("import/non-finite-weights");
    expect(message).toContain(`tensor "${name}"`);
    expect(message).toMatch(/2 values in all tensors, the first one here at element (5|16777)\b/);
  });
});

describe("FP8", () => {
  const weight = "model.layers.1.mlp.experts.2.down_proj.weight";
  const scales = `${weight}_scale_inv`;
  const scaleBytes = (...values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);

  test.each<[string, (tensors: Tensors, config: Record<string, unknown>) => void, string, string]>([
    [
      "its scales are missing",
      (tensors) => tensors.delete(scales),
      "import/tensors-differ",
      `${weight} is F8_E4M3, and its ${scales} is missing`,
    ],
    [
      "C7: the scales are of other blocks",
      (tensors) => put(tensors, scales, { shape: [1, 1], bytes: scaleBytes(1) }),
      "import/tensors-differ",
      `${scales} is F32 [1, 1], and the blocks of ${weight} need F32 [2, 1]`,
    ],
    [
      "the scales are transposed",
      (tensors) => put(tensors, scales, { shape: [1, 2] }),
      "import/tensors-differ",
      `${scales} is F32 [1, 2], and the blocks of ${weight} need F32 [2, 1]`,
    ],
    [
      "the scales are in another format",
      (tensors) => put(tensors, scales, { dtype: "BF16", bytes: new Uint8Array(4) }),
      "import/tensors-differ",
      `${scales} is BF16 [2, 1]`,
    ],
    [
      "scales of a weight that is none in FP8",
      (tensors) => tensors.set("lm_head.weight_scale_inv", { dtype: "F32", shape: [1], bytes: scaleBytes(1) }),
      "import/tensors-differ",
      "lm_head.weight_scale_inv is not a parameter of the model",
    ],
    [
      "config.json knows nothing of it",
      (_tensors, config) => {
        config.quantization_config = undefined;
      },
      "import/tensors-differ",
      `${weight.replace("experts.2", "experts.0")} is F8_E4M3; weights are read from F32, BF16 and F16`,
    ],
  ])("%s", async (_title, change, expected, sentence) => {
    const { code, message } = await faultOf("deepseek_v3_fp8", (tensors, config) => {
      // The list of differences is cut, so the fewer the better.
      if (expected === "import/tensors-differ" && sentence.includes("weights are read from")) {
        for (const [name, { dtype }] of [...tensors]) {
          if (dtype !== "F8_E4M3" || name === weight.replace("experts.2", "experts.0")) continue;
          const { shape = [] } = tensors.get(name) ?? {};
          const length = shape.reduce((count, size) => count * size, 1);
          tensors.set(name, { dtype: "F32", shape, bytes: new Uint8Array(length * 4) });
        }
      }
      change(tensors, config);
    });
    expect(code).toBe(expected);
    expect(message).toContain(sentence);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    "C7: a scale of %d is named with its tensor",
    async (value) => {
      const { code, message } = await faultOf("deepseek_v3_fp8", (tensors) =>
        put(tensors, scales, { bytes: scaleBytes(1, value) }),
      );
      expect(code).toBe("import/bad-scale");
      expect(message).toContain(`tensor "${scales}"`);
      expect(message).toContain(`element 1 is ${value}`);
    },
  );

  test.each([0x7f, 0xff])("C7: the code 0x%s, which is NaN, is counted", async (code) => {
    const fault = await faultOf("deepseek_v3_fp8", (tensors) => {
      const bytes = (tensors.get(weight)?.bytes ?? new Uint8Array()).slice();
      // Row 200 of 256 lies in the second band of blocks.
      bytes[200 * 128 + 77] = code;
      put(tensors, weight, { bytes });
    });
    expect(fault.code).toBe("import/non-finite-weights");
    expect(fault.message).toContain(`tensor "${weight}"`);
    expect(fault.message).toContain("1 values in all tensors, the first one here at element 25677");
  });
});

describe("modules that predict further tokens", () => {
  const head = "model.layers.2.shared_head.head.weight";

  test.each(["model.layers.2.embed_tokens.weight", head])("%s must be the model's own", async (name) => {
    const { code, message } = await faultOf("deepseek_v3_mtp", (tensors) => {
      const bytes = (tensors.get(name)?.bytes ?? new Uint8Array()).slice();
      bytes[4 * 77] ^= 1;
      put(tensors, name, { bytes });
    });
    expect(code).toBe("import/head-differs");
    expect(message).toContain(
      `${name} should repeat ${name === head ? "lm_head.weight" : "model.embed_tokens.weight"}`,
    );
    expect(message).toContain("they differ first at element 77 of 73728");
  });

  test("without the repeated tensors the module is as good", async () => {
    const { folder, config } = await changed("deepseek_v3_mtp", (tensors) => {
      tensors.delete("model.layers.2.embed_tokens.weight");
      tensors.delete(head);
    });
    expect((await read(folder, config)).leftOut).toEqual([]);
  });

  test("a config without them leaves the module out, and says which tensors", async () => {
    const { folder, config } = await changed("deepseek_v3_mtp", (_tensors, values) => {
      values.num_nextn_predict_layers = 0;
    });
    const { leftOut } = await read(folder, config);
    // Six of its own, eight of latent attention and its norm, experts, shared ones, router and norm.
    expect(leftOut.length).toBe(6 + 8 + 8 * 3 + 3 + 2 + 1);
    expect(leftOut.every((name) => name.startsWith("model.layers.2."))).toBe(true);
  });

  test("a config with them and a file without is refused, with each tensor", async () => {
    const { code, message } = await faultOf("deepseek_v3_mtp", (tensors) => {
      for (const name of [...tensors.keys()]) if (name.startsWith("model.layers.2.")) tensors.delete(name);
    });
    expect(code).toBe("import/tensors-differ");
    expect(message).toContain("model.layers.2.enorm.weight is missing");
  });

  test("as transformers saves models, with the key and without any tensor of the module, one is imported without it", async () => {
    const { folder } = await changed("deepseek_v3_mtp", (tensors) => {
      for (const name of [...tensors.keys()]) if (name.startsWith("model.layers.2.")) tensors.delete(name);
    });
    const out = join(fresh(), "made");
    const { status, stderr } = await mspec(["import", folder, "-o", out]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("predicts the next token only") });
    const names = [...(await readTensors(join(out, "model.safetensors"))).keys()];
    expect(names).toContain("layers.1.ffn.router.weight");
    expect(names.filter((name) => name.startsWith("mtp."))).toEqual([]);
  });

  test("one tensor of the module is enough for the others to be missed", async () => {
    const { folder } = await changed("deepseek_v3_mtp", (tensors) => {
      for (const name of [...tensors.keys()]) {
        if (name.startsWith("model.layers.2.") && !name.endsWith(".enorm.weight")) tensors.delete(name);
      }
    });
    const { status, stderr } = await mspec(["import", folder, "-o", join(fresh(), "made")]);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringContaining("model.layers.2.hnorm.weight is missing"),
    });
  });
});

test("the shared block of a model without shared experts, which transformers saves without elements, is passed over", async () => {
  const layer = "model.layers.1.mlp.shared_experts";
  const { folder, config } = await changed("deepseek_v3_noqlora_ragged", (tensors, values) => {
    const width = Number(values.hidden_size);
    values.n_shared_experts = 0;
    const empty = (shape: readonly number[]): Stored => ({ dtype: "F32", shape, bytes: new Uint8Array() });
    for (const name of [...tensors.keys()]) {
      if (name.includes(".shared_experts.")) tensors.set(name, empty(name.includes("down") ? [width, 0] : [0, width]));
    }
    expect(tensors.get(`${layer}.up_proj.weight`)?.shape).toEqual([0, width]);
  });
  expect((await read(folder, config)).leftOut).toEqual([]);
});

describe("C10: large files", () => {
  test("a tensor past 4 GiB of others is read where it lies, in pieces of at most 4 MiB", async () => {
    const folder = fresh();
    const [out, width, experts] = [4096, 6400, 43];
    const bytes = 4 * out * width;
    const total = experts * bytes;
    expect(total - bytes).toBeGreaterThan(2 ** 32);
    const entries = Array.from({ length: experts }, (_, i) => {
      const name = `model.layers.${i}.mlp.experts.0.up_proj.weight`;
      return `"${name}":{"dtype":"F32","shape":[${out},${width}],"data_offsets":[${i * bytes},${(i + 1) * bytes}]}`;
    });
    const json = `{${entries.join(",")}}`.padEnd(8192, " ");
    const header = Buffer.alloc(8 + json.length);
    header.writeBigUInt64LE(BigInt(json.length));
    header.write(json, 8);
    // A file of holes takes no room on the disk.
    const file = openSync(join(folder, "model.safetensors"), "w");
    writeSync(file, header);
    ftruncateSync(file, header.length + total);
    writeSync(file, Float32Array.of(1.5), 0, 4, header.length + total - 4);
    closeSync(file);
    const parameters: WantedParameter[] = Array.from({ length: experts }, (_, i) => ({
      name: `layers.${i}.ffn.experts.up.weight`,
      dims: [1, out, width],
    }));
    const shards = await openWeightShards(nodeDisk, folder);
    try {
      const { tensors } = await importWeights(shards, "qwen3_moe", parameters, { scaleBlock: undefined });
      let [largest, sum, last] = [0, 0, new Uint8Array(4)];
      const source = tensors[experts - 1].read();
      if (!(Symbol.asyncIterator in source)) throw new Error("it is given out in pieces");
      for await (const piece of source) {
        largest = Math.max(largest, piece.length);
        sum += piece.length;
        last = piece.slice(-4);
      }
      expect(sum).toBe(bytes);
      expect(largest).toBeLessThanOrEqual(4 << 20);
      expect(new Float32Array(last.buffer)[0]).toBe(1.5);
    } finally {
      await shards.close();
    }
  });

  test("a file of 5 GiB is written piece by piece, its header says so", async () => {
    const piece = new Uint8Array(1 << 24);
    const count = 320;
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < count; i++) yield piece;
    }
    const sources = [
      { name: "b", dtype: "F32", shape: [320, 1 << 22], read: pieces },
      { name: "c", dtype: "F32", shape: [1], read: () => new Uint8Array(4) },
    ] as const;
    let [header, sum] = ["", 0];
    await writeSafetensors(sources, {}, async (bytes) => {
      if (sum === 0) header = new TextDecoder().decode(bytes.subarray(8));
      sum += bytes.length;
    });
    const total = count * piece.length;
    expect(total).toBeGreaterThan(2 ** 32);
    expect(JSON.parse(header).c.data_offsets).toEqual([total, total + 4]);
    expect(sum).toBe(8 + header.length + total + 4);
  });

  test("a hundred thousand tensors of experts are matched within seconds", async () => {
    const [folder, layers, experts] = [fresh(), 130, 256];
    const rows = Array.from({ length: layers * experts * 3 }, (_, i) => {
      const part = ["gate", "up", "down"][i % 3];
      const [layer, expert] = [Math.floor(i / 3 / experts), Math.floor(i / 3) % experts];
      return `model.layers.${layer}.mlp.experts.${expert}.${part}_proj.weight`;
    });
    const sources = rows.map((name) => ({ name, dtype: "F32", shape: [1, 1], read: () => new Uint8Array(4) }) as const);
    await writeFile(join(folder, "model.safetensors"), sources);
    const parameters = Array.from({ length: layers }, (_, i) =>
      ["gate", "up", "down"].map((part) => ({ name: `layers.${i}.ffn.experts.${part}.weight`, dims: [experts, 1, 1] })),
    ).flat();
    const start = performance.now();
    const shards = await openWeightShards(nodeDisk, folder);
    const weights = await importWeights(shards, "qwen3_moe", parameters, { scaleBlock: [128, 128] });
    expect(weights.tensors.length).toBe(3 * layers);
    expect(performance.now() - start).toBeLessThan(20000);
    await shards.close();
  }, 60000);
});

describe("exports", () => {
  test("a parameter that the family does not have, and formats that cannot lie in one tensor, are refused", async () => {
    const folder = fresh();
    const path = join(folder, "model.safetensors");
    const bytes = (count: number) => () => new Uint8Array(count);
    await writeFile(path, [
      { name: "layers.0.ffn.experts.gate.bias", dtype: "F32", shape: [2, 3], read: bytes(24) },
      { name: "layers.0.ffn.experts.up.bias", dtype: "BF16", shape: [2, 3], read: bytes(12) },
    ]);
    const reader = await nodeDisk.openRead(path);
    try {
      const file = await openSafetensors(reader);
      const parameters = ["gate", "up"].map((part) => ({ name: `layers.0.ffn.experts.${part}.bias`, dims: [2, 3] }));
      expect(() => exportWeights(file, path, "gpt_oss", parameters)).toThrow(/different number formats/);
      expect(() => exportWeights(file, path, "olmoe", parameters)).toThrow(/olmoe has no parameter like layers.0.ffn/);
    } finally {
      await reader.close();
    }
  });
});

test("shards swapped between two models are told by their tensors", async () => {
  const folder = fixtureFolder("qwen3_moe", fresh());
  const [a, b] = ["model-00001-of-00006.safetensors", "model-00002-of-00006.safetensors"].map((name) =>
    join(folder, name),
  );
  const [first, second] = await Promise.all([a, b].map((path) => readTensors(path)));
  await writeFile(a, sourcesOf(second));
  await writeFile(b, sourcesOf(first));
  await expect(openWeightShards(nodeDisk, folder)).rejects.toThrow(/do not belong together/);
});

test("C9: a total_size that is not the files' is told, and the weights are read", async () => {
  const folder = fixtureFolder("qwen3_moe", fresh());
  const path = join(folder, "model.safetensors.index.json");
  const open = async () => {
    const shards = await openWeightShards(nodeDisk, folder);
    await shards.close();
    return shards.warning;
  };
  expect(await open()).toBeUndefined();
  const index = readJson(path);
  writeFileSync(path, JSON.stringify({ ...index, metadata: { total_size: 7 } }));
  expect(await open()).toMatch(/total_size of 7 bytes, and the tensors of its files have \d{7}/);
});
