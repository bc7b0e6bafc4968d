// The emitted JSON Schema, the zod schema and the reader accept and refuse the same documents.

import { readFileSync } from "node:fs";
import { Ajv, type ValidateFunction } from "ajv";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { readYaml } from "../../compiler/source/read-yaml.ts";
import { SourceText } from "../../compiler/source/text.ts";
import { emitJsonSchema, specDocument } from "../../compiler/spec/json-schema.ts";
import { specSchema } from "../../compiler/spec/schema.ts";
import { branches, type Key, type SectionShape } from "../../compiler/spec/shape.ts";
import { checkStructure } from "../../compiler/spec/structure.ts";
import { smallSpecWith, specFaults } from "./spec-text.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Every key of the schema with a legal value. */
const complete: Json = parse(`
mspec: 1
name: complete
formulas: { relu2: "max(x, 0)^2", c: 1 }
model:
  vocab: 512
  context: 4 * 64
  width: 128
  layers: 4
  tie_embeddings: true
  norm: { kind: rms_norm, eps: 1e-5 }
  attention:
    - kind: gqa
      heads: 4
      kv_heads: 2
      head_dim: 32
      bias: qkv
      qk_norm: head
      sinks: true
      window: 128
      rope:
        theta: 10000
        layout: half
        dim: 16
        llama3: { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original: 64 }
        yarn:
          factor: 4
          original: 64
          beta_fast: 32
          beta_slow: 1
          truncate: false
          attention_factor: 1.1
          mscale: 1
          mscale_all_dim: 0.5
      score: s
      mask: k <= q
    - { layers: 0..1, heads: 8, bias: true }
    - { layers: 1, kind: mla, q_rank: 8, kv_rank: 16, nope_dim: 8, rope_dim: 4, value_dim: 8, norm_eps: 1e-6 }
  ffn:
    - { kind: dense, intermediate: 8 * width, activation: silu(gate) * up, bias: true }
    - layers: 2..
      kind: moe
      experts: 8
      top_k: 2
      shared: 1
      shared_intermediate: 32
      router:
        score: sigmoid(logit)
        groups: { count: 4, keep: 2, score: max }
        normalize: true
        scale: 2.5
        bias: true
        bias_update: 1e-3 for 10 then 0
        losses: { sequence: 1e-4, batch: 1e-2, z: 1e-3 }
  mtp: { depth: 1, weight: 0.3, concat: [hidden, embedding] }
precision: [f32, { linear: f32 }]
tiles: { wasm: { linear: 64x64x16 }, wgsl: { linear: 64x64x16 } }
recompute: [norm]
data: { tokenizer: bytes, train: [a.txt], validation: 0.05, skip_bad_lines: true }
train:
  sequence: 256
  batch: { sequences: 8, micro: 8 }
  steps: 300
  tokens: 300
  optimizer: { kind: adamw, betas: [0.9, 0.95], eps: 1e-8, weight_decay: { all: 0.1 } }
  lr: warmup(20) to 1e-3 then cosine to 1e-4
  clip: 1.0
  init: { all: normal(0.02) }
  seed: 42
  evaluate_every: 1
  save_every: 2
  sample_every: 3
  precision: [bf16]
evaluate: { precision: [{ head: f32 }] }
serve: { sequences: 8, tokens: 256, pages: 256, page: 16, precision: [bf16, { router: f32 }] }
`);

const validate: ValidateFunction = new Ajv({ strict: false }).compile(JSON.parse(emitJsonSchema()));

/** JSON is YAML, so the reader can be asked about any document. */
function readerAccepts(document: Json): boolean {
  const diagnostics = new Diagnostics();
  const node = readYaml(new SourceText("test", JSON.stringify(document)), diagnostics);
  if (node?.kind !== "map") return false;
  checkStructure(node, specSchema, diagnostics);
  return !diagnostics.hasErrors;
}

/** What the three say of a document; their agreement is what is tested. */
function verdicts(document: Json): { ajv: boolean; zod: boolean; reader: boolean } {
  return {
    ajv: validate(document),
    zod: specDocument.safeParse(document).success,
    reader: readerAccepts(document),
  };
}

type Path = readonly (string | number)[];

function pathsOf(value: Json, path: Path = []): Path[] {
  if (value === null || typeof value !== "object") return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, below]) => pathsOf(below, [...path, key]))];
}

/** The document with the value at a path replaced, or without it. */
function changed(value: Json, [step, ...rest]: Path, by: Json | undefined): Json {
  if (step === undefined) return by ?? null;
  const entries = Object.entries(value ?? {}) as [string, Json][];
  const next = entries.flatMap(([key, below]): [string, Json][] => {
    if (key !== String(step)) return [[key, below]];
    if (rest.length > 0) return [[key, changed(below, rest, by)]];
    return by === undefined ? [] : [[key, by]];
  });
  return Array.isArray(value) ? next.map(([, below]) => below) : Object.fromEntries(next);
}

const values: Json[] = [
  null,
  true,
  "",
  "x",
  "12",
  " 1.5 ",
  "4 * width",
  0,
  1,
  -1,
  0.5,
  1.5,
  1025,
  9007199254740992,
  [],
  ["a"],
  [0.5, 0.5],
  [1, 2, 3],
  {},
  { a: 1 },
  { a: "x", b: "y" },
  { "a b": "x" },
];

const paths = pathsOf(complete).filter((path) => path.length > 0);

test("the complete document is legal and has every key of the schema", () => {
  expect(verdicts(complete)).toEqual({ ajv: true, zod: true, reader: true });
  const named = new Set(paths.map((path) => path.filter((step) => typeof step === "string").join(".")));
  const missing = keysOf("", specSchema).filter(({ path }) => !named.has(path));
  expect(missing.map(({ path }) => path)).toEqual([]);
});

test.each(paths.map((path) => [path.join("."), path] as const))("%s: the three agree on every value", (_, path) => {
  for (const value of values) {
    const document = changed(complete, path, value);
    const { ajv, zod, reader } = verdicts(document);
    expect({ value, zod, reader }).toEqual({ value, zod: ajv, reader: ajv });
  }
});

test("the three agree on missing and on unknown keys, and refuse most of them", () => {
  let numRefused = 0;
  for (const path of paths) {
    const [parent, name] = [path.slice(0, -1), path.at(-1)];
    const without = changed(complete, path, undefined);
    const { ajv, zod, reader } = verdicts(without);
    expect({ path, zod, reader }).toEqual({ path, zod: ajv, reader: ajv });
    const map = parent.reduce<Json>((value, step) => (value as Record<string, Json>)[step], complete);
    if (typeof name !== "string" || parent.length === 0) continue;
    const extended = changed(complete, parent, { ...(map as Record<string, Json>), nonsense: 1 });
    const second = verdicts(extended);
    expect({ path, ...second }).toEqual({ path, ajv: second.ajv, zod: second.ajv, reader: second.ajv });
    if (!second.ajv) numRefused++;
  }
  expect(numRefused).toBeGreaterThan(50);
});

interface NamedKey {
  readonly path: string;
  readonly key: Key;
}

function keysOf(path: string, section: SectionShape): NamedKey[] {
  return [...section.keys].flatMap(([name, key]) => {
    const own = path === "" ? name : `${path}.${name}`;
    const below = branches(key.shape).flatMap((branch) => (branch.kind === "section" ? keysOf(own, branch) : []));
    return [{ path: own, key }, ...below];
  });
}

describe("the schema", () => {
  test("specs/mspec.schema.json is what the schema emits", () => {
    expect(readFileSync(new URL("../../specs/mspec.schema.json", import.meta.url), "utf8")).toBe(emitJsonSchema());
  });

  test.each(keysOf("", specSchema).map(({ path, key }) => [path, key] as const))("%s has a description", (_, key) => {
    expect(key.description).toMatch(/^[A-Z`].*[.]$/s);
  });

  test("an alias belongs to keys of one name, and in a section to one", () => {
    const owners = new Map<string, string[]>();
    for (const { path, key } of keysOf("", specSchema)) {
      for (const alias of key.aliases) owners.set(alias, [...(owners.get(alias) ?? []), path]);
    }
    expect(owners.size).toBeGreaterThan(100);
    const names = (paths: string[]) => new Set(paths.map((path) => path.split(".").at(-1)));
    const isShared = ([, paths]: [string, string[]]) => names(paths).size > 1 || new Set(paths).size < paths.length;
    expect([...owners].filter(isShared)).toEqual([]);
  });

  test("draft 7, and every property shows its title and description", () => {
    const schema = JSON.parse(emitJsonSchema());
    expect(schema.$schema).toBe("http://json-schema.org/draft-07/schema#");
    const check = (node: { properties?: object; items?: object; anyOf?: object[] }): number => {
      const properties = Object.entries(node.properties ?? {});
      for (const [name, property] of properties) {
        expect(property).toMatchObject({
          title: name,
          description: expect.any(String),
          markdownDescription: expect.any(String),
        });
      }
      const below = [
        ...properties.map(([, property]) => property),
        ...(node.items ? [node.items] : []),
        ...(node.anyOf ?? []),
      ];
      return properties.length + below.map(check).reduce((sum, count) => sum + count, 0);
    };
    expect(check(schema)).toBeGreaterThan(60);
  });
});

test("an editor offers the keys of the kind that was chosen, down to rope", () => {
  const { properties } = JSON.parse(emitJsonSchema());
  const { attention, ffn } = properties.model.properties;
  type Block = { properties: Record<string, { properties?: object }>; required: string[] };
  const keysOfBlock = ({ properties }: Block) => Object.keys(properties);
  const [gqa, mla] = attention.anyOf as Block[];
  expect(gqa.required).toEqual(["kind", "heads"]);
  expect(mla.required).toEqual(["kind", "heads", "kv_rank", "nope_dim", "rope_dim", "value_dim"]);
  expect(keysOfBlock(gqa)).not.toContain("kv_rank");
  expect(keysOfBlock(mla)).not.toContain("kv_heads");
  expect([gqa, mla].map(({ properties: { rope } }) => Object.hasOwn(rope.properties ?? {}, "dim"))).toEqual([
    true,
    false,
  ]);
  const [dense, moe, list] = ffn.anyOf;
  expect(keysOfBlock(dense)).toEqual(["kind", "intermediate", "activation", "bias"]);
  expect(moe.required).toEqual(["kind", "intermediate", "experts", "top_k"]);
  const [, , withoutKind] = list.items.anyOf as Block[];
  expect(keysOfBlock(withoutKind)).toEqual(["layers", ...keysOfBlock(moe).filter((name) => name !== "kind")]);
});

test("what an editor shows of a union says what each branch is, and examples read back", () => {
  const { properties } = JSON.parse(emitJsonSchema());
  const { attention, ffn } = properties.model.properties;
  expect(attention.anyOf.map(({ description }: { description: string }) => description)).toEqual([
    "The attention block of all layers, of kind gqa.",
    "The attention block of all layers, of kind mla.",
    "A list whose entries merge in order: later ones win, keys that one leaves out stay, and another kind replaces.",
  ]);
  const entries = attention.anyOf[2].items.anyOf.map(({ description }: { description: string }) => description);
  expect(entries).toEqual([
    "The attention block of some layers, of kind gqa.",
    "The attention block of some layers, of kind mla.",
    "The attention block of some layers.",
  ]);
  const block = attention.anyOf[0].properties;
  expect([block.mask.examples, block.score.examples]).toEqual([["k <= q && q - k < 4096"], ["30 * tanh(s / 30)"]]);
  const [mask] = block.mask.examples;
  const [activation] = ffn.anyOf[2].items.anyOf[0].properties.activation.examples;
  const sequences = properties.train.properties.batch.properties.sequences.examples[0];
  const text = smallSpecWith(
    ["heads: 4", `heads: 4, mask: "${mask}"`],
    ["dense,", `dense, activation: ${activation},`],
    ["sequences: 8", `sequences: ${sequences}, micro: 8`],
    ["steps: 100", "steps: 200"],
  );
  expect(specFaults(text)).toEqual([]);
  expect(emitJsonSchema()).not.toContain("a map of keys");
});
