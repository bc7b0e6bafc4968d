// Checkpoints in Hugging Face's layout for tests: the fixtures, and others of any size with random weights.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Dtype } from "../../runtime/files/dtypes.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import { openSafetensors } from "../../runtime/files/safetensors.ts";
import { type TensorSource, writeSafetensors } from "../../runtime/files/safetensors-writer.ts";
import type { Model } from "../../runtime/model.ts";
import { openTiny } from "../runtime/tiny-model.ts";

const fixtures = new URL("../fixtures/", import.meta.url).pathname;

/** A copy of a fixture, with the config in either spelling. */
export function fixtureFolder(name: string, parent: string, spelling: "now" | "before" = "now"): string {
  const folder = join(parent, `${name}-${spelling}`);
  mkdirSync(folder);
  for (const file of readdirSync(join(fixtures, name))) {
    copyFileSync(join(fixtures, name, file), join(folder, file));
  }
  if (spelling === "before") copyFileSync(join(folder, "config.hub-v4.json"), join(folder, "config.json"));
  return folder;
}

export const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));

/** A model of a config, as transformers names its sizes. */
export interface Sizes {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
  readonly hidden_act: string;
  readonly rope_parameters: Readonly<Record<string, number | string>>;
}

export const smallSizes: Sizes = {
  vocab_size: 40,
  hidden_size: 24,
  intermediate_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  hidden_act: "silu",
  rope_parameters: { rope_type: "default", rope_theta: 10000 },
};

export type Tensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;

/** The names and shapes that transformers' LlamaForCausalLM has. */
function shapesOf(sizes: Sizes): [string, number[]][] {
  const { vocab_size: vocab, hidden_size: width, intermediate_size: inner, head_dim: dim } = sizes;
  const [queries, keys] = [sizes.num_attention_heads * dim, sizes.num_key_value_heads * dim];
  const layers = Array.from({ length: sizes.num_hidden_layers }, (_, i): [string, number[]][] => [
    [`model.layers.${i}.input_layernorm.weight`, [width]],
    [`model.layers.${i}.self_attn.q_proj.weight`, [queries, width]],
    [`model.layers.${i}.self_attn.k_proj.weight`, [keys, width]],
    [`model.layers.${i}.self_attn.v_proj.weight`, [keys, width]],
    [`model.layers.${i}.self_attn.o_proj.weight`, [width, queries]],
    [`model.layers.${i}.post_attention_layernorm.weight`, [width]],
    [`model.layers.${i}.mlp.gate_proj.weight`, [inner, width]],
    [`model.layers.${i}.mlp.up_proj.weight`, [inner, width]],
    [`model.layers.${i}.mlp.down_proj.weight`, [width, inner]],
  ]);
  return [
    ["model.embed_tokens.weight", [vocab, width]],
    ...layers.flat(),
    ["model.norm.weight", [width]],
    ...(sizes.tie_word_embeddings ? [] : ([["lm_head.weight", [vocab, width]]] as [string, number[]][])),
  ];
}

/** Numbers of which every one is a bf16 and an f16, so that a format loses nothing: multiples of 1/64 below 1. */
export function randomTensors(sizes: Sizes, seed: number): Tensors {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return new Map(
    shapesOf(sizes).map(([name, shape]) => {
      const length = shape.reduce((count, size) => count * size, 1);
      const center = shape.length === 1 ? 1 : 0;
      const values = Float32Array.from({ length }, () => center + Math.round((next() - 0.5) * 48) / 64);
      return [name, { shape, values }];
    }),
  );
}

/** Elements in a format; every value must be one of it. */
export function encode(values: Float32Array, dtype: "F32" | "BF16" | "F16"): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.slice().buffer);
  const bits = new Uint32Array(values.slice().buffer);
  const half = (word: number): number =>
    word << 1 === 0 ? 0 : ((word >>> 16) & 0x8000) | ((((word >>> 23) & 0xff) - 112) << 10) | ((word >>> 13) & 0x3ff);
  return new Uint8Array(Uint16Array.from(bits, dtype === "BF16" ? (word) => word >>> 16 : half).buffer);
}

export async function writeFile(path: string, tensors: readonly TensorSource[]): Promise<void> {
  const pieces: Uint8Array[] = [];
  await writeSafetensors(tensors, { format: "pt" }, async (bytes) => void pieces.push(bytes));
  writeFileSync(path, Buffer.concat(pieces));
}

export interface CheckpointOptions {
  readonly dtype?: "F32" | "BF16" | "F16";
  /** Files that the tensors are dealt to; 1 writes no index. */
  readonly shards?: number;
  /** Changes of the config, for configs with faults. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export const sourcesOf = (tensors: Tensors, dtype: "F32" | "BF16" | "F16" = "F32"): TensorSource[] =>
  [...tensors].map(([name, { shape, values }]) => ({ name, dtype, shape, read: () => encode(values, dtype) }));

/** Writes a folder as `save_pretrained` does. */
export async function writeCheckpoint(
  folder: string,
  sizes: Sizes,
  tensors: Tensors,
  { dtype = "F32", shards = 1, config = {} }: CheckpointOptions = {},
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const whole = { architectures: ["LlamaForCausalLM"], model_type: "llama", ...sizes, ...config };
  writeFileSync(join(folder, "config.json"), JSON.stringify(whole, undefined, 2));
  const sources = sourcesOf(tensors, dtype);
  if (shards === 1) {
    await writeFile(join(folder, "model.safetensors"), sources);
    return folder;
  }
  const nameOf = (shard: number) => `model-${String(shard + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}`;
  for (let shard = 0; shard < shards; shard++) {
    const part = sources.filter((_, i) => i % shards === shard);
    await writeFile(join(folder, `${nameOf(shard)}.safetensors`), part);
  }
  const map = Object.fromEntries(sources.map(({ name }, i) => [name, `${nameOf(i % shards)}.safetensors`]));
  const size = [...tensors.values()].reduce((sum, { values }) => sum + values.length * (dtype === "F32" ? 4 : 2), 0);
  const index = { metadata: { total_size: size }, weight_map: map };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
  return folder;
}

export interface Stored {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Every tensor of a file, as it is stored. */
export async function readTensors(path: string): Promise<Map<string, Stored>> {
  const reader = await nodeDisk.openRead(path);
  try {
    const file = await openSafetensors(reader);
    const tensors = new Map<string, Stored>();
    for (const tensor of file.tensors.values()) {
      const bytes = await file.readBytes(tensor, 0, tensor.end - tensor.begin);
      tensors.set(tensor.name, { dtype: tensor.dtype, shape: tensor.shape, bytes });
    }
    return tensors;
  } finally {
    await reader.close();
  }
}

export const integersOf = ({ bytes }: Stored): number[] => Array.from(new BigInt64Array(bytes.slice().buffer), Number);
export const floatsOf = ({ bytes }: Stored): Float32Array => new Float32Array(bytes.slice().buffer);

/** The model of an imported folder, with its weights. */
export async function openImported(folder: string, tokenizer?: string): Promise<Model> {
  const text = readFileSync(join(folder, "model.yaml"), "utf8");
  const model = await openTiny(text, [], tokenizer === undefined ? {} : { tokenizer });
  await model.loadWeights(join(folder, "model.safetensors"));
  return model;
}

export const furthest = (got: ArrayLike<number>, expected: ArrayLike<number>): number =>
  Array.from(expected).reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0);
