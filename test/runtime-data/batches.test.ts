import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  batchAt,
  checkTrainingLength,
  checkValidationLength,
  countEvaluationWindows,
  evaluationBatch,
  parseOrder,
  shuffledOffsets,
} from "../../runtime/data/batches.ts";
import type { TokenStream } from "../../runtime/data/token-stream.ts";

/** A stream whose tokens count up from 1000, with documents of these lengths. */
function streamOf(lengths: readonly number[]): TokenStream {
  const starts: number[] = [];
  let length = 0;
  for (const one of lengths) {
    starts.push(length);
    length += one;
  }
  return { tokens: Int32Array.from({ length }, (_, i) => 1000 + i), documentStarts: Int32Array.from(starts) };
}

const shapes = fc.record({
  lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
  sequence: fc.integer({ min: 1, max: 20 }),
  seed: fc.nat(2 ** 53 - 1),
});

describe("a batch", () => {
  it("holds tokens, the tokens after them, documents and positions", () => {
    const batch = batchAt(streamOf([3, 1, 6]), 4, [0, 5]);
    expect(batch.rows).toBe(2);
    expect([...batch.tokens]).toEqual([1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008]);
    expect([...batch.targets]).toEqual([1001, 1002, 1003, 1004, 1006, 1007, 1008, 1009]);
    expect([...batch.documents]).toEqual([0, 0, 0, 1, 2, 2, 2, 2]);
    expect([...batch.positions]).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });

  it("tells every token's document, wherever it begins", () => {
    fc.assert(
      fc.property(shapes, fc.nat(), ({ lengths, sequence }, at) => {
        const stream = streamOf(lengths);
        fc.pre(stream.tokens.length > sequence);
        const offset = at % (stream.tokens.length - sequence);
        const expected = lengths.flatMap((length, document) => Array<number>(length).fill(document));
        expect([...batchAt(stream, sequence, [offset]).documents]).toEqual(expected.slice(offset, offset + sequence));
      }),
    );
  });
});

describe("the order of training", () => {
  it("gives the same sequences however the steps divide them, so resuming continues it", () => {
    fc.assert(
      fc.property(
        shapes,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
        ({ lengths, sequence, seed }, steps) => {
          const stream = streamOf(lengths);
          fc.pre(stream.tokens.length > sequence);
          const total = steps.reduce((sum, count) => sum + count, 0);
          const atOnce = shuffledOffsets(stream, sequence, seed, 0, total);
          let consumed = 0;
          const inSteps = steps.flatMap((count) => {
            const offsets = shuffledOffsets(stream, sequence, seed, consumed, count);
            consumed += count;
            return offsets;
          });
          expect(inSteps).toEqual(atOnce);
        },
      ),
    );
  });

  it("stays within the data and, in an epoch, uses no token twice and leaves out at most two sequences' worth", () => {
    fc.assert(
      fc.property(shapes, ({ lengths, sequence, seed }) => {
        const stream = streamOf(lengths);
        const { length } = stream.tokens;
        fc.pre(length > sequence);
        const windows = Math.max(1, Math.floor(length / sequence) - 1);
        for (let epoch = 0; epoch < 4; epoch++) {
          const offsets = shuffledOffsets(stream, sequence, seed, epoch * windows, windows).toSorted((a, b) => a - b);
          expect(offsets[0]).toBeGreaterThanOrEqual(0);
          expect(offsets[windows - 1] + sequence + 1).toBeLessThanOrEqual(length);
          for (let i = 1; i < windows; i++) expect(offsets[i] - offsets[i - 1]).toBe(sequence);
          expect(length - windows * sequence).toBeLessThan(2 * sequence + 1);
        }
      }),
    );
  });

  it("differs between epochs in order and in phase, and between seeds", () => {
    const stream = streamOf([5000]);
    const windows = 5000 / 10 - 1;
    const epochs = Array.from({ length: 30 }, (_, epoch) => shuffledOffsets(stream, 10, 42, epoch * windows, windows));
    expect(new Set(epochs.map((offsets) => offsets[0] % 10)).size).toBeGreaterThan(5);
    expect(new Set(epochs.map((offsets) => offsets.join())).size).toBe(30);
    expect(shuffledOffsets(stream, 10, 43, 0, windows)).not.toEqual(epochs[0]);
    expect(epochs[0].toSorted((a, b) => a - b)).not.toEqual(epochs[0]);
  });

  it("needs a sequence and the token after it, and says so", () => {
    expect(() => checkTrainingLength(streamOf([256]), 256)).toThrow(
      "it has 256 tokens; a sequence of 256 and the token after it take 257",
    );
    for (const lengths of [[], [1]]) {
      expect(() => checkTrainingLength(streamOf(lengths), 4)).toThrow(
        expect.objectContaining({ code: "data/too-few-tokens" }),
      );
      expect(() => checkValidationLength(streamOf(lengths))).toThrow(
        expect.objectContaining({ at: "data.validation" }),
      );
    }
    checkTrainingLength(streamOf([257]), 256);
    checkValidationLength(streamOf([2]));
    expect(shuffledOffsets(streamOf([257]), 256, 1, 0, 3)).toEqual([0, 0, 0]);
  });
});

describe("evaluation", () => {
  it("makes every token but the first a target exactly once, in order, with padding behind", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 5 }), ({ lengths, sequence }, rows) => {
        const stream = streamOf(lengths);
        const windows = countEvaluationWindows(stream, sequence);
        const targets: number[] = [];
        for (let first = 0; first < windows; first += rows) {
          const batch = evaluationBatch(stream, sequence, first, rows);
          expect(batch.tokens).toHaveLength(rows * sequence);
          for (const [at, target] of batch.targets.entries()) {
            if (target === -1) expect([batch.tokens[at], batch.documents[at]]).toEqual([0, -1]);
            else {
              targets.push(target);
              expect(batch.tokens[at]).toBe(target - 1);
            }
          }
        }
        expect(targets).toEqual([...stream.tokens.slice(1)]);
      }),
    );
  });

  it("of nothing has no windows, and a batch beyond the end is all padding", () => {
    expect(countEvaluationWindows(streamOf([]), 8)).toBe(0);
    expect(countEvaluationWindows(streamOf([1]), 8)).toBe(0);
    expect([...evaluationBatch(streamOf([5]), 4, 3, 1).targets]).toEqual([-1, -1, -1, -1]);
  });
});

describe("an explicit order", () => {
  const stream = streamOf([100]);

  it("gives each step its offsets", () => {
    const order = parseOrder("[[0, 90], [5]]", "offsets.json", stream, 9);
    expect([order.offsets(0), order.offsets(1)]).toEqual([[0, 90], [5]]);
    expect(() => order.offsets(2)).toThrow(
      "data/order-too-short: the order has no step 2\n  offsets.json\n  it has 2 steps, counted from 0",
    );
  });

  it.each([
    [
      "[[0], [91]]",
      "data/offset-outside",
      "offsets.json: step 1, entry 0\n  offset 91; the last one with room for a sequence and the token after it is 90",
    ],
    ["[[3, -1]]", "data/offset-outside", "step 0, entry 1"],
    ["[[1.5]]", "data/bad-order", "entry 0 of step 0 is no whole number"],
    ['[["1"]]', "data/bad-order", "entry 0 of step 0 is no whole number"],
    ["[[]]", "data/bad-order", "step 0 is no array of offsets"],
    ["[3]", "data/bad-order", "step 0 is no array of offsets"],
    ["{}", "data/bad-order", "it is no array"],
    ["[[1]", "data/bad-order", "JSON"],
  ])("of %s is refused", (text, code, words) => {
    expect(() => parseOrder(text, "offsets.json", stream, 9)).toThrow(expect.objectContaining({ code, kind: "input" }));
    expect(() => parseOrder(text, "offsets.json", stream, 9)).toThrow(words);
  });
});
