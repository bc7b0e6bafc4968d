import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { describe, expect, it } from "vitest";
import { judgePattern } from "../../runtime/data/split-patterns.ts";
import { openTokenizer } from "../../runtime/data/tokenizer.ts";

const mixed = await readFile(new URL("golden/mixed-420.json.txt", import.meta.url), "utf8");
const stories = await readFile(new URL("../fixtures/stories260K/tokenizer.json", import.meta.url), "utf8");

interface AnyFile {
  normalizer: unknown;
  pre_tokenizer: unknown;
  decoder: unknown;
  readonly added_tokens: Record<string, unknown>[];
  readonly model: Record<string, unknown> & { vocab: Record<string, unknown>; merges: unknown[] };
}

function edited(edit: (file: AnyFile) => void, json = mixed): string {
  const file = JSON.parse(json);
  edit(file);
  return JSON.stringify(file);
}

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

/** A byte-level tokenizer that cuts text by patterns, one after the other. */
const cutBy = (...patterns: readonly string[]): string =>
  edited((file) => {
    const splits = patterns.map((Regex) => ({
      type: "Split",
      pattern: { Regex },
      behavior: "Isolated",
      invert: false,
    }));
    file.pre_tokenizer = { type: "Sequence", pretokenizers: [...splits, byteLevel] };
  });

/** Refused with this code at the file's name; the message has all of `parts`. */
function expectRefused(json: string, code: string, ...parts: readonly string[]): void {
  let fault: unknown;
  try {
    openTokenizer(json, "data/tokenizer.json");
  } catch (error) {
    fault = error;
  }
  expect(fault).toMatchObject({ code: `tokenizer/${code}`, kind: "input", at: "data/tokenizer.json" });
  for (const part of parts) expect(String(fault)).toContain(part);
}

/** Seconds of the processor that `run` takes. */
function processorTime(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

describe("D2: ids", () => {
  it("of a token that is in the vocabulary and added, with two ids", () => {
    const json = edited((file) => file.added_tokens.push({ id: 420, content: "a", special: false }));
    expectRefused(json, "ids-disagree", '"a"', "420");
  });

  it("of two added tokens that share one", () => {
    const json = edited((file) => {
      file.added_tokens.push({ id: 420, content: "[A]", special: true }, { id: 420, content: "[B]", special: true });
    });
    expectRefused(json, "ids-not-contiguous");
  });

  it.each([
    [-1, "bad-id"],
    [1.5, "bad-id"],
    [null, "bad-id"],
    [2 ** 32, "ids-not-contiguous"],
    [1e300, "ids-not-contiguous"],
  ])("of %s, in little memory", (id, code) => {
    const json = edited((file) => {
      file.model.vocab.a = id;
    });
    const before = process.memoryUsage().rss;
    expectRefused(json, code);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  it("of tokens that are named like what objects inherit", () => {
    const json = edited((file) => {
      Object.defineProperty(file.model.vocab, "__proto__", { value: 420, enumerable: true });
      Object.defineProperty(file.model.vocab, "constructor", { value: 421, enumerable: true });
    });
    const tokenizer = openTokenizer(json, "x");
    expect(tokenizer.vocab).toBe(422);
    expect(tokenizer.decode([420, 421])).toBe("__proto__constructor");
    expect(tokenizer.decode(tokenizer.encode("__proto__ constructor"))).toBe("__proto__ constructor");
  });
});

describe("D3: merges", () => {
  it("of absent tokens are refused with their number, wherever they stand and however they are written", () => {
    for (const merge of [["a", "☃"], "a ☃", "a  b", "ab", ["a"], ["a", "b", "c"], ["a", 1], null, {}]) {
      const json = edited((file) => file.model.merges.push(merge));
      expectRefused(json, "bad-merge", `merge ${JSON.parse(mixed).model.merges.length} `, JSON.stringify(merge));
    }
    expectRefused(
      edited((file) => file.model.merges.push(["constructor", "a"])),
      "bad-merge",
    );
  });

  it("that go in a circle: a token and nothing make the token", () => {
    for (const merge of [["", "a"], ["a", ""], " a", "a "]) {
      const json = edited((file) => {
        file.model.vocab[""] = 420;
        file.model.merges.push(merge);
      });
      expectRefused(json, "bad-merge", "makes a token of itself");
    }
  });

  it("written as text, as pairs or as both give the same ids", () => {
    const asText = edited((file) => {
      file.model.merges = file.model.merges.map((merge) => (merge as string[]).join(" "));
    });
    const asBoth = edited((file) => {
      file.model.merges = file.model.merges.map((merge, index) => (index % 2 ? (merge as string[]).join(" ") : merge));
    });
    const text = "the States of the Union, 日本 and others";
    const ids = openTokenizer(mixed, "x").encode(text);
    expect(ids.length).toBeLessThan(text.length);
    for (const json of [asText, asBoth]) expect(openTokenizer(json, "x").encode(text)).toEqual(ids);
  });

  it("a million of them open within 20 s of the processor", { timeout: 60_000 }, () => {
    const file = JSON.parse(mixed);
    const letters = "abcdefghijklmnopqrstuvwxyz";
    // Breadth first: the letters, then all pairs, all triples, and so on, each made of a shorter token and a letter.
    const tokens = [...letters];
    const vocab = new Map<string, number>(Object.entries(file.model.vocab));
    const merges: [string, string][] = [];
    for (let at = 0; merges.length < 1_000_000; at++) {
      for (const letter of letters) {
        const token = tokens[at] + letter;
        tokens.push(token);
        merges.push([tokens[at], letter]);
        if (!vocab.has(token)) vocab.set(token, vocab.size);
      }
    }
    file.model.vocab = Object.fromEntries(vocab);
    file.model.merges = merges;
    const json = JSON.stringify(file);
    let ids: number[] = [];
    const time = processorTime(() => {
      ids = [...openTokenizer(json, "x").encode("abcd")];
    });
    expect(time).toBeLessThan(20);
    // Pairs come before triples: first a and b, then c and d, and the two halves have no merge.
    expect(ids).toEqual([vocab.get("ab"), vocab.get("cd")]);
  });
});

const whitespace = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";

/** As the tokenizer.json of these models has them. */
const published: readonly (readonly [string, readonly string[]])[] = [
  ["GPT-2", ["'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"]],
  [
    "GPT-4 and Llama 3",
    [`${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${whitespace}`],
  ],
  ["Qwen", [`${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${whitespace}`]],
  [
    "o200k and gpt-oss",
    [
      `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${contractions}?|` +
        `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${contractions}?|` +
        `\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${whitespace}`,
    ],
  ],
  [
    "DeepSeek-V3",
    [
      "\\p{N}{1,3}",
      "[一-龥\u3040-ゟ゠-ヿ]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" +
        whitespace,
    ],
  ],
  [
    "DeepSeek-V2",
    ["[\\r\\n]", "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓ]+", "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+"],
  ],
];

/** Texts on which patterns are slow that try one place again from every other. */
const runs = ["a", "A", " ", " \n", "\n", "1", "'", "!", "日", "👩‍👩‍👧", "\u0301", "aA", " a", "\u00a0"];

describe("D4: patterns", () => {
  it.each(published)("of %s are run, with the Rust library's ids", async (_, patterns) => {
    const json = cutBy(...patterns);
    const tokenizer = openTokenizer(json, "x");
    const plain = RustTokenizer.fromString(edited((file) => file.added_tokens.splice(0), json));
    const piece = fc.constantFrom(...runs, "The", "'ll", "42", "x\r\n", "  ", "\t", "é", "$", "/", ".", "\n\n");
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: piece, maxLength: 24 }), async (text) => {
        const ids = (await plain.encode(text, null, { addSpecialTokens: false })).getIds();
        expect(Array.from(tokenizer.encode(text))).toEqual(ids);
      }),
      { numRuns: 300 },
    );
  });

  it.each(published)("of %s take time in proportion to the text", { timeout: 60_000 }, (_, patterns) => {
    const tokenizer = openTokenizer(cutBy(...patterns), "x");
    // Quadratic time would be 1.6e9 steps, some seconds on any machine. What ends each run may make it fail.
    for (const unit of runs) {
      for (const end of ["", "1", "b"]) {
        const text = unit.repeat(Math.ceil(40_000 / unit.length)) + end;
        expect([unit, end, processorTime(() => tokenizer.encode(text)) < 1]).toEqual([unit, end, true]);
      }
    }
  });

  it.each([
    ["nested repetitions", "(a+)+$", "at character 1: an endless repetition stands in a group"],
    ["a group repeated endlessly", "(?:a|aa)+b", "at character 1: a group is repeated endlessly"],
    ["adjacent repetitions", "a*a*b", "at character 5: what follows an endless repetition can fail"],
    ["a repetition before what may be missing", " +x", "at character 3: what follows an endless repetition can fail"],
    ["white space that is tried from each place", "\\s*[\\r\\n]+", "is not followed by |\\s+"],
    ["white space that is taken one by one", "\\s*[\\r\\n]+|\\s|\\s+", "is not followed by |\\s+"],
    ["many ways", "(?:a|a){30}b", "ways, more than 1024"],
    ["long repetitions", "a{1,100000}", "at most 64 times"],
    ["a repetition the wrong way round", "a{3,2}", "at most 64 times"],
    ["look-behind", "(?<=a)b", "at character 2: of groups"],
    ["look-ahead", "a+(?!b)", "at character 4: of groups"],
    ["an atomic group, which is Oniguruma's", "(?>a+)b", "at character 2: of groups"],
    ["a possessive repetition, which is Oniguruma's", "a++", "at character 3: lazy, possessive"],
    ["Oniguruma's \\G, \\K and calls", "\\Ga", "at character 1"],
    ["a named call", "\\g<x>", "at character 1"],
    ["Oniguruma's intersections", "[a-z&&[^b]]+", "at character 1"],
    ["a class of POSIX", "[[:alpha:]]+", "at character 1"],
    ["an option", "(?m)a.b", "at character 2: of groups"],
    ["a reference back", "(a)\\1", "at character 4"],
    ["an open group", "(", "at character 1: a `(` is not closed"],
    ["a group that was not opened", "a)", "at character 2: a `)` closes nothing"],
    ["an open class", "[a", "at character 1"],
    ["a repetition of nothing", "*", "at character 1"],
    ["groups nested 1,000 times", "(".repeat(1000), "nested deeper than 8"],
    ["a text that is too long", "a".repeat(100_000), "more than 4096"],
  ])("with %s are refused by place and reason", (_, pattern, reason) => {
    expectRefused(cutBy("\\p{N}", pattern), "bad-pattern", "pre_tokenizer.pretokenizers[1]: ", reason);
    expectRefused(cutBy(pattern), "bad-pattern", pattern.slice(0, 100));
  });

  it("of unknown properties and turned-round ranges are refused by the engine", () => {
    for (const pattern of ["\\p{Sorcery}", "[z-a]"]) expectRefused(cutBy(pattern), "not-understood");
  });

  it("are checked wherever they stand", () => {
    const bad = { type: "Replace", pattern: { Regex: "(a+)+$" }, content: "" };
    for (const part of ["normalizer", "pre_tokenizer", "decoder"] as const) {
      expectRefused(
        edited((file) => {
          file[part] = bad;
        }),
        "bad-pattern",
        part,
      );
    }
  });

  it("of random signs are refused, or run within a second of the processor on what is hard for them", () => {
    const sign = fc.constantFrom(
      ..."ab+*?|()[]^$ ",
      "{1,3}",
      "\\s",
      "\\p{L}",
      "[ab]",
      "(?:",
      "\\s+(?!\\S)",
      "\\s*[\\r\\n]+",
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.string({ unit: sign, maxLength: 12 }), (pattern) => {
        const verdict = judgePattern(pattern);
        if ("problem" in verdict) return;
        accepted++;
        const regex = new RegExp(verdict.run, "gu");
        for (const text of ["a", "b", " ", "ab", " a", "\n "]) {
          const hard = `${text.repeat(20_000)}c`;
          expect(processorTime(() => [...hard.matchAll(regex)])).toBeLessThan(1);
        }
      }),
      { numRuns: 1500 },
    );
    expect(accepted).toBeGreaterThan(100);
  }, 60_000);
});

describe("D4: parts that the library would skip", () => {
  const split = { type: "Split", pattern: { Regex: "a+" }, behavior: "Isolated", invert: false };
  it.each([
    ["no pattern", { ...split, pattern: undefined }, "missing-field"],
    ["an unknown kind of pattern", { ...split, pattern: { Glob: "a*" } }, "missing-field"],
    ["an empty text to cut by", { ...split, pattern: { String: "" } }, "missing-field"],
    ["a behaviour that it takes for another", { ...split, behavior: "MergedWithNext" }, "unsupported-part"],
    ["text that it would remove", { ...split, behavior: "Removed" }, "unsupported-part"],
    ["what is between, which it would remove", { ...split, invert: true }, "unsupported-part"],
    ["pieces of no length, for which it would not end", { type: "FixedLength", length: 0 }, "missing-field"],
    ["a Sequence of nothing known", { type: "Sequence", parts: [] }, "missing-field"],
    ["a Sequence of numbers", { type: "Sequence", pretokenizers: [1] }, "missing-field"],
  ])("%s", (_, part, code) => {
    expectRefused(
      edited((file) => {
        file.pre_tokenizer = part;
      }),
      code,
      "pre_tokenizer",
    );
  });

  it("Sequences nested 10,000 times", () => {
    const nested = `${'{"type":"Sequence","pretokenizers":['.repeat(10_000)}${"]}".repeat(10_000)}`;
    const json = edited((file) => {
      file.pre_tokenizer = "HERE";
    }).replace('"HERE"', nested);
    expectRefused(json, "unsupported-part", "nested deeper than 16");
  });

  it("bytes without a token, and an unknown token without an id", () => {
    const without = (token: string): string =>
      edited((file) => {
        const last = Object.keys(file.model.vocab).at(-1) as string;
        file.model.merges = file.model.merges.filter(
          (merge) =>
            !(merge as string[]).concat((merge as string[]).join("")).some((part) => part === token || part === last),
        );
        file.model.vocab[last] = file.model.vocab[token];
        delete file.model.vocab[token];
      });
    expectRefused(without("Ā"), "loses-text", "the byte 0");
    const unknown = edited((file) => {
      file.model.unk_token = "<what>";
    });
    expectRefused(unknown, "loses-text", "<what>");
  });
});

const kinds: readonly (readonly [string, string])[] = [
  ["the byte tokenizer", "bytes"],
  ["a trained tokenizer", mixed],
  ["a tokenizer with patterns", cutBy(...published[4][1])],
  ["a tokenizer with byte fallback", stories],
];

describe.each(kinds)("%s", (_, json) => {
  const tokenizer = openTokenizer(json, "x");

  it.each([
    ["one letter", "a"],
    ["spaces", " "],
    ["joined emoji", "👩‍👩‍👧"],
    ["one combining mark", "\u0301"],
  ])("D5: a run of %s takes at most 2.2 times the time for twice the length", { timeout: 60_000 }, (_name, unit) => {
    const textOf = (bytes: number) => unit.repeat(Math.ceil(bytes / Buffer.byteLength(unit)));
    const [short, long] = [textOf(1 << 17), textOf(1 << 20)];
    tokenizer.encode(textOf(1 << 15));
    // Collections of garbage and other processes add to some runs; what the algorithm takes is what the fastest takes.
    let [ofShort, ofLong] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    // Over three doublings, where an algorithm of n² takes 64 times as long; a tick of the clock of processes is 4 ms.
    const isSlow = () => !(ofLong <= 2.2 ** 3 * Math.max(ofShort, 0.008));
    for (let round = 0; round < 3 || (round < 9 && isSlow()); round++) {
      ofShort = Math.min(
        ofShort,
        processorTime(() => tokenizer.encode(short)),
      );
      ofLong = Math.min(
        ofLong,
        processorTime(() => tokenizer.encode(long)),
      );
    }
    expect(ofLong).toBeLessThanOrEqual(2.2 ** 3 * Math.max(ofShort, 0.008));
    const whole = unit.repeat(Math.ceil(1_000_000 / Buffer.byteLength(unit)));
    expect(tokenizer.decode(tokenizer.encode(whole))).toBe(whole);
  });

  it("D5: a word of thousands of characters has the Rust library's ids", { timeout: 60_000 }, async () => {
    if (json === "bytes") return;
    const plain = RustTokenizer.fromString(edited((file) => file.added_tokens.splice(0), json));
    const piece = fc.constantFrom("a", "b", "t", "h", "e", "there", "States", "aa", "日", "\u0301");
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: piece, minLength: 300, maxLength: 3000, size: "max" }), async (text) => {
        const ids = (await plain.encode(text, null, { addSpecialTokens: false })).getIds();
        expect(Array.from(tokenizer.encode(text))).toEqual(ids);
      }),
      { numRuns: 60 },
    );
  });

  it("D6: gives back NUL, U+FFFD, U+FEFF and every other valid text, and takes a lone surrogate for U+FFFD", () => {
    const hard = fc.constantFrom(
      "\0",
      "\ufffd",
      "\ufeff",
      "\uffff",
      "\u{10ffff}",
      "\ud7ff",
      "\ue000",
      " ",
      "a",
      "\u0301",
      "🙂",
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.oneof(hard, fc.string({ unit: "binary", maxLength: 1 })) }), (text) => {
        // Tokenizers of this kind write U+2581 for a space.
        fc.pre(json !== stories || !text.includes("\u2581"));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { numRuns: 2000 },
    );
    for (const text of ["\ud800", "a\udc00b", "\udc00\ud800", "\ud83d x"]) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(Buffer.from(text).toString());
    }
  });
});

it("D6: bytes that are no UTF-8 are read as U+FFFD, each as the standard says", () => {
  const tokenizer = openTokenizer("bytes", "bytes");
  // The table of maximal subparts in Unicode's chapter 3, U+FFFD substitution.
  const bytes = [0x61, 0xf1, 0x80, 0x80, 0xe1, 0x80, 0xc2, 0x62, 0x80, 0x63, 0x80, 0xbf, 0x64];
  expect(tokenizer.decode(bytes)).toBe("a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd");
});
