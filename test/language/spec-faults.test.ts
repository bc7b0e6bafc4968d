// Faults A that the spec reader answers: code, place and severity of each, several in one run.

import { describe, expect, test } from "vitest";
import { readSpecText, smallSpec, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

/** `6:10 key/out-of-range`, all of them errors. */
function errorsOf(text: string): string[] {
  return specFaults(text).map((line) => {
    expect(line).toMatch(/^error /);
    return line.slice("error ".length);
  });
}

const claimOf = (text: string) => readSpecText(text).diagnostics[0].claim;
const helpOf = (text: string) => readSpecText(text).diagnostics[0].help;

test("the small spec has no fault", () => {
  expect(specFaults(smallSpec)).toEqual([]);
});

describe("A11: kinds and ranges of values, with the path of the key", () => {
  test.each([
    ["width: 48", "width: -1", "6:10 key/out-of-range", "model.width is at least 1, not -1"],
    ["width: 48", "width: 0", "6:10 key/out-of-range", "model.width is at least 1, not 0"],
    ["width: 48", "width: 1.5", "6:10 key/fraction", "model.width is a whole number, `1.5` is a fraction"],
    ["width: 48", "width: 48.0", "6:10 key/fraction", "model.width is a whole number, `48.0` is a fraction"],
    ["width: 48", 'width: "64"', "6:10 key/quoted-number", "model.width is a number in quotes"],
    ["width: 48", "width: yes", "6:10 size/unknown-name", "no size is called `yes` here"],
    ["width: 48", "width: 1_000", "6:10 expression/malformed-number", "`1_000` is not a number"],
    [
      "width: 48",
      "width: [48]",
      "6:10 key/wrong-kind",
      "model.width is a whole number or a size such as `4 * width`, not a list",
    ],
    [
      "width: 48",
      "width: true",
      "6:10 key/wrong-kind",
      "model.width is a whole number or a size such as `4 * width`, not `true`",
    ],
    [
      "width: 48",
      "width: null",
      "6:10 key/wrong-kind",
      "model.width is a whole number or a size such as `4 * width`, not nothing",
    ],
    [
      "width: 48",
      "width:",
      "6:3 key/wrong-kind",
      "model.width is a whole number or a size such as `4 * width`, not nothing",
    ],
    ["name: small", "name: 12", "2:7 key/wrong-kind", "name is text such as `my-model`, not `12`"],
    ["name: small", "name: Small", "2:7 key/malformed-text", "`Small` is not a name"],
    ["kind: gqa", "kind: mha", "8:22 key/unknown-word", "model.attention.kind is `gqa` or `mla`, not `mha`"],
    [
      "heads: 4",
      "heads: 4, bias: maybe",
      "8:43 key/unknown-word",
      "model.attention.bias is `true`, `false` or `qkv`, not `maybe`",
    ],
    [
      "heads: 4",
      "heads: 4, bias: 1",
      "8:43 key/wrong-kind",
      "model.attention.bias is `true`, `false` or `qkv`, not `1`",
    ],
    ["steps: 100", "steps: 100\n  seed: -1", "13:9 key/out-of-range", "train.seed is at least 0, not -1"],
    [
      "lr: 1e-3",
      "lr: [1]",
      "13:7 key/wrong-kind",
      "train.lr is a schedule such as `warmup(20) to 1e-3 then cosine to 1e-4`, not a list",
    ],
    ["lr: 1e-3", "lr: -1", "13:7 key/out-of-range", "train.lr is at least 0, not -1"],
    [
      "model:",
      "recompute: all\nmodel:",
      "3:12 key/wrong-kind",
      "recompute is a list (each a selector such as `attention.{q,k}`), not the text `all`",
    ],
    ["model:", "precision: []\nmodel:", "3:12 key/entry-count", "precision has at least 1 entry, not 0"],
    [
      "steps: 100",
      "steps: 100\n  optimizer: { betas: [0.9] }",
      "13:23 key/entry-count",
      "train.optimizer.betas has 2 entries, not 1",
    ],
    [
      "steps: 100",
      "steps: 100\n  optimizer: { betas: [0.9, 1] }",
      "13:29 key/out-of-range",
      "train.optimizer.betas[1] is at least 0 and below 1, not 1",
    ],
  ])("%s replaced by %s", (part, by, fault, claim) => {
    const text = smallSpecWith([part, by]);
    expect(errorsOf(text)).toEqual([fault]);
    expect(claimOf(text)).toBe(claim);
  });

  test.each([
    ["yes", "write `true`"],
    ["off", "write `false`"],
    ["maybe", undefined],
  ])("a flag that is %s", (word, help) => {
    const text = smallSpecWith(["layers: 4", `layers: 4\n  tie_embeddings: ${word}`]);
    expect(errorsOf(text)).toEqual(["8:19 key/wrong-kind"]);
    expect(helpOf(text)).toBe(help);
  });

  test("4096.0 is answered with the number to write", () => {
    expect(helpOf(smallSpecWith(["width: 48", "width: 48.0"]))).toBe("write `48`");
  });

  test("a number with underscores is answered with the number to write", () => {
    expect(helpOf(smallSpecWith(["width: 48", "width: 1_000"]))).toBe("write `1000`");
  });
});

describe("A12: unknown keys", () => {
  test.each([
    ["width: 48", "hidden_size: 48", "6:3", "here it is called `width`"],
    ["heads: 4", "num_heads: 4", "8:27", "here it is called `heads`"],
    ["heads: 4", "num_attention_heads: 4", "8:27", "here it is called `heads`"],
    ["heads: 4", "haeds: 4", "8:27", "did you mean `heads`?"],
    ["heads: 4", "NumAttentionHeads: 4", "8:27", "did you mean `heads`?"],
    ["intermediate: 96", "intermediate_size: 96", "9:23", "here it is called `intermediate`"],
    ["  lr: 1e-3", "  learning_rate: 1e-3", "13:3", "here it is called `lr`"],
  ])("%s written %s", (part, by, place, help) => {
    const text = smallSpecWith([part, by]);
    const [first] = readSpecText(text).diagnostics.filter(({ code }) => code === "key/unknown");
    expect(errorsOf(text)).toContain(`${place} key/unknown`);
    expect(first.help).toBe(help);
  });

  test.each([
    ["num_attention_heads: 4", "write it as `model.attention.heads`"],
    ["hidden_size: 4", "write it as `model.width`"],
    ["heads: 4", "write it as `model.attention.heads`"],
    ["max_grad_norm: 1", "write it as `train.clip`"],
    ["num_hidden_layer: 1", "write it as `model.layers`"],
    ["nonsense: 1", undefined],
    ["toString: 1", undefined],
  ])("%s at the top", (line, help) => {
    const text = `${smallSpec}${line}\n`;
    expect(errorsOf(text)).toEqual(["14:1 key/unknown"]);
    expect(claimOf(text)).toMatch(/ is not a key of a spec$/);
    expect(helpOf(text)).toBe(help);
  });

  test("`layers` in a block says that it belongs into a list", () => {
    const text = smallSpecWith(["heads: 4", "heads: 4, layers: 0..2"]);
    expect(errorsOf(text)).toEqual(["8:37 key/unknown"]);
    expect(helpOf(text)).toBe("`layers` stands in the entries of a list: write `- { layers: ..., ... }`");
  });

  test("missing keys of a section are told together, at the section", () => {
    const text = smallSpecWith(["  vocab: 300\n  context: 64\n", ""]);
    expect(errorsOf(text)).toEqual(["3:1 key/missing"]);
    expect(claimOf(text)).toBe("model needs the keys `vocab` and `context`");
  });
});

describe("A19: numbers that do not fit each other name both places", () => {
  test.each([
    ["heads: 4", "heads: 4, kv_heads: 3", "8:47 model/heads-do-not-divide and 8:34"],
    ["heads: 4", "heads: 4, head_dim: 5", "8:47 model/odd-head-dim"],
    ["width: 48", "width: 12", "8:34 model/odd-head-dim"],
    [
      "heads: 4",
      "heads: 4, rope: { llama3: { factor: 8, low_freq_factor: 4, high_freq_factor: 4, original: 8 } }",
      "8:83 model/frequency-factors and 8:104",
    ],
    ["steps: 100", "steps: 100\n  sequence: 65", "13:13 model/sequence-beyond-context and 5:12"],
    ["sequences: 8", "sequences: 8, micro: 3", "11:33 batch/micro-does-not-divide and 11:23"],
    [
      "sequences: 8",
      'sequences: "linear(50) from 4 to 6 then 8", micro: 4',
      "11:63 batch/micro-does-not-divide and 11:24",
    ],
    ["sequences: 8", 'sequences: "linear(50) from 4 to 8 then 8"', "11:3 batch/micro-needed"],
    ["steps: 100", "steps: 100\n  tokens: 5k", "13:11 train/steps-or-tokens and 12:10"],
    ["  steps: 100\n", "", "10:1 train/steps-or-tokens"],
    ["lr: 1e-3", "lr: 1e-3\nserve: { sequences: 8, tokens: 7 }", "14:32 model/tokens-below-sequences and 14:21"],
    ["vocab: 300", "vocab: 200", "4:10 model/vocab-below-bytes and 14:20"],
  ])("%s replaced by %s", (part, by, fault) => {
    const data = fault.startsWith("4:10") ? 'data: { tokenizer: bytes, train: ["a"] }\n' : "";
    expect(errorsOf(smallSpecWith([part, by]) + data)).toEqual([fault]);
  });
});

describe("A23: the version", () => {
  test.each([
    ["mspec: 1\n", "", "1:1 key/missing", "a spec needs the key `mspec`"],
    [
      "mspec: 1",
      "mspec: 2",
      "1:8 key/newer-version",
      "this spec needs mspec >= 2; this compiler reads version 1 of the language",
    ],
    ["mspec: 1", "mspec: 0", "1:8 key/unknown-version", "there is no version 0 of the language"],
    ["mspec: 1", 'mspec: "1"', "1:8 key/wrong-kind", "mspec is the number 1, not the text `1`"],
  ])("%j replaced by %j", (part, by, fault, claim) => {
    const text = smallSpecWith([part, by]);
    expect(errorsOf(text)).toEqual([fault]);
    expect(claimOf(text)).toBe(claim);
  });
});

test("a document that is no map is told so", () => {
  expect(errorsOf("- 1\n")).toEqual(["1:1 yaml/not-a-map"]);
  expect(errorsOf("hello")).toEqual(["1:1 yaml/not-a-map"]);
});

test("every independent fault is told in one run", () => {
  const text = smallSpecWith(
    ["vocab: 300", "vocab: -1"],
    ["width: 48", "width: 4 *"],
    ["heads: 4", "heads: 4, nonsense: 1, mask: k + q"],
    ["kind: dense", "kind: experts"],
    ["sequences: 8", "sequences: 6, micro: 4"],
    ["steps: 100", "steps: 100\n  init: { all: gauss(1) }"],
    ["lr: 1e-3", "lr: 1e-3 for 5"],
  );
  expect(errorsOf(`${text}tiles: { wasm: { all: 4x4 } }\nprecision: [f16]\n`).sort()).toEqual([
    "11:33 batch/micro-does-not-divide and 11:23",
    "13:16 expression/unknown-distribution",
    "15:23 tile/extents",
    "16:13 precision/unknown-recipe",
    "4:10 key/out-of-range",
    "6:13 expression/unexpected",
    "8:37 key/unknown",
    "8:56 formula/condition-expected",
    "9:16 key/unknown-word",
  ]);
});

test("a fault that layers share is told once", () => {
  const text = smallSpecWith([
    "ffn: { kind: dense, intermediate: 96 }",
    "ffn: [{ kind: dense, intermediate: 96, activation: silu(gat) }, { layers: 0, intermediate: 48 }]",
  ]);
  expect(errorsOf(text)).toEqual(["9:59 formula/unknown-name"]);
});

describe("B6, B8: names are names", () => {
  const names = ["toString", "hasOwnProperty", "valueOf", "then", "length", "name", "default", "kernel", "half", "var"];
  const more = ["fn", "asm", "float4", "await", "class", "to", "for", "linear", "__defineGetter__".slice(2, 14)];
  test.each([...names, ...more])("a formula may be called %s", (name) => {
    const text = smallSpecWith(
      ["model:", `formulas: { ${name}: "max(a, 0)^2" }\nmodel:`],
      ["kind: dense", `kind: dense, activation: ${name}(gate) * up`],
    );
    const { activation } = specOf(text).model.layers[0].ffn;
    expect([...activation.definitions.keys()]).toEqual([name]);
    expect(activation.definitions.get(name)?.parameters).toEqual(["a"]);
  });

  test.each([
    ["__proto__", "yaml/reserved-key"],
    ["constructor", "yaml/reserved-key"],
    ["prototype", "yaml/reserved-key"],
    ["exp", "formula/built-in"],
    ["pi", "formula/built-in"],
    ["let", "formula/built-in"],
    ["_", "key/malformed-name"],
    ["__x", "key/malformed-name"],
    ["x-y", "key/malformed-name"],
    ["a".repeat(64), "key/malformed-name"],
    ['"x; } __global__ void evil(){"', "key/malformed-name"],
    ['"*/"', "key/malformed-name"],
    ['"a\\nb"', "key/malformed-name"],
  ])("a formula may not be called %s", (name, code) => {
    const text = smallSpecWith(["model:", `formulas:\n  ${name}: a\nmodel:`]);
    expect(errorsOf(text)).toEqual([`4:3 ${code}`]);
  });
});
