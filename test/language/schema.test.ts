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
      rope: { theta: 10000, layout: half, llama3: { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original: 64 } }
      score: s
      mask: k <= q
    - { layers: 0..1, heads: 8 }
  ffn: { kind: dense, intermediate: 8 * width, activation: silu(gate) * up }
precision: [f32, { linear: f32 }]
tiles: { wasm: { linear: 64x64x16 } }
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
serve: { sequences: 8, tokens: 256, pages: 256, page: 16 }
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

  test("an alias belongs to one key", () => {
    const owners = new Map<string, string[]>();
    for (const { path, key } of keysOf("", specSchema)) {
      for (const alias of key.aliases) owners.set(alias, [...(owners.get(alias) ?? []), path]);
    }
    expect([...owners].filter(([, paths]) => paths.length > 1)).toEqual([]);
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

test("what an editor shows of a union says what each branch is, and examples read back", () => {
  const { properties } = JSON.parse(emitJsonSchema());
  const { attention, ffn } = properties.model.properties;
  expect(attention.anyOf.map(({ description }: { description: string }) => description)).toEqual([
    "The attention block of all layers.",
    "A list that merges in order, later entries win. The attention block of some layers; keys that it leaves out stay as they are.",
  ]);
  const block = attention.anyOf[0].properties;
  expect([block.mask.examples, block.score.examples]).toEqual([["k <= q && q - k < 4096"], ["30 * tanh(s / 30)"]]);
  const [mask] = block.mask.examples;
  const [activation] = ffn.anyOf[1].items.properties.activation.examples;
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
