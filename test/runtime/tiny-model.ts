// Compiles small specs in memory and opens them: what tests of the runtime share.

import { compile } from "../../compiler/compile.ts";
import { assemble } from "../../compiler/emit/assemble.ts";
import { normalizeSpec } from "../../compiler/spec/normalize.ts";
import { type BuildSource, memorySource } from "../../runtime/build-source.ts";
import type { Model } from "../../runtime/model.ts";
import { type OpenOptions, openModel } from "../../runtime/open-model.ts";
import { specOf } from "../language/spec-text.ts";

/** Sizes that are no multiples of tiles, grouped heads, a tied head, every schedule in use. */
export const tinySpec = `mspec: 1
name: tiny
model:
  vocab: 259
  context: 48
  width: 20
  layers: 2
  tie_embeddings: true
  attention: { kind: gqa, heads: 4, kv_heads: 2, head_dim: 6 }
  ffn: { kind: dense, intermediate: 28, activation: silu(gate) * up }
data: { tokenizer: bytes, train: ["*.txt"] }
train:
  sequence: 24
  batch: { sequences: linear(4) from 4 to 8 then 8, micro: 2 }
  steps: 8
  optimizer: { weight_decay: { all: 0.1, norm: 0 } }
  lr: warmup(3) to 1e-2 then cosine to 1e-3
  clip: 1
  seed: 5
serve: { sequences: 3, tokens: 32, pages: 24, page: 4 }
`;

const builds = new Map<string, Promise<BuildSource>>();

/** The compiled files of a spec; each spec is compiled once. */
export function sourceOf(text: string, overrides: readonly string[] = []): Promise<BuildSource> {
  const key = JSON.stringify([text, overrides]);
  const known = builds.get(key) ?? compileToMemory(text, overrides);
  builds.set(key, known);
  return known;
}

async function compileToMemory(text: string, overrides: readonly string[]): Promise<BuildSource> {
  const spec = specOf(text, overrides);
  const build = compile(spec);
  const files = new Map<string, string | Uint8Array>(build.kernels.map((kernel) => [kernel.file, kernel.text]));
  files.set("manifest.json", JSON.stringify(build.manifest));
  files.set("normalized.yaml", normalizeSpec(spec));
  files.set(build.manifest.module ?? "", await assemble(build.kernels));
  return memorySource(files);
}

/** A model of the tiny spec, or of another one, on one thread unless said otherwise. */
export async function openTiny(
  text = tinySpec,
  overrides: readonly string[] = [],
  options: OpenOptions = {},
): Promise<Model> {
  return openModel(await sourceOf(text, overrides), { threads: 1, ...options });
}
