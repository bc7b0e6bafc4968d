// The keys of a spec: the one place that says which exist, what they mean, what others call them and what is read when
// they are left out. Validation, defaults, suggestions and the JSON Schema all follow from it. The blocks of a layer are
// in schema-attention.ts and schema-ffn.ts.

import { attentionBlocks } from "./schema-attention.ts";
import { ffnBlocks } from "./schema-ffn.ts";
import {
  count,
  countOrNone,
  flag,
  formula,
  mostContext,
  needed,
  optional,
  positiveFloat,
  section,
} from "./schema-keys.ts";
import type { SectionShape, Shape } from "./shape.ts";

const decay: Shape = { kind: "real", least: 0, isFloat: true };
const selectorMap = (of: Shape): Shape => ({ kind: "map", keys: "selector", of });

/** More than any model has, few enough for a graph to be built of them. */
export const mostLayers = 1024;

/** What may stand under `model.attention` and `model.ffn`. */
export const modelBlocks = { attention: attentionBlocks, ffn: ffnBlocks };

const mtp = section({
  depth: optional(
    { kind: "whole", least: 1, most: mostLayers },
    "How many tokens beyond the next one are predicted.",
    "1",
    ["num_nextn_predict_layers", "mtp_num_layers"],
  ),
  weight: optional(
    { kind: "schedule", example: "0.3 until 10T tokens then 0.1" },
    "Coefficient of the mean of their losses.",
    "0.3",
    ["mtp_loss_scaling_factor", "mtp_loss_weight"],
  ),
  concat: optional(
    { kind: "list", of: { kind: "choice", words: ["embedding", "hidden"] }, least: 2, most: 2 },
    "Order of the two halves of the projection's input.",
    "[embedding, hidden]",
  ),
});

const model = section({
  vocab: needed(count, "Number of tokens that the model knows.", ["vocab_size", "padded_vocab_size"]),
  context: needed({ kind: "whole", least: 1, most: mostContext }, "The longest position the model is built for.", [
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
  ]),
  width: needed(count, "Channels of the residual stream.", ["hidden_size", "d_model", "n_embd", "embed_dim"]),
  layers: needed({ kind: "whole", least: 1, most: mostLayers }, "Number of layers.", [
    "num_hidden_layers",
    "num_layers",
    "n_layer",
    "n_layers",
  ]),
  tie_embeddings: optional(flag, "Use the embedding as the head's weight.", "false", ["tie_word_embeddings"]),
  norm: optional(
    section({
      kind: optional({ kind: "choice", words: ["rms_norm"] }, "Root mean square normalisation.", "rms_norm", [
        "normalization",
        "norm_type",
      ]),
      eps: optional(positiveFloat, "Added to the mean square.", "1e-5", [
        "rms_norm_eps",
        "layer_norm_eps",
        "norm_epsilon",
        "layer_norm_epsilon",
      ]),
    }),
    "The normalisation before each block and at the end.",
  ),
  attention: needed(modelBlocks.attention, "The attention block, or a list of blocks with layers."),
  ffn: needed(modelBlocks.ffn, "The feed-forward block, or a list of blocks with layers.", ["mlp", "feed_forward"]),
  mtp: optional(mtp, "Prediction of several tokens; of the next one only if left out."),
});

const data = section({
  tokenizer: needed({ kind: "text", example: "tokenizer.json" }, "`bytes`, or the path of a tokenizer.json."),
  train: needed(
    { kind: "list", of: { kind: "text", example: "corpus/*.txt" }, least: 1 },
    "Globs of the training files.",
    ["train_data_path", "dataset"],
  ),
  validation: optional(
    {
      kind: "either",
      shapes: [
        { kind: "real", above: 0, below: 1 },
        { kind: "list", of: { kind: "text", example: "held-out/*.txt" }, least: 1 },
      ],
    },
    "The part of the training tokens that is held out, or globs of files of their own.",
    "0.05",
    ["valid_data_path", "val_split", "test_size"],
  ),
  skip_bad_lines: optional(flag, "Skip and count JSONL lines that do not parse instead of stopping.", "false"),
});

const optimizer = section({
  kind: optional({ kind: "choice", words: ["adamw"] }, "Adam with decoupled weight decay.", "adamw", ["optim"]),
  betas: optional(
    { kind: "list", of: { kind: "real", least: 0, below: 1, isFloat: true }, least: 2, most: 2 },
    "Decay of the first and the second moment.",
    "[0.9, 0.95]",
    ["adam_beta1", "adam_beta2", "adam_betas"],
  ),
  eps: optional(positiveFloat, "Added to the root of the second moment.", "1e-8", ["adam_epsilon", "adam_eps"]),
  weight_decay: optional(
    { kind: "either", shapes: [decay, selectorMap(decay)] },
    "Decoupled weight decay: a number for all, or numbers by selector.",
    "0",
    ["wd"],
  ),
});

const precisionList: Shape = {
  kind: "list",
  of: {
    kind: "either",
    shapes: [
      { kind: "text", example: "f32" },
      { kind: "map", keys: "selector", of: { kind: "precision" }, isSingle: true },
    ],
  },
  least: 1,
};

const train = section({
  sequence: optional(count, "Tokens per sequence; at most model.context.", "context", [
    "seq_length",
    "max_seq_length",
    "block_size",
  ]),
  batch: needed(
    section({
      sequences: needed(
        { kind: "schedule", example: "8 for 100 then 16" },
        "Sequences per step, as a schedule; ramps are rounded down to a multiple of micro.",
        ["global_batch_size", "train_batch_size"],
      ),
      micro: optional(
        count,
        "Sequences that are computed at once; all of them if left out and the batch is constant.",
        undefined,
        ["micro_batch_size", "per_device_train_batch_size"],
      ),
    }),
    "How many sequences make a step.",
    ["batch_size"],
  ),
  steps: optional(count, "Number of steps; give this or tokens.", undefined, ["max_steps", "train_iters", "max_iters"]),
  tokens: optional(count, "Number of tokens to train on; give this or steps.", undefined, [
    "train_tokens",
    "total_tokens",
  ]),
  optimizer: optional(optimizer, "What turns gradients into updates."),
  lr: needed({ kind: "schedule" }, "Learning rate, as a schedule.", ["learning_rate", "max_lr"]),
  clip: optional(
    { kind: "schedule", example: "1" },
    "Bound of the global gradient norm; no clipping if left out.",
    undefined,
    ["max_grad_norm", "clip_grad", "grad_clip"],
  ),
  init: optional(
    { kind: "either", shapes: [{ kind: "distribution" }, selectorMap({ kind: "distribution" })] },
    "Distribution of the first weights: one for all, or by selector; norms begin at one.",
    "normal(0.02)",
    ["initializer_range", "init_method_std"],
  ),
  seed: optional(countOrNone, "Seed of every random choice.", "0"),
  evaluate_every: optional(countOrNone, "Evaluate every so many steps; 0: only at the end.", "0", [
    "eval_steps",
    "eval_interval",
  ]),
  save_every: optional(countOrNone, "Save a checkpoint every so many steps; 0: only at the end.", "0", [
    "save_steps",
    "save_interval",
  ]),
  sample_every: optional(countOrNone, "Write a sample of text every so many steps; 0: never.", "0"),
  precision: optional(precisionList, "Rules of precision that follow the common ones, for training steps alone."),
});

const evaluate = section({
  precision: optional(precisionList, "Rules of precision that follow the common ones, for evaluation alone."),
});

const serve = section({
  sequences: optional(count, "The most sequences that are extended at once.", "8", ["max_num_seqs", "max_batch_size"]),
  tokens: optional(count, "The most new tokens of all sequences in one call.", "max(256, sequences)", [
    "max_num_batched_tokens",
  ]),
  page: optional(count, "Tokens per page of the cache.", "16", ["page_size"]),
  pages: optional(count, "Pages of the cache.", "sequences * ceil(context / page)", ["num_gpu_blocks"]),
  precision: optional(precisionList, "Rules of precision that follow the common ones, for serving alone."),
});

/** The language version that this compiler reads. */
export const languageVersion = 1;

export const specSchema: SectionShape = section({
  mspec: needed({ kind: "version", version: languageVersion }, "Version of the spec language."),
  name: needed(
    { kind: "text", pattern: /^[a-z][a-z0-9-]{0,62}$/, example: "my-model" },
    "Name of the model: small letters, digits and hyphens.",
    ["model_name", "_name_or_path"],
  ),
  formulas: optional(
    { kind: "map", keys: "name", of: formula },
    "Formulas that other formulas may call; their free names are their parameters.",
  ),
  model: needed(model, "What the model is."),
  precision: optional(
    precisionList,
    "How operations compute: recipes by name, and rules of one selector and signature; the last that matches wins.",
    "[f32]",
    ["torch_dtype", "dtype"],
  ),
  tiles: optional(
    section({
      wasm: optional(selectorMap({ kind: "tile" }), "Tiles of the wasm kernels by selector."),
      wgsl: optional(
        selectorMap({ kind: "tile" }),
        "Tiles of the wgsl kernels by selector: what a workgroup computes.",
      ),
    }),
    "Tiles by target and selector.",
  ),
  recompute: optional(
    { kind: "list", of: { kind: "selector" }, least: 0 },
    "Operations that the backward pass computes again instead of keeping their results.",
    "[]",
    ["gradient_checkpointing", "recompute_modules"],
  ),
  data: optional(data, "What the model is trained on."),
  train: optional(train, "How the model is trained."),
  evaluate: optional(evaluate, "How losses of held-out text are computed."),
  serve: optional(serve, "How much is served at once."),
});
