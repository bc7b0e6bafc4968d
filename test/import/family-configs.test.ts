// config.json of every family: the spec that it becomes in both spellings, what is refused, and the config that an export of
// the spec has. Published configs are as their makers wrote them.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { SourceText } from "../../compiler/source/text.ts";
import { specTextFromConfig } from "../../compiler/spec/from-config.ts";
import { readSpec } from "../../compiler/spec/read.ts";
import { readConfig } from "../../compiler/spec/read-config.ts";
import type { MlaSpec, MoeSpec, Spec } from "../../compiler/spec/spec.ts";
import { configText } from "../../compiler/spec/to-config.ts";

type Config = Readonly<Record<string, unknown>>;
const fixtures = new URL("../fixtures/", import.meta.url).pathname;
const names = readdirSync(fixtures).filter((name) => name !== "stories260K");
const fixture = (name: string, file = "config.json"): Config =>
  JSON.parse(readFileSync(join(fixtures, name, file), "utf8"));

function problemsOf(config: Config): string[] {
  const diagnostics = new Diagnostics();
  readConfig(new SourceText("config.json", JSON.stringify(config, undefined, 1)), diagnostics);
  return diagnostics.all.map(({ claim }) => claim);
}

function textOf(config: Config): string {
  const diagnostics = new Diagnostics();
  const read = readConfig(new SourceText("config.json", JSON.stringify(config)), diagnostics);
  if (read === undefined) throw new Error(diagnostics.all.map(({ claim }) => claim).join("\n"));
  expect(read.unread).toEqual([]);
  return specTextFromConfig(read.facts, { name: "imported", hasTokenizer: false });
}

function specOf(text: string): Spec {
  const { spec, diagnostics } = readSpec(new SourceText("model.yaml", text));
  expect(diagnostics).toEqual([]);
  if (spec === undefined) throw new Error("a spec without faults is a spec");
  return spec;
}

/** The model's part, without comments. */
const modelText = (text: string): string =>
  text
    .replace(/ #.*/g, "")
    .split("\n")
    .filter((line) => line.startsWith("  "))
    .join("\n")
    .split("  sequence:")[0];

/** The config that an export of a spec has. */
function exported(spec: Spec, kept: Config): Config {
  const diagnostics = new Diagnostics();
  const written = configText(spec, { dtype: "float32", bos: null, eos: null, kept }, diagnostics);
  if (written === undefined) throw new Error(diagnostics.all.map(({ claim }) => claim).join("\n"));
  return JSON.parse(written.text);
}

test("there are fixtures of every family", () => {
  const types = new Set(names.map((name) => fixture(name).model_type));
  expect(types.size).toBe(8);
  expect(names.length).toBe(13);
});

describe.each(names)("%s", (name) => {
  test("both spellings say one model, which the spec's reader takes without a word", () => {
    const [now, before] = ["config.json", "config.hub-v4.json"].map((file) => textOf(fixture(name, file)));
    expect(modelText(before)).toBe(modelText(now));
    expect(specOf(now).model.layers.length).toBe(fixture(name).num_hidden_layers);
    // Every number of the model tells where it is from.
    const [body] = now.split("train:");
    const unsaid = body.split("\n").filter((line) => /: (\d|true|false)/.test(line) && !line.includes(" # "));
    expect(unsaid).toEqual(["mspec: 1"]);
  });

  test("an export has the keys and values of the config again", () => {
    const config = fixture(name);
    const again = exported(specOf(textOf(config)), config);
    const { quantization_config: _stored, dtype: _dtype, head_dim: dim, ...known } = config;
    expect(again).toMatchObject(known);
    expect(Object.keys(again).toSorted()).toEqual(
      Object.keys(config)
        .filter((key) => key !== "quantization_config")
        .toSorted(),
    );
    if (dim !== null) expect(again.head_dim).toBe(dim);
  });

  test("a run of the same model, which knows no config, is exported as the same type", () => {
    const { model_type: type } = fixture(name);
    expect(exported(specOf(textOf(fixture(name))), {}).model_type).toBe(type);
  });
});

const deepseekV3: Config = {
  architectures: ["DeepseekV3ForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  auto_map: {
    AutoConfig: "configuration_deepseek.DeepseekV3Config",
    AutoModel: "modeling_deepseek.DeepseekV3Model",
    AutoModelForCausalLM: "modeling_deepseek.DeepseekV3ForCausalLM",
  },
  bos_token_id: 0,
  eos_token_id: 1,
  ep_size: 1,
  first_k_dense_replace: 3,
  hidden_act: "silu",
  hidden_size: 7168,
  initializer_range: 0.02,
  intermediate_size: 18432,
  kv_lora_rank: 512,
  max_position_embeddings: 163840,
  model_type: "deepseek_v3",
  moe_intermediate_size: 2048,
  moe_layer_freq: 1,
  n_group: 8,
  n_routed_experts: 256,
  n_shared_experts: 1,
  norm_topk_prob: true,
  num_attention_heads: 128,
  num_experts_per_tok: 8,
  num_hidden_layers: 61,
  num_key_value_heads: 128,
  num_nextn_predict_layers: 1,
  q_lora_rank: 1536,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  quantization_config: {
    activation_scheme: "dynamic",
    fmt: "e4m3",
    quant_method: "fp8",
    weight_block_size: [128, 128],
  },
  rms_norm_eps: 1e-6,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 40,
    mscale: 1.0,
    mscale_all_dim: 1.0,
    original_max_position_embeddings: 4096,
    type: "yarn",
  },
  rope_theta: 10000,
  routed_scaling_factor: 2.5,
  scoring_func: "sigmoid",
  tie_word_embeddings: false,
  topk_group: 4,
  topk_method: "noaux_tc",
  torch_dtype: "bfloat16",
  transformers_version: "4.33.1",
  use_cache: true,
  v_head_dim: 128,
  vocab_size: 129280,
};

describe("published models", () => {
  test("DeepSeek-V3 as it is on the hub", () => {
    const spec = specOf(textOf(deepseekV3));
    const { model } = spec;
    const { attention, ffn } = model.layers[3];
    expect(model.layers.map((layer) => layer.ffn.kind)).toEqual([
      ...["dense", "dense", "dense"],
      ...Array.from({ length: 58 }, () => "moe"),
    ]);
    expect(attention).toMatchObject<Partial<MlaSpec>>({
      kind: "mla",
      ...{ heads: 128, qRank: 1536, kvRank: 512, nopeDim: 128, ropeDim: 64, valueDim: 128, normEps: 1e-6 },
    });
    expect(attention.rope).toMatchObject({
      theta: 10000,
      layout: "interleaved",
      yarn: { factor: 40, original: 4096, betaFast: 32, betaSlow: 1, truncate: true, mscale: 1, mscaleAllDim: 1 },
    });
    expect(ffn).toMatchObject<Partial<MoeSpec>>({
      experts: 256,
      topK: 8,
      intermediate: 2048,
      sharedIntermediate: 2048,
    });
    expect((ffn as MoeSpec).router).toMatchObject({
      groups: { count: 8, keep: 4, score: "top2_sum" },
      ...{ normalize: true, scale: 2.5, bias: false, hasChoiceBias: true, losses: {} },
    });
    expect(model.mtp).toMatchObject({ depth: 1, concat: ["embedding", "hidden"] });
    const again = exported(spec, deepseekV3);
    expect(again).toMatchObject({ topk_method: "noaux_tc", num_nextn_predict_layers: 1, rope_interleave: true });
    for (const key of ["auto_map", "quantization_config", "rope_scaling", "torch_dtype"]) {
      expect(again).not.toHaveProperty(key);
    }
  });

  test("Kimi K2 is a DeepSeek-V3 of one group, and is exported as such", () => {
    const kimi = {
      ...deepseekV3,
      ...{ model_type: "kimi_k2", n_group: 1, topk_group: 1, n_routed_experts: 384, num_attention_heads: 64 },
      ...{ num_key_value_heads: 64, first_k_dense_replace: 1, routed_scaling_factor: 2.827, rope_theta: 50000.0 },
      rope_scaling: { ...(deepseekV3.rope_scaling as Config), beta_fast: 1.0, beta_slow: 1.0, factor: 32.0 },
      ...{ num_nextn_predict_layers: 0, vocab_size: 163840, aux_loss_alpha: 0.001, seq_aux: true },
    };
    const spec = specOf(textOf(kimi));
    expect((spec.model.layers[1].ffn as MoeSpec).router.groups).toBeUndefined();
    expect(spec.model.mtp).toBeUndefined();
    expect(exported(spec, kimi).model_type).toBe("deepseek_v3");
  });

  test("DeepSeek-V2 has groups by their best expert, V2-Lite none", () => {
    const { quantization_config: _none, num_nextn_predict_layers: _mtp, ...common } = deepseekV3;
    const v2 = {
      ...common,
      architectures: ["DeepseekV2ForCausalLM"],
      auto_map: { AutoModelForCausalLM: "modeling_deepseek.DeepseekV2ForCausalLM" },
      ...{ model_type: "deepseek_v2", scoring_func: "softmax", topk_method: "group_limited_greedy", n_group: 8 },
      ...{ topk_group: 3, norm_topk_prob: false, routed_scaling_factor: 16.0, n_shared_experts: 2, hidden_size: 5120 },
    };
    const { router, sharedIntermediate } = specOf(textOf(v2)).model.layers[5].ffn as MoeSpec;
    expect(router).toMatchObject({ groups: { count: 8, keep: 3, score: "max" }, scale: 16, hasChoiceBias: false });
    expect(sharedIntermediate).toBe(2 * 2048);
    const lite = { ...v2, topk_method: "greedy", n_group: 1, topk_group: 1, q_lora_rank: null };
    const { attention, ffn } = specOf(textOf(lite)).model.layers[5];
    expect((attention as MlaSpec).qRank).toBeUndefined();
    expect((ffn as MoeSpec).router.groups).toBeUndefined();
  });

  test("gpt-oss's windows are in every other layer, whether it names its layers or not", () => {
    const tiny = fixture("gpt_oss");
    const layer_types = Array.from({ length: 7 }, (_, i) => (i % 2 === 0 ? "sliding_attention" : "full_attention"));
    const named = {
      ...tiny,
      num_hidden_layers: 7,
      layer_types,
      swiglu_limit: 7.0,
      experts_per_token: 2,
      initial_context_length: 64,
    };
    for (const config of [named, { ...named, layer_types: undefined }]) {
      const text = textOf(config);
      expect(text).toContain("- layers: 0.. by 2 #");
      const windows = specOf(text).model.layers.map(({ attention }) => attention.window);
      expect(windows).toEqual([16, undefined, 16, undefined, 16, undefined, 16]);
      expect(exported(specOf(text), config).layer_types).toEqual(layer_types);
    }
  });

  test("Qwen3's windows begin where it says, and mean nothing unless they are used", () => {
    const tiny = { ...fixture("qwen3_tied"), num_hidden_layers: 4, layer_types: undefined, sliding_window: 8 };
    const windows = (config: Config) => specOf(textOf(config)).model.layers.map(({ attention }) => attention.window);
    expect(windows({ ...tiny, max_window_layers: 2 })).toEqual([undefined, undefined, undefined, undefined]);
    const used = { ...tiny, use_sliding_window: true };
    expect(windows({ ...used, max_window_layers: 2 })).toEqual([undefined, undefined, 8, 8]);
    expect(windows({ ...used, max_window_layers: 9 })).toEqual([undefined, undefined, undefined, undefined]);
    expect(windows({ ...used, max_window_layers: 0 })).toEqual([8, 8, 8, 8]);
    expect(exported(specOf(textOf({ ...used, max_window_layers: 2 })), {})).toMatchObject({
      use_sliding_window: true,
      sliding_window: 8,
      layer_types: ["full_attention", "full_attention", "sliding_attention", "sliding_attention"],
    });
  });

  test("Qwen3-MoE's dense layers are those it names and those between its steps", () => {
    const tiny = { ...fixture("qwen3_moe"), num_hidden_layers: 6 };
    const kinds = (config: Config) =>
      specOf(textOf(config))
        .model.layers.map(({ ffn }) => ffn.kind[0])
        .join("");
    expect(kinds({ ...tiny, mlp_only_layers: [0, 3] })).toBe("dmmdmm");
    expect(kinds({ ...tiny, decoder_sparse_step: 2 })).toBe("dmdmdm");
    expect(kinds({ ...tiny, decoder_sparse_step: 3, mlp_only_layers: [5] })).toBe("ddmddd");
    const again = exported(specOf(textOf({ ...tiny, decoder_sparse_step: 2 })), { ...tiny, decoder_sparse_step: 2 });
    expect(again).toMatchObject({ decoder_sparse_step: 1, mlp_only_layers: [0, 2, 4], intermediate_size: 160 });
  });

  test("a sliding window of Mixtral is in all layers", () => {
    const spec = specOf(textOf({ ...fixture("mixtral"), sliding_window: 24 }));
    expect(spec.model.layers.map(({ attention }) => attention.window)).toEqual([24, 24]);
    expect(exported(spec, {}).sliding_window).toBe(24);
  });

  test("biases of a Llama are of all projections, or of the block's", () => {
    const spec = specOf(textOf({ ...fixture("llama_gqa_untied"), attention_bias: true, mlp_bias: true }));
    const [{ attention, ffn }] = spec.model.layers;
    expect(attention).toMatchObject({ bias: ["q", "k", "v", "out"] });
    expect(ffn.bias).toBe(true);
    expect(exported(spec, {})).toMatchObject({ attention_bias: true, mlp_bias: true });
  });
});

describe("what is refused, with key and value", () => {
  test.each<[string, Config, string]>([
    ["deepseek_v3_mtp", { moe_layer_freq: 2 }, "`moe_layer_freq` is 2: transformers has experts in every layer"],
    ["deepseek_v3_mtp", { topk_method: "greedy" }, '`topk_method` is "greedy"'],
    ["deepseek_v3_mtp", { scoring_func: "softmax" }, '`scoring_func` is "softmax"'],
    ["deepseek_v3_mtp", { attention_bias: true }, "`attention_bias` is true: mspec's latent attention has no biases"],
    ["deepseek_v3_mtp", { num_key_value_heads: 1 }, "`num_key_value_heads` is 1, which is not num_attention_heads, 3"],
    ["deepseek_v3_mtp", { qk_rope_head_dim: 7 }, "`qk_rope_head_dim` is 7, which is not an even number"],
    ["deepseek_v3_mtp", { n_group: 3 }, "`n_group` is 3, which is not a divisor of n_routed_experts, 8"],
    ["deepseek_v3_mtp", { topk_group: 5 }, "`topk_group` is 5, which is not at most n_group, 4"],
    [
      "deepseek_v3_mtp",
      { num_experts_per_tok: 9 },
      "`num_experts_per_tok` is 9, which is not at most n_routed_experts, 8",
    ],
    ["deepseek_v3_mtp", { q_lora_rank: undefined }, "config.json has no `q_lora_rank`"],
    ["deepseek_v3_mtp", { auto_map: { AutoModel: "modeling_deepseek.Other" } }, "which mspec never runs"],
    ["deepseek_v3_mtp", { auto_map: { AutoModel: "evil.DeepseekV3Model" } }, "which mspec never runs"],
    [
      "deepseek_v3_qlora_yarn",
      { rope_parameters: { rope_type: "yarn", rope_theta: 10000, factor: 8, mscale: 1 } },
      "`rope_parameters.mscale` is 1: without the other of `mscale` and `mscale_all_dim`",
    ],
    ["deepseek_v3_fp8", { quantization_config: { quant_method: "fp8" } }, "with a `weight_block_size`"],
    ["deepseek_v3_fp8", { quantization_config: { quant_method: "awq", weight_block_size: [128, 128] } }, "quantised"],
    ["deepseek_v2_lite", { topk_method: "noaux_tc" }, '`topk_method` is "noaux_tc", which mspec does not import'],
    [
      "deepseek_v2_lite",
      { norm_topk_prob: true },
      "`norm_topk_prob` is true: DeepSeek's own code then leaves out the scale",
    ],
    ["deepseek_v2_lite", { scoring_func: "sigmoid" }, '`scoring_func` is "sigmoid"'],
    ["olmoe", { clip_qkv: 8 }, "`clip_qkv` is 8: queries, keys and values are clipped"],
    ["olmoe", { head_dim: 32 }, "`head_dim` is 32, which is not hidden_size / num_attention_heads"],
    ["mixtral", { router_jitter_noise: 0.1 }, "`router_jitter_noise` is 0.1"],
    ["mixtral", { norm_topk_prob: false }, "`norm_topk_prob` is false"],
    ["mixtral", { num_experts: 8 }, "`num_local_experts` is 4, but `num_experts` is 8"],
    ["qwen3_moe", { mlp_only_layers: [0, 1] }, "`mlp_only_layers` is [0,1]: no layer has experts"],
    ["qwen3_moe", { decoder_sparse_step: 3 }, "`decoder_sparse_step` is 3: no layer has experts"],
    ["qwen3_moe", { mlp_only_layers: ["0"] }, '`mlp_only_layers` is ["0"], which is not a list of layers'],
    ["qwen3_tied", { layer_types: ["full_attention"] }, "which is not as long as num_hidden_layers, 3"],
    ["qwen3_tied", { layer_types: ["chunked", "full", "full"] }, "which is not a list of"],
    [
      "qwen3_tied",
      { layer_types: ["full_attention", "full_attention", "sliding_attention"] },
      "but `use_sliding_window` is false",
    ],
    [
      "gpt_oss",
      { num_hidden_layers: 1e15, layer_types: null },
      "`num_hidden_layers` is 1000000000000000, which is not at most",
    ],
    ["qwen3_moe", { num_hidden_layers: 1e15 }, "`num_hidden_layers` is 1000000000000000, which is not at most"],
    ["deepseek_v3_mtp", { num_hidden_layers: 1e15 }, "`num_hidden_layers` is 1000000000000000, which is not at most"],
    ["deepseek_v3_mtp", { n_routed_experts: 2 ** 60 }, "`n_routed_experts` is"],
    ["gpt_oss", { swiglu_limit: 5 }, "`swiglu_limit` is 5"],
    ["gpt_oss", { hidden_act: "gelu" }, '`hidden_act` is "gelu"'],
    ["gpt_oss", { rope_parameters: null }, "config.json has no `rope_parameters`"],
    ["gpt_oss", { experts_per_token: 3 }, "`num_experts_per_tok` is 2, but `experts_per_token` is 3"],
    ["gpt_oss", { quantization_config: { quant_method: "mxfp4" } }, "its weights are quantised"],
  ])("%s with %j", (name, change, sentence) => {
    const problems = problemsOf({ ...fixture(name), ...change });
    expect(problems.join("\n")).toContain(sentence);
    expect(problems.length).toBe(1);
  });

  test("what is wrong with a number is told once, and nothing else is made of it", () => {
    // Keys that say nothing about these models: transformers reads none of them there.
    const idle = /_token_id$|^(pretraining_tp|head_dim|qk_head_dim|max_window_layers)$|router_aux/;
    const unused: Readonly<Record<string, readonly string[]>> = {
      deepseek_v2_lite: ["n_group", "topk_group"],
      qwen3_moe: ["intermediate_size"],
      qwen3_moe_bf16: ["intermediate_size"],
    };
    for (const name of names) {
      const config = fixture(name);
      const numbers = Object.keys(config).filter((key) => typeof config[key] === "number" && !idle.test(key));
      const read = numbers.filter((key) => unused[name]?.includes(key) !== true);
      expect(read.length).toBeGreaterThan(8);
      for (const key of read) {
        const problems = problemsOf({ ...config, [key]: "many" });
        expect(problems, `${name}: ${key}`).toEqual([expect.stringContaining(`\`${key}\` is "many"`)]);
      }
    }
  });
});

describe("exports that a family cannot say", () => {
  const changedSpec = (name: string, change: (text: string) => string): string => {
    const text = textOf(fixture(name));
    const changed = change(text);
    expect(changed).not.toBe(text);
    const diagnostics = new Diagnostics();
    configText(specOf(changed), { dtype: "float32", bos: null, eos: null, kept: fixture(name) }, diagnostics);
    return diagnostics.all.map(({ claim }) => claim).join("\n");
  };

  test.each<[string, (text: string) => string, string]>([
    [
      "deepseek_v3_mtp",
      (text) => text.replace("norm_eps: 1e-6", "norm_eps: 1e-5"),
      "`attention.norm_eps` is 0.00001, and a deepseek_v3 of transformers would have 0.000001",
    ],
    [
      "deepseek_v3_mtp",
      (text) => text.replace("score: top2_sum", "score: max"),
      "`ffn.router.groups.score` in layer 1 is max, and a deepseek_v3 of transformers would have top2_sum",
    ],
    [
      "deepseek_v3_mtp",
      (text) => text.replace("[embedding, hidden]", "[hidden, embedding]"),
      "`mtp.concat` is [hidden, embedding]",
    ],
    [
      "deepseek_v3_mtp",
      (text) => text.replace("score: sigmoid(logit)", "score: softmax(logit)"),
      "`ffn.router.score` in layer 1 is `softmax(logit)`",
    ],
    ["mixtral", (text) => text.replace("normalize: true", "normalize: false"), "`ffn.router.normalize` is false"],
    ["gpt_oss", (text) => text.replace("1.702 *", "1.7 *"), "`ffn.activation` is"],
    ["gpt_oss", (text) => text.replace("window: 16", "mask: k <= q && q - k < 16"), "`attention.mask` in layer 0 is"],
    [
      "qwen3_moe",
      (text) => text.replace("normalize: true", "scale: 2"),
      "`ffn.router.scale` is 2, and a qwen3_moe of transformers would have 1",
    ],
    ["deepseek_v2_lite", (text) => text.replace("shared: 2 ", "shared: 0 "), "the shared block has 0 channels"],
    [
      "deepseek_v2_lite",
      (text) => text.replace("layers: 0 #", "layers: 1 #"),
      "`ffn.kind` in layer 1 is dense, and a deepseek_v2 of transformers would have moe",
    ],
  ])("%s", (name, change, sentence) => {
    expect(changedSpec(name, change)).toContain(sentence);
  });

  test("a gpt-oss without windows gets a size for them, which transformers asks for, that hides nothing", () => {
    const config = fixture("gpt_oss");
    const text = textOf({ ...config, layer_types: ["full_attention", "full_attention"] });
    const { layer_types, sliding_window } = exported(specOf(text), {});
    expect([layer_types, sliding_window]).toEqual([
      ["full_attention", "full_attention"],
      config.max_position_embeddings,
    ]);
  });

  test("what only training reads does not matter", () => {
    const text = textOf(fixture("deepseek_v3_mtp")).replace(
      "bias_update: 1e-3",
      "losses: { batch: 0.1 }\n        bias_update: 1e-2",
    );
    expect(exported(specOf(text), {}).model_type).toBe("deepseek_v3");
  });
});
