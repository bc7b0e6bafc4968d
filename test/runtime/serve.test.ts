import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, Model } from "../../runtime/model.ts";
import { PagePool } from "../../runtime/serve/page-pool.ts";
import { chooseToken, defaultSampling, type Sampling } from "../../runtime/serve/sampler.ts";
import { openTiny, tinySpec } from "./tiny-model.ts";

/** Wider weights than training begins with, so that the next token is no coin toss. */
const lively = ["train.init=normal(0.5)", "model.tie_embeddings=false"];
/** Blocks of keys that no row of a tile sees must be skipped without leaving a trace. */
const windowed = [...lively, "model.attention.mask=k <= q && q - k < 7", "model.attention.score=8 * tanh(s / 8)"];

const prompt = (length: number, salt = 0): number[] => Array.from({ length }, (_, i) => (i * 31 + salt * 7 + 3) % 256);

describe.each([
  ["a plain mask", lively],
  ["a window and a bent score", windowed],
])("with %s", (_, overrides) => {
  let model: Model;
  beforeAll(async () => {
    model = await openTiny(tinySpec, overrides, { threads: 2 });
    await model.initialize();
  });
  afterAll(async () => {
    await model.close();
  });

  /** The next tokens, computing everything again for each of them. */
  async function withoutCache(tokens: readonly number[], count: number): Promise<number[]> {
    const all = [...tokens];
    for (let i = 0; i < count; i++) {
      const logits = await model.logits(all);
      all.push(chooseToken(logits.subarray(-259), { ...defaultSampling, temperature: 0 }, 0));
    }
    return all.slice(tokens.length);
  }

  const greedy = (tokens: readonly number[], maxTokens: number): GenerateOptions => {
    return { prompt: tokens, maxTokens, temperature: 0 };
  };

  it("writes with the cache what it writes without", async () => {
    for (const length of [1, 5, 32, 33]) {
      const { tokens } = await model.generate(greedy(prompt(length), 12));
      expect([...tokens], `prompt of ${length}`).toEqual(await withoutCache(prompt(length), 12));
    }
  });

  it("gives the same logits to the bit for any chunks of a sequence", async () => {
    const tokens = prompt(45);
    const whole = await model.logits(tokens);
    const { PagedCache } = await import("../../runtime/serve/paged-cache.ts");
    for (const sizes of [[1], [2, 3], [7], [31, 1], [32]]) {
      const cache = new PagedCache(model.device);
      const sequence = cache.open(tokens.length);
      if (sequence === undefined) throw new Error("an empty cache has room");
      const rows: number[] = [];
      for (let start = 0, i = 0; start < tokens.length; i++) {
        const part = tokens.slice(start, start + sizes[i % sizes.length]);
        rows.push(...(await cache.extend([{ sequence, tokens: part, logits: "all" }])));
        start += part.length;
      }
      expect(Float32Array.from(rows), `chunks of ${sizes}`).toEqual(whole);
    }
  });

  it("gives each of several prompts of different lengths what it gets alone", async () => {
    // More sequences than rows of the page table, and prompts longer than a call.
    const list = [5, 33, 1, 17, 40].map((length, i) => {
      return { prompt: prompt(length, i), maxTokens: 7 + i, temperature: 1, seed: 3, sequence: i };
    });
    const together = await model.generateAll(list);
    for (const [i, options] of list.entries()) {
      const alone = await model.generate(options);
      expect(together[i], `prompt ${i}`).toEqual(alone);
    }
  });

  it("frees the pages of what is done", async () => {
    for (let i = 0; i < 5; i++) await model.generate(greedy(prompt(40), 8));
    expect((await model.generate(greedy(prompt(40), 8))).tokens.length).toBe(8);
  });
});

describe("limits", () => {
  let model: Model;
  beforeAll(async () => {
    model = await openTiny(tinySpec, [...lively, "serve.pages=11"]);
    await model.initialize();
  });
  afterAll(async () => {
    await model.close();
  });

  it("a prompt that fills the context is refused with both numbers", async () => {
    await expect(model.generate({ prompt: prompt(48) })).rejects.toThrow(/48 tokens; the model's context holds 48/);
  });

  it("text ends where the context does, and says so", async () => {
    const all = await openTiny(tinySpec, lively);
    await all.initialize();
    const { tokens, reason } = await all.generate({ prompt: prompt(40), maxTokens: 100, temperature: 0 });
    expect([tokens.length, reason]).toEqual([8, "context"]);
    await all.close();
  });

  it("what the cache cannot hold is refused with the arithmetic", async () => {
    await expect(model.generate({ prompt: prompt(40), maxTokens: 8 })).rejects.toThrow(
      /48 tokens take 12 pages of 4; serve\.pages is 11/,
    );
    expect((await model.generate({ prompt: prompt(36), maxTokens: 8 })).reason).toBe("most tokens");
  });

  it("tokens that are none, too many tokens, and options out of range are refused", async () => {
    await expect(model.generate({ prompt: [3, 259] })).rejects.toThrow(
      /259, which is not a token.*at place 1.*0 to 255/s,
    );
    await expect(model.logits(prompt(49))).rejects.toThrow(/49 tokens do not fit/);
    for (const token of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32]) {
      const stream = { tokens: [1, token] as unknown as Int32Array, documentStarts: Int32Array.of(0) };
      for (const call of [
        () => model.logits([3, token]),
        () => model.generate({ prompt: [3, token] }),
        () => model.evaluate(stream),
        () => model.train({ corpus: { train: stream, validation: stream } }),
      ]) {
        await expect(call(), String(token)).rejects.toThrow(/token-outside-vocab.*at place 1/s);
      }
    }
    // The model has 259 rows; its tokenizer has 256 tokens.
    await expect(model.logits([259])).rejects.toThrow(/0 to 258/);
    expect(await model.logits([258])).toHaveLength(259);
    for (const seed of [-1, 1.5, Number.NaN]) {
      await expect(model.generate({ prompt: [1], seed }), `seed ${seed}`).rejects.toThrow(/serve\/bad-option.*seed/);
      await expect(model.initialize(seed)).rejects.toThrow(/model\/bad-seed/);
    }
    await expect(model.generate({ prompt: [1], maxTokens: 0 })).rejects.toThrow(/cannot be 0/);
    const options: readonly (readonly [keyof Sampling, number])[] = [
      ["temperature", -1],
      ["temperature", Number.NaN],
      ["topK", 1.5],
      ["topK", -1],
      ["topP", 0],
      ["topP", 1.5],
      ["minP", -0.1],
    ];
    for (const [name, value] of options) {
      await expect(model.generate({ prompt: [1], [name]: value }), `${name} ${value}`).rejects.toThrow(
        /serve\/bad-option/,
      );
    }
  });

  it("an empty prompt begins a document as training's samples do; without a tokenizer nothing says how", async () => {
    const { tokens } = await model.generate({ prompt: "\n", maxTokens: 9, seed: 5 });
    expect((await model.generate({ prompt: "", maxTokens: 9, seed: 5 })).tokens).toEqual(tokens);
    const mute = await openTiny(tinySpec, ["data.tokenizer=elsewhere.json"]);
    await mute.initialize();
    await expect(mute.generate({ prompt: [] })).rejects.toThrow(/serve\/empty-prompt/);
    await mute.close();
  });

  it("a signal ends the text between two tokens", async () => {
    const controller = new AbortController();
    let count = 0;
    const options = { prompt: [5], maxTokens: 30, onToken: () => void (++count === 4 && controller.abort()) };
    const { tokens, reason } = await model.generate(options, controller.signal);
    expect([tokens.length, reason]).toEqual([4, "stopped"]);
  });

  it("text is told as it comes and is the text of the tokens", async () => {
    const parts: string[] = [];
    const options = { prompt: "The ", maxTokens: 40, seed: 4, onText: (part: string) => void parts.push(part) };
    const { text, tokens } = await model.generate(options);
    expect(parts.join("")).toBe(text);
    expect(text).toBe(model.tokenizer.decode(tokens));
    expect(parts.length).toBeGreaterThan(5);
  });
});

describe("pages", () => {
  it("are handed out once, and again after they were given back", () => {
    const pool = new PagePool(5);
    const [first, second] = [pool.take(2), pool.take(2)];
    expect(first).toEqual([0, 1]);
    expect(second).toEqual([2, 3]);
    expect(pool.take(2)).toBeUndefined();
    pool.giveBack(first ?? []);
    expect(pool.free).toBe(3);
    expect(pool.take(3)).toEqual([0, 1, 4]);
  });
});

describe("the sampler", () => {
  const logits = Float32Array.of(1, 3, 2, 3, -1);
  const choose = (options: Partial<Sampling>, random: number, of = logits) =>
    chooseToken(of, { ...defaultSampling, temperature: 1, ...options }, random);
  /** Which tokens are reachable, and how often of 1,000 evenly spread draws. */
  const counts = (options: Partial<Sampling>, of = logits): number[] => {
    const result = new Array<number>(of.length).fill(0);
    for (let i = 0; i < 1000; i++) result[choose(options, (i + 0.5) / 1000, of)]++;
    return result;
  };

  it("takes the largest at temperature 0, of equal ones the smaller id", () => {
    expect(choose({ temperature: 0 }, 0.99)).toBe(1);
  });

  it("draws by the softmax of the logits over the temperature", () => {
    for (const temperature of [1, 2]) {
      const weights = [...logits].map((logit) => Math.exp(logit / temperature));
      const total = weights.reduce((a, b) => a + b, 0);
      counts({ temperature }).forEach((count, id) => {
        expect(Math.abs(count - (1000 * weights[id]) / total)).toBeLessThanOrEqual(1);
      });
    }
  });

  it("keeps the k most likely tokens, of equal ones the smaller ids", () => {
    expect(counts({ topK: 1 })).toEqual([0, 1000, 0, 0, 0]);
    expect(counts({ topK: 2 })).toEqual([0, 500, 0, 500, 0]);
    expect(counts({ topK: 3 }).map((count) => count > 0)).toEqual([false, true, true, true, false]);
    expect(counts({ topK: 99 }).every((count) => count > 0)).toBe(true);
  });

  it("keeps the fewest tokens that make up a probability", () => {
    // Probabilities in order: 0.3966, 0.3966, 0.1459, 0.0537, 0.0073.
    const reachable = (topP: number) => counts({ topP }).filter((count) => count > 0).length;
    expect([0.1, 0.39, 0.41, 0.79, 0.81, 0.93, 0.95, 0.99].map(reachable)).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  });

  it("drops what is far less likely than the best", () => {
    // exp(2 - 3) = 0.368, exp(1 - 3) = 0.135.
    expect(counts({ minP: 0.4 }).map((count) => count > 0)).toEqual([false, true, false, true, false]);
    expect(counts({ minP: 0.3 }).map((count) => count > 0)).toEqual([false, true, true, true, false]);
  });

  it("refuses logits that are no numbers", () => {
    expect(() => choose({}, 0.5, Float32Array.of(1, Number.NaN))).toThrow(/token 1 has NaN/);
    expect(() => choose({ temperature: 0 }, 0.5, Float32Array.of(Number.POSITIVE_INFINITY))).toThrow(/Infinity/);
  });
});

it("logits do not depend on what is trained at once, also where sizes pad to the same", async () => {
  const tokens = prompt(32);
  const logitsWith = async (sequence: number) => {
    const overrides = [`train.sequence=${sequence}`, "train.batch={ sequences: 2, micro: 1 }", "serve.tokens=32"];
    const model = await openTiny(tinySpec, overrides);
    await model.initialize();
    const logits = await model.logits(tokens);
    await model.close();
    return logits;
  };
  const expected = await logitsWith(48);
  for (const sequence of [31, 30, 17, 32]) expect(await logitsWith(sequence), `sequence ${sequence}`).toEqual(expected);
});
