// What `mspec import` refuses: each by its name, with the way out, exit code 2, and nothing left behind. Ids are rows of
// the catalogue of faults, see CONTRIBUTING.md.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mspec, type Ran, scratchFolder } from "../cli/run-mspec.ts";
import {
  fixtureFolder,
  randomTensors,
  readJson,
  type Sizes,
  smallSizes,
  sourcesOf,
  type Tensors,
  writeCheckpoint,
  writeFile,
} from "./checkpoints.ts";

const scratch = scratchFolder();
const tensors = randomTensors(smallSizes, 1);
afterAll(() => scratch.remove());

let numFolders = 0;
const fresh = (): string => join(scratch.path, `folder-${numFolders++}`);

/** Imports a folder that must be refused, and looks that nothing of the attempt is left. */
async function refused(folder: string): Promise<string> {
  const parent = fresh();
  const ran: Ran = await mspec(["import", folder, "-o", join(parent, "deep", "out")]);
  expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status: 2, stdout: "" });
  expect(existsSync(parent)).toBe(false);
  return ran.stderr;
}

const withConfig = (config: Readonly<Record<string, unknown>>): Promise<string> =>
  writeCheckpoint(fresh(), smallSizes, tensors, { config });

describe("C13: a config that mspec cannot say", () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
  test.each<[Readonly<Record<string, unknown>>, string]>([
    [{ model_type: "qwen2" }, '`model_type` is "qwen2", which mspec does not import'],
    [{ model_type: "__proto__" }, '`model_type` is "__proto__", which mspec does not import'],
    [{ model_type: "qwen3" }, '`architectures` is ["LlamaForCausalLM"]'],
    [{ model_type: undefined }, "config.json has no `model_type`"],
    [{ architectures: ["LlamaForSequenceClassification"] }, "`architectures` is"],
    [{ architectures: ["Trojan"] }, '`architectures` is ["Trojan"]'],
    [{ auto_map: { AutoModelForCausalLM: "modeling.Trojan" } }, "which mspec never runs"],
    [{ attention_bias: "yes" }, '`attention_bias` is "yes", which is not true or false'],
    [{ mlp_bias: 1 }, "`mlp_bias` is 1, which is not true or false"],
    [{ attention_dropout: 0.1 }, "`attention_dropout` is 0.1: mspec has no dropout"],
    [{ hidden_act: "laurel" }, '`hidden_act` is "laurel"'],
    [{ hidden_act: "__proto__" }, '`hidden_act` is "__proto__"'],
    [{ sliding_window: 16 }, "`sliding_window` is 16"],
    [{ layer_types: ["full_attention", "sliding_attention"] }, "`layer_types` is"],
    [{ quantization_config: { quant_method: "gptq", bits: 4 } }, "`quantization_config` is"],
    [{ partial_rotary_factor: 0.5 }, "`partial_rotary_factor` is 0.5"],
    [{ hidden_size: "24" }, '`hidden_size` is "24", which is not a whole number from 1'],
    [{ num_hidden_layers: 2.5 }, "`num_hidden_layers` is 2.5"],
    [{ num_hidden_layers: -1 }, "`num_hidden_layers` is -1"],
    [{ num_hidden_layers: 4096 }, "`num_hidden_layers` is 4096, which is not at most 1024 layers"],
    [{ vocab_size: 1e300 }, "`vocab_size` is 1e+300"],
    [{ num_key_value_heads: 3 }, "`num_key_value_heads` is 3, which is not a divisor of num_attention_heads, 4"],
    [{ head_dim: 7 }, "`head_dim` is 7, which is not an even number"],
    [{ head_dim: null, num_attention_heads: 5 }, "config.json has no `head_dim`"],
    [{ tie_word_embeddings: "false" }, '`tie_word_embeddings` is "false"'],
    [{ rms_norm_eps: 0 }, "`rms_norm_eps` is 0, which is not a number above 0"],
    [{ rope_parameters: { rope_type: "longrope", factor: 4 } }, '`rope_parameters.rope_type` is "longrope"'],
    [
      { rope_parameters: { rope_type: "yarn", factor: 4, mscale: 1 } },
      "`rope_parameters.mscale` is 1: rope of type yarn",
    ],
    [{ rope_parameters: { rope_type: "yarn", factor: 0.5 } }, "`rope_parameters.factor` is 0.5"],
    [{ rope_parameters: { rope_type: "yarn", factor: 4, beta_slow: 33 } }, "at least beta_slow, 33"],
    [{ rope_parameters: null, rope_scaling: { type: "linear", factor: 2 } }, '`rope_scaling.type` is "linear"'],
    [{ rope_parameters: { rope_type: "llama3", ...llama3, factor: undefined } }, "no `rope_parameters.factor`"],
    [{ rope_parameters: { rope_type: "llama3", ...llama3, factor: 0.5 } }, "`rope_parameters.factor` is 0.5"],
    [{ rope_parameters: { rope_type: "llama3", ...llama3, high_freq_factor: 1 } }, "above low_freq_factor, 1"],
    [{ rope_parameters: { rope_type: "default", mscale: 2 } }, "`rope_parameters.mscale` is 2"],
    [{ rope_parameters: [1] }, "`rope_parameters` is [1], which is not an object"],
    [{ rope_scaling: { rope_type: "default" } }, "`rope_parameters` is given, too"],
    [{ rope_theta: 5 }, "`rope_theta` is 5, but `rope_parameters.rope_theta` is 10000"],
  ])("%j", async (config, sentence) => {
    const stderr = await refused(await withConfig(config));
    expect(stderr).toContain(sentence);
    expect(stderr).toMatch(/^import\/[a-z-]+: /);
  });

  test("all that is wrong is told at once, each at its place", async () => {
    const stderr = await refused(await withConfig({ attention_dropout: 1, hidden_act: "laurel", vocab_size: "x" }));
    for (const key of ["attention_dropout", "hidden_act", "vocab_size"])
      expect(stderr).toContain(`| `.concat(`  "${key}":`));
    expect(stderr.match(/^import\//gm)?.length).toBe(3);
  });

  test.each(["", "null", "[]", "{", '{"model_type": NaN}'])("config.json is %j", async (text) => {
    const folder = await withConfig({});
    writeFileSync(join(folder, "config.json"), text);
    expect(await refused(folder)).toMatch(/^import\/config-not-json: |^file\//);
  });

  test("keys that nobody reads are named, and are no fault", async () => {
    const folder = await withConfig({ residual_multiplier: 0.2, some_flag: null });
    const { status, stderr } = await mspec(["import", folder, "-o", fresh()]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("`residual_multiplier`, which") });
    expect(stderr).not.toContain("some_flag");
  });
});

describe("C8: tensors that are not the model's", () => {
  const changed = (change: (tensors: Map<string, { shape: readonly number[]; values: Float32Array }>) => void) => {
    const copy = new Map(tensors);
    change(copy);
    return copy;
  };
  const folderOf = (other: Tensors, sizes: Sizes = smallSizes) => writeCheckpoint(fresh(), sizes, other);

  test("every difference is told, with the nearest name and a hint where a shape is transposed", async () => {
    const up = "model.layers.1.mlp.up_proj.weight";
    const down = "model.layers.1.mlp.down_proj.weight";
    const values = new Float32Array(24 * 36);
    const stderr = await refused(
      await folderOf(
        changed((map) => {
          map.set("model.layers.1.mlp.upp_proj.weight", { shape: [36, 24], values });
          map.delete(up);
          map.set(down, { shape: [36, 24], values });
          map.set("model.layers.2.mlp.up_proj.weight", { shape: [36, 24], values });
          map.set("model.norm.weight", { shape: [23], values: new Float32Array(23) });
        }),
      ),
    );
    expect(stderr).toMatch(/^import\/tensors-differ: /);
    expect(stderr).toContain(
      `${up} is missing; of what the file has besides, model.layers.1.mlp.upp_proj.weight is nearest`,
    );
    expect(stderr).toContain(`${down} has shape [36, 24], the model has [24, 36]: it is transposed`);
    expect(stderr).toContain("model.norm.weight has shape [23], the model has [24]");
    expect(stderr).toContain("model.layers.2.mlp.up_proj.weight is not a parameter of the model");
  });

  test("names that look like a layer's are not taken for one", async () => {
    const stderr = await refused(
      await folderOf(
        changed((map) => {
          for (const name of [
            "model.layers.01.mlp.up_proj.weight",
            "__proto__",
            "model.layers.-1.mlp.up_proj.weight",
          ]) {
            map.set(name, { shape: [1], values: new Float32Array(1) });
          }
        }),
      ),
    );
    expect(stderr.match(/is not a parameter of the model/g)?.length).toBe(3);
  });

  test("an untied model without a head says how to tie it", async () => {
    const stderr = await refused(await folderOf(changed((map) => map.delete("lm_head.weight"))));
    expect(stderr).toMatch(/^import\/head-missing: [\s\S]*set `tie_word_embeddings` to true/);
  });

  test("a tied model whose head is another one is refused, with the first element that differs", async () => {
    const stderr = await refused(
      await folderOf(
        changed((map) => {
          const embedding = map.get("model.embed_tokens.weight");
          if (embedding === undefined) throw new Error("there is an embedding");
          map.set("lm_head.weight", { ...embedding, values: embedding.values.with(77, 0.5 - embedding.values[77]) });
        }),
        { ...smallSizes, tie_word_embeddings: true },
      ),
    );
    expect(stderr).toMatch(/^import\/head-differs: [\s\S]*they differ first at element 77 of 960/);
  });

  test("C6: a format that is not read is named", async () => {
    const folder = await folderOf(tensors);
    const sources = sourcesOf(tensors).map((source) =>
      source.name === "model.norm.weight"
        ? { ...source, dtype: "F64" as const, read: () => new Uint8Array(24 * 8) }
        : source,
    );
    await writeFile(join(folder, "model.safetensors"), sources);
    expect(await refused(folder)).toContain("model.norm.weight is F64; weights are read from F32, BF16 and F16");
  });

  test.each(["F32", "BF16", "F16"] as const)(
    "C7: weights of %s that are not finite are counted, and the first is named",
    async (dtype) => {
      const folder = await folderOf(tensors);
      const words = { F32: [0x7fc00000, 0xff800000], BF16: [0x7fc0, 0xff80], F16: [0x7e00, 0xfc00] }[dtype];
      const sources = sourcesOf(tensors, dtype).map((source) => {
        if (source.name !== "model.layers.0.mlp.up_proj.weight") return source;
        const bytes = source.read() as Uint8Array;
        const values = dtype === "F32" ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
        [values[5], values[40]] = words;
        return { ...source, read: () => bytes };
      });
      await writeFile(join(folder, "model.safetensors"), sources);
      const stderr = await refused(folder);
      expect(stderr).toMatch(/^import\/non-finite-weights: /);
      expect(stderr).toContain('tensor "model.layers.0.mlp.up_proj.weight"');
      expect(stderr).toContain("2 values in all tensors, the first one here at element 5");
    },
  );
});

describe("files that are not what they are called", () => {
  const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4976698672\n";
  test.each<[string, Buffer, string]>([
    ["C12: a Git LFS pointer", bytes(pointer), "a Git LFS pointer to a file of 4976698672 bytes"],
    ["C12: GGUF", bytes(`GGUF\x03\0\0\0${"\0".repeat(64)}`), "a GGUF file"],
    ["C12: a zip of PyTorch", bytes(`PK\x03\x04${"\0".repeat(64)}`), "a zip archive"],
    ["C12: a pickle", bytes(`\x80\x02}q\x01${"\0".repeat(64)}`), "a Python pickle, which is a program and is not run"],
    ["C12: HTML", bytes("<!DOCTYPE html><html><body>404</body></html>"), "a web page"],
    ["C12: JSON", bytes('{"error": "Entry not found"}'), "JSON text"],
    ["C1: nothing", bytes(""), "too short for a header"],
    ["C1: 7 bytes", bytes("\0".repeat(7)), "too short for a header"],
    ["C1: a header longer than the file", bytes(`\xff\0\0\0\0\0\0\0{`), "the header ends past the end of the file"],
    ["C1: a header of 2^63 bytes", bytes("\0\0\0\0\0\0\0\x80{}"), "its header is too large"],
    ["C2: a header of an array", bytes("\x02\0\0\0\0\0\0\0[]"), "expected `{`"],
  ])("%s", async (_title, content, sentence) => {
    const folder = await withConfig({});
    writeFileSync(join(folder, "model.safetensors"), content);
    const stderr = await refused(folder);
    expect(stderr).toContain(sentence);
    expect(stderr).toContain("model.safetensors");
  });

  test.each(["C4: a byte missing", "C4: a byte too many"])("%s", async (title) => {
    const folder = await withConfig({});
    const path = join(folder, "model.safetensors");
    const whole = readFileSync(path);
    writeFileSync(path, title.endsWith("missing") ? whole.subarray(0, -1) : Buffer.concat([whole, Buffer.alloc(1)]));
    expect(await refused(folder)).toContain("the file is not as long as its header says");
  });

  test.each(["pytorch_model.bin", "model-Q4_K_M.gguf"])("a folder with %s alone says what it is for", async (name) => {
    const folder = await withConfig({});
    rmSync(join(folder, "model.safetensors"));
    writeFileSync(join(folder, name), "x");
    expect(await refused(folder)).toMatch(
      new RegExp(`^import/no-weights: [\\s\\S]*it holds ${name}[\\s\\S]*save_pretrained`),
    );
  });

  test("no weights, no config, no folder, a file instead of a folder", async () => {
    const folder = await withConfig({});
    const weights = join(folder, "model.safetensors");
    expect(await refused(weights)).toMatch(/^import\/no-folder: this is a file/);
    rmSync(weights);
    expect(await refused(folder)).toMatch(/^import\/no-weights: [\s\S]*fetch the weights/);
    rmSync(join(folder, "config.json"));
    expect(await refused(folder)).toMatch(/^import\/missing-file: the folder holds no config.json/);
    expect(await refused(join(folder, "absent"))).toMatch(/^import\/no-folder: the folder does not exist/);
    const gguf = join(folder, "x.gguf");
    writeFileSync(gguf, `GGUF${"\0".repeat(60)}`);
    expect(await refused(gguf)).toMatch(/^import\/not-safetensors: this is a GGUF file/);
  });
});

describe("C9: shards", () => {
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const sharded = () => writeCheckpoint(fresh(), smallSizes, tensors, { shards: 2 });
  const changeIndex = (folder: string, change: (map: Record<string, unknown>) => void): string => {
    const path = join(folder, "model.safetensors.index.json");
    const index = readJson(path);
    change(index.weight_map);
    writeFileSync(path, JSON.stringify(index));
    return folder;
  };
  const name = "model.embed_tokens.weight";

  test("a file that is missing, with a tensor of it", async () => {
    const folder = await sharded();
    rmSync(join(folder, second));
    expect(await refused(folder)).toMatch(
      new RegExp(`^import/missing-shard: [\\s\\S]*${second}[\\s\\S]*tensor "model\\.`),
    );
  });

  test.each([
    "../x.safetensors",
    "/etc/x.safetensors",
    "https://host/x.safetensors",
    "a\\x.safetensors",
    ".safetensors",
    7,
    null,
  ])("a file called %j is none beside the index", async (shard) => {
    const folder = changeIndex(await sharded(), (map) => {
      map[name] = shard;
    });
    const stderr = await refused(folder);
    expect(stderr).toMatch(/^import\/bad-index: /);
    expect(stderr).toContain(`tensor "${name}" lies in ${JSON.stringify(shard)}`);
  });

  test("a tensor in another file than the index says, in two, or in none", async () => {
    const moved = changeIndex(await sharded(), (map) => {
      map[name] = second;
    });
    const stderr = await refused(moved);
    expect(stderr).toContain(`${name} is not in ${second}, as the index says`);
    expect(stderr).toContain(`${name} of ${first} is not where the index says`);
    const doubled = await sharded();
    cpSync(join(doubled, first), join(doubled, second));
    expect(await refused(doubled)).toMatch(/^import\/shards-differ: /);
    const unlisted = changeIndex(await sharded(), (map) => {
      delete map[name];
    });
    expect(await refused(unlisted)).toContain(`${name} of ${first} is not where the index says`);
  });

  test.each(["", "[]", '{"weight_map": []}', '{"weight_map": {}}', "{}"])("an index of %j", async (text) => {
    const folder = await sharded();
    writeFileSync(join(folder, "model.safetensors.index.json"), text);
    expect(await refused(folder)).toMatch(/^import\/bad-index: /);
  });

  test("a pointer in place of one file names the file", async () => {
    const folder = await sharded();
    writeFileSync(join(folder, second), "version https://git-lfs.github.com/spec/v1\nsize 12\n");
    expect(await refused(folder)).toMatch(new RegExp(`^import/not-safetensors: [\\s\\S]*${second}`));
  });
});

describe("tokenizers and folders", () => {
  let stories: string;
  beforeAll(() => {
    stories = fixtureFolder("stories260K", scratch.path);
  });

  test("D11: a tokenizer with more tokens than the embedding has rows is refused with both numbers", async () => {
    const folder = await withConfig({});
    cpSync(join(stories, "tokenizer.json"), join(folder, "tokenizer.json"));
    const stderr = await refused(folder);
    expect(stderr).toMatch(/^model\/tokenizer-too-large: /);
    expect(stderr).toContain("the tokenizer has 512 tokens, the model 40");
  });

  test("D11: such a tokenizer is refused with both numbers when it is given to train or to generate with", async () => {
    const [folder, out, run] = [await withConfig({}), fresh(), fresh()];
    expect((await mspec(["import", folder, "-o", out])).status).toBe(0);
    const [spec, tokenizer, compiled] = [join(out, "model.yaml"), join(stories, "tokenizer.json"), fresh()];
    const texts = join(folder, "texts.txt");
    writeFileSync(texts, "Once upon a time. ".repeat(200));
    expect((await mspec(["compile", spec, "-o", compiled])).status).toBe(0);
    const weights = ["--weights", join(out, "model.safetensors")];
    for (const args of [
      ["train", spec, ...weights, "-o", run, "--data", texts, "--set", `data.tokenizer=${tokenizer}`],
      ["generate", out, "--tokenizer", tokenizer],
      ["generate", compiled, ...weights, "--tokenizer", tokenizer],
    ]) {
      const { status, stderr, stdout } = await mspec(args);
      expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
      expect(stderr).toMatch(/^model\/tokenizer-too-large: /);
      expect(stderr).toContain(tokenizer);
      expect(stderr).toContain("the tokenizer has 512 tokens, the model 40");
    }
    expect(existsSync(run)).toBe(false);
  });

  test.each([
    ["D1", "not JSON", "tokenizer/not-json"],
    ["D1", '{"model": {"type": "Unigram"}}', "tokenizer/unsupported-model"],
    ["D1", '{"model": {"type": "BPE"}}', "tokenizer/missing-field"],
  ])("%s: a tokenizer.json of %j", async (_row, text, code) => {
    const folder = await withConfig({});
    writeFileSync(join(folder, "tokenizer.json"), text);
    expect(await refused(folder)).toContain(code);
  });

  test("a folder that holds something is never written to; an empty one is", async () => {
    const [folder, out] = [await withConfig({}), fresh()];
    mkdirSync(out);
    expect((await mspec(["import", folder, "-o", out])).status).toBe(0);
    const before = readdirSync(out).toSorted();
    expect(before).toEqual(["config.json", "model.safetensors", "model.yaml"]);
    const again = await mspec(["import", folder, "-o", out]);
    expect(again.status).toBe(2);
    expect(again.stderr).toMatch(/^output\/not-empty: /);
    expect(readdirSync(out).toSorted()).toEqual(before);
  });

  test("a folder without a usable name gives a model a name all the same", async () => {
    const folder = await writeCheckpoint(join(fresh(), "7B_Ünïted 2.0"), smallSizes, tensors);
    const odd = await writeCheckpoint(join(fresh(), "42"), smallSizes, tensors);
    for (const [from, name] of [
      [folder, "b-united-2-0"],
      [odd, "imported-model"],
    ]) {
      const out = fresh();
      expect((await mspec(["import", from, "-o", out])).status).toBe(0);
      expect(readFileSync(join(out, "model.yaml"), "utf8")).toContain(`\nname: ${name}\n`);
    }
  });
});
