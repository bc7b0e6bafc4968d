// `mspec import` on checkpoints that transformers wrote and on generated ones: what the folder holds, and that the model
// in it computes what the checkpoint's does.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../runtime/model.ts";
import { bin, mspec, scratchFolder } from "../cli/run-mspec.ts";
import {
  encode,
  fixtureFolder,
  floatsOf,
  furthest,
  integersOf,
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
const fresh = (): string => join(scratch.path, `made-${numFolders++}`);

async function imported(folder: string): Promise<string> {
  const out = fresh();
  const { status, stderr } = await mspec(["import", folder, "-o", out]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return out;
}

async function withModel<T>(folder: string, work: (model: Model) => Promise<T>): Promise<T> {
  const model = await openImported(folder);
  try {
    return await work(model);
  } finally {
    await model.close();
  }
}

const names = ["llama_gqa_untied", "llama_tied_bf16", "stories260K"] as const;
const given = new Map<string, string>();
const made = new Map<string, string>();
beforeAll(async () => {
  for (const name of names) {
    given.set(name, fixtureFolder(name, scratch.path));
    made.set(name, await imported(given.get(name) ?? ""));
  }
});

describe.each(names)("%s", (name) => {
  const theirs = (file: string) => join(given.get(name) ?? "", file);
  const ours = (file: string) => join(made.get(name) ?? "", file);

  test("every tensor keeps its bytes and its format", async () => {
    const [before, after] = await Promise.all(
      [theirs("model.safetensors"), ours("model.safetensors")].map(readTensors),
    );
    expect(after.size).toBe(before.size);
    // The longest common end of two names says which they are: spelled out for one layer, counted for the rest.
    const pairs = [
      ["model.embed_tokens.weight", "embedding.weight"],
      ["model.layers.1.input_layernorm.weight", "layers.1.attention.norm.weight"],
      ["model.layers.1.self_attn.q_proj.weight", "layers.1.attention.q.weight"],
      ["model.layers.1.self_attn.k_proj.weight", "layers.1.attention.k.weight"],
      ["model.layers.1.self_attn.v_proj.weight", "layers.1.attention.v.weight"],
      ["model.layers.1.self_attn.o_proj.weight", "layers.1.attention.out.weight"],
      ["model.layers.1.post_attention_layernorm.weight", "layers.1.ffn.norm.weight"],
      ["model.layers.1.mlp.gate_proj.weight", "layers.1.ffn.gate.weight"],
      ["model.layers.1.mlp.up_proj.weight", "layers.1.ffn.up.weight"],
      ["model.layers.1.mlp.down_proj.weight", "layers.1.ffn.down.weight"],
      ["model.norm.weight", "final_norm.weight"],
    ];
    for (const [from, to] of pairs) expect(after.get(to), to).toEqual(before.get(from));
  });

  test("logits are PyTorch's within 2e-4", async () => {
    const reference = await readTensors(theirs("ref.safetensors"));
    const prompts = [...reference.keys()].filter((key) => key.startsWith("logits.")).map((key) => key.slice(7));
    expect(prompts.length).toBeGreaterThanOrEqual(2);
    await withModel(made.get(name) ?? "", async (model) => {
      for (const prompt of prompts) {
        const [tokens, logits] = [reference.get(`prompt.${prompt}`), reference.get(`logits.${prompt}`)];
        if (tokens === undefined || logits === undefined) throw new Error(`no prompt ${prompt}`);
        expect(furthest(await model.logits(integersOf(tokens)), floatsOf(logits))).toBeLessThan(2e-4);
      }
    });
  });

  test("the spec checks without a warning, and the other files are as they were", async () => {
    const { status, stderr } = await mspec(["check", ours("model.yaml")]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const file of readdirSync(made.get(name) ?? "").filter((file) => !file.startsWith("model."))) {
      expect(readFileSync(ours(file)).equals(readFileSync(theirs(file))), file).toBe(true);
    }
  });
});

test.each(["llama_gqa_untied", "llama_tied_bf16"])(
  "%s is the same model in the spelling of hub configs",
  async (name) => {
    const spec = async (spelling: "now" | "before") => {
      const folder =
        spelling === "now" ? (made.get(name) ?? "") : await imported(fixtureFolder(name, scratch.path, "before"));
      return readFileSync(join(folder, "model.yaml"), "utf8").replace(/ #.*|^name:.*|^#.*/gm, "");
    };
    expect(await spec("before")).toBe(await spec("now"));
  },
);

describe("stories260K, which was really trained", () => {
  const folder = () => made.get("stories260K") ?? "";

  test("generate tells the recorded stories, from the imported folder alone", async () => {
    const { prompts } = readJson(given.get("stories260K") ?? "", "ref.json");
    expect(prompts.length).toBe(5);
    for (const { text, greedy_text, greedy } of prompts) {
      const args = [
        "generate",
        folder(),
        "--temperature",
        "0",
        "--max-tokens",
        String(greedy.length),
        "--prompt",
        text,
      ];
      const { status, stdout } = await mspec(args);
      expect(status).toBe(0);
      // The recorded text is the new tokens' alone, and such tokenizers drop the space before a text's first word.
      const end = text === "" || /^[^\p{L}]/u.test(greedy_text) ? greedy_text : ` ${greedy_text}`;
      expect([`${text}${greedy_text}\n`, `${text}${end}\n`]).toContain(stdout);
    }
  });

  test("greedy tokens with the cache are the recorded ones", async () => {
    const { prompts } = readJson(given.get("stories260K") ?? "", "ref.json");
    await withModel(folder(), async (model) => {
      const requests = prompts.map(({ ids, greedy }: { ids: number[]; greedy: number[] }) => {
        return { prompt: ids, maxTokens: greedy.length, temperature: 0 };
      });
      const got = await model.generateAll(requests);
      expect(got.map(({ tokens }) => [...tokens])).toEqual(prompts.map(({ greedy }: { greedy: number[] }) => greedy));
    });
  });

  test("its perplexity on 1,804 tokens of stories is the recorded 3.5482 within 0.1 %", async () => {
    const texts: { ids: number[] }[] = readJson(given.get("stories260K") ?? "", "tokenizer_vectors.json").slice(0, 5);
    const { ppl_tinystories_sample: expected, ppl_tokens: count } = readJson(
      given.get("stories260K") ?? "",
      "ref.json",
    );
    await withModel(folder(), async (model) => {
      let [sum, tokens] = [0, 0];
      for (const { ids } of texts) {
        const logits = await model.logits(ids);
        for (let t = 0; t + 1 < ids.length; t++, tokens++) {
          const row = logits.subarray(t * 512, (t + 1) * 512);
          const most = row.reduce((a, b) => Math.max(a, b));
          sum += Math.log(row.reduce((total, value) => total + Math.exp(value - most), 0)) + most - row[ids[t + 1]];
        }
      }
      expect(tokens).toBe(count);
      expect(Math.abs(Math.exp(sum / tokens) / expected - 1)).toBeLessThan(1e-3);
    });
  });
});

const llama3 = { rope_type: "llama3", rope_theta: 5000, factor: 4, low_freq_factor: 1, high_freq_factor: 4 };
const cases: readonly (readonly [string, Partial<Sizes>, { dtype?: "F32" | "BF16" | "F16"; shards?: number }])[] = [
  ["plain", {}, {}],
  ["tied, one key-value head, in four files", { tie_word_embeddings: true, num_key_value_heads: 1 }, { shards: 4 }],
  ["heads that do not fill the width, bf16", { head_dim: 10, hidden_size: 28, rms_norm_eps: 1e-3 }, { dtype: "BF16" }],
  [
    "as many key-value heads, llama3, f16",
    { num_key_value_heads: 4, rope_parameters: { ...llama3, original_max_position_embeddings: 8 } },
    { dtype: "F16", shards: 2 },
  ],
  ["gelu", { hidden_act: "gelu", num_hidden_layers: 1 }, {}],
  ["gelu with tanh, three layers", { hidden_act: "gelu_pytorch_tanh", num_hidden_layers: 3 }, {}],
  ["relu, odd sizes", { hidden_act: "relu", vocab_size: 37, intermediate_size: 23 }, {}],
];

describe.each(cases)("a generated checkpoint: %s", (title, change, options) => {
  const sizes = { ...smallSizes, ...change };
  const tensors = randomTensors(sizes, title.length);
  const tokens = Array.from({ length: 21 }, (_, i) => (i * 11 + title.length) % sizes.vocab_size);

  test("has the logits of a Llama written plainly in double precision, and keeps its bytes", async () => {
    const folder = await writeCheckpoint(fresh(), sizes, tensors, options);
    const out = await imported(folder);
    const expected = plainLogits(sizes, tensors, tokens).flat();
    const got = await withModel(out, (model) => model.logits(tokens));
    expect(
      furthest(
        expected.map(Math.fround),
        expected.map(() => 0),
      ),
    ).toBeGreaterThan(0.5);
    expect(furthest(got, expected)).toBeLessThan(2e-4);
    const stored = (await readTensors(join(out, "model.safetensors"))).get("layers.0.ffn.down.weight");
    const { values, shape } = tensors.get("model.layers.0.mlp.down_proj.weight") ?? {
      values: new Float32Array(),
      shape: [],
    };
    const { dtype = "F32" } = options;
    expect(stored).toEqual({ dtype, shape, bytes: encode(values, dtype) });
  });
});

test("generated checkpoints have the logits that transformers computes", async ({ skip }) => {
  const why = whyNoTransformers();
  skip(why !== undefined, why);
  const requests: [string, number[]][] = [];
  for (const [title, change, options] of cases) {
    const sizes = { ...smallSizes, ...change };
    const folder = await writeCheckpoint(fresh(), sizes, randomTensors(sizes, 100 + title.length), options);
    requests.push([folder, Array.from({ length: 17 }, (_, i) => (i * 7 + title.length) % sizes.vocab_size)]);
  }
  const answers = transformersModels(requests);
  expect(answers.length).toBe(cases.length);
  for (const [i, [folder, tokens]] of requests.entries()) {
    expect(answers[i].problems).toEqual([]);
    const got = await withModel(await imported(folder), (model) => model.logits(tokens));
    expect(furthest(got, answers[i].logits), cases[i][0]).toBeLessThan(2e-4);
  }
});

test("where the disk refuses, the message says what and why, and nothing is left", () => {
  const parent = fresh();
  const args = [bin, "import", fixtureFolder("stories260K", parentOf(fresh())), "-o", join(parent, "deep", "out")];
  // 300 blocks of 512 bytes are less than the weights take.
  const command = `ulimit -f 300; exec "$0" "$@"`;
  const { status, stderr } = spawnSync("sh", ["-c", command, process.execPath, ...args], { encoding: "utf8" });
  expect({ status, isThere: existsSync(parent) }).toEqual({ status: 3, isThere: false });
  expect(stderr).toContain("the file would be larger than the system allows (EFBIG)");
});

const parentOf = (folder: string): string => {
  mkdirSync(folder);
  return folder;
};

test("a head that repeats the embedding of a tied model, and buffers of old checkpoints, are no tensors of their own", async () => {
  const sizes = { ...smallSizes, tie_word_embeddings: true };
  const tensors = new Map(randomTensors(sizes, 9));
  const embedding = tensors.get("model.embed_tokens.weight");
  if (embedding === undefined) throw new Error("there is an embedding");
  tensors.set("lm_head.weight", embedding);
  tensors.set("model.layers.0.self_attn.rotary_emb.inv_freq", { shape: [3], values: Float32Array.of(1, 2, 3) });
  const out = await imported(await writeCheckpoint(fresh(), sizes, tensors));
  const stored = await readTensors(join(out, "model.safetensors"));
  expect(stored.size).toBe(tensors.size - 2);
  expect(stored.has("head.weight")).toBe(false);
});

test("what the config leaves out is transformers' default, and the spec says so", async () => {
  const config = { max_position_embeddings: undefined, rms_norm_eps: null, rope_parameters: undefined, head_dim: null };
  const out = await imported(await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 3), { config }));
  const text = readFileSync(join(out, "model.yaml"), "utf8");
  for (const line of ["context: 2048", "eps: 1e-6", "theta: 10000"]) {
    expect(text).toContain(`${line} # left out in config.json: transformers' default`);
  }
  expect(text).toContain("head_dim: 6 # hidden_size / num_attention_heads");
});

test("an imported model trains on from its weights, compiles, and generates from what was compiled", async () => {
  const [out, texts] = [made.get("stories260K") ?? "", join(scratch.path, "stories.txt")];
  const { stdout: story } = await mspec(["generate", out, "--temperature", "0", "--max-tokens", "300"]);
  writeFileSync(texts, story.repeat(12));
  const small = ["--set", "train.steps=2", "--set", "train.sequence=32", "--set", "train.lr=0", "--data", texts];
  const run = fresh();
  const weights = join(out, "model.safetensors");
  const trained = await mspec(["train", join(out, "model.yaml"), "--weights", weights, "-o", run, ...small]);
  expect(trained.status).toBe(0);
  // Its own greedy text is what it expects most: from random weights the loss would be log(512) = 6.2.
  expect(Number(/last loss ([\d.]+)/.exec(trained.stdout)?.[1])).toBeLessThan(1.5);
  const compiled = fresh();
  expect((await mspec(["compile", join(out, "model.yaml"), "-o", compiled])).status).toBe(0);
  const args = ["--weights", weights, "--tokenizer", join(out, "tokenizer.json"), "--temperature", "0"];
  const { stdout } = await mspec(["generate", compiled, ...args, "--max-tokens", "300"]);
  expect(stdout).toBe(story);
  // A learning rate of 0 changes nothing, so the run tells the same story.
  expect((await mspec(["generate", run, "--temperature", "0", "--max-tokens", "300"])).stdout).toBe(story);
});

test("what a killed import left aside is removed by the next one; a living process keeps its own", async () => {
  const parent = fresh();
  // The highest number of a process on Linux is 2^22, so this one is of nobody.
  const [dead, living] = [`.mspec-${2 ** 22 + 1}-0123abcd`, `.mspec-${process.pid}-0123abcd`];
  for (const name of [dead, living]) mkdirSync(join(parent, name, "deep"), { recursive: true });
  const folder = await writeCheckpoint(fresh(), smallSizes, randomTensors(smallSizes, 2));
  expect((await mspec(["import", folder, "-o", join(parent, "out")])).status).toBe(0);
  expect(readdirSync(parent).toSorted()).toEqual([living, "out"].toSorted());
});

test("a process that is told to end leaves nothing aside", async () => {
  const parent = fresh();
  mkdirSync(parent);
  const sizes = {
    ...smallSizes,
    vocab_size: 60_000,
    hidden_size: 96,
    head_dim: 24,
    intermediate_size: 3000,
    num_hidden_layers: 12,
  };
  const folder = await writeCheckpoint(fresh(), sizes, randomTensors(sizes, 2));
  const child = spawn(process.execPath, [bin, "import", folder, "-o", join(parent, "out")], { stdio: "ignore" });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  while (child.exitCode === null && !readdirSync(parent).some((name) => name.startsWith(".mspec-"))) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  child.kill("SIGTERM");
  const code = await ended;
  expect([0, 143]).toContain(code);
  expect(readdirSync(parent)).toEqual(code === 0 ? ["out"] : []);
});
