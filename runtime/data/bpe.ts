// Trains a byte-level BPE tokenizer and writes it as a tokenizer.json, with the ids and merges of the `tokenizers`
// library: same order of the alphabet, same ties, same treatment of a token that two merges spell.

import { vocabTooSmall } from "../messages/tokenizer.ts";
import { byteCharacters, forEachWord, toByteCharacters } from "./byte-level.ts";
import { type Merge, MergeQueue } from "./merge-queue.ts";

/** Stands between documents; always id 0. */
const END_OF_TEXT = "<|endoftext|>";
/** The end of text and one token per byte. */
const SMALLEST_VOCAB = 257;

/** How often each word occurs; filled text by text, so that a corpus need not be in memory. */
export type WordCounts = Map<string, number>;

/** Counts the words of one document. */
export function countWords(text: string, counts: WordCounts): void {
  forEachWord(text, (word) => void counts.set(word, (counts.get(word) ?? 0) + 1));
}

export interface TrainedTokenizer {
  /** The text of a tokenizer.json. */
  readonly json: string;
  /** At most what was asked for: a small corpus has no more pairs to merge. */
  readonly vocab: number;
}

/**
 * Trains a tokenizer of at most `vocab` tokens.
 *
 * Method: the most frequent pair is merged, again and again; of equally frequent ones the pair of smaller ids.
 * Errors: `tokenizer/vocab-too-small` below 257.
 * Source: tokenizers 0.23, models/bpe/trainer.rs.
 */
export function trainBpe(counts: WordCounts, vocab: number): TrainedTokenizer {
  if (vocab < SMALLEST_VOCAB) throw vocabTooSmall(vocab, SMALLEST_VOCAB);
  const trainer = new BpeTrainer(counts);
  while (trainer.tokens.length < vocab && trainer.mergeNext()) {}
  return { json: encodeTokenizer(trainer.tokens, trainer.merges), vocab: trainer.tokens.length };
}

/** Ids stay below 2^21, so a pair is a whole number that f64 holds. */
const PAIR = 2 ** 21;

class BpeTrainer {
  readonly tokens: string[] = [END_OF_TEXT, ...byteCharacters.toSorted()];
  readonly #ids = new Map(this.tokens.map((token, id) => [token, id]));
  /** The pairs that were merged, in order. One that is merged again moves to the end, as in the library. */
  readonly #merges = new Set<number>();
  /** Each word as ids. */
  readonly #words: number[][] = [];
  readonly #counts: number[] = [];
  readonly #pairCounts = new Map<number, number>();
  /** The words in which pairs have newly appeared since the queue was last filled. */
  #newPlaces = new Map<number, number[]>();
  readonly #queue = new MergeQueue();

  constructor(counts: WordCounts) {
    for (const [word, count] of counts) {
      const ids = [...toByteCharacters(word)].map((character) => this.#ids.get(character) ?? 0);
      const index = this.#words.push(ids) - 1;
      this.#counts.push(count);
      for (let i = 1; i < ids.length; i++) this.#countPair(ids[i - 1] * PAIR + ids[i], count, index);
    }
    this.#fillQueue();
  }

  get merges(): [string, string][] {
    return [...this.#merges].map((pair) => [this.tokens[Math.floor(pair / PAIR)], this.tokens[pair % PAIR]]);
  }

  /** Merges the most frequent pair; false when there is none. */
  mergeNext(): boolean {
    for (let top = this.#queue.pop(); top !== undefined; top = this.#queue.pop()) {
      const count = this.#pairCounts.get(top.pair) ?? 0;
      if (count !== top.count) {
        // Earlier merges have used up some of it: it queues again with what is left.
        this.#queue.push({ ...top, count });
        continue;
      }
      if (count < 1) return false;
      this.#merge(top);
      return true;
    }
    return false;
  }

  #merge({ pair, words }: Merge): void {
    const left = Math.floor(pair / PAIR);
    const right = pair % PAIR;
    const token = this.tokens[left] + this.tokens[right];
    let id = this.#ids.get(token);
    if (id === undefined) {
      id = this.tokens.push(token) - 1;
      this.#ids.set(token, id);
    }
    this.#merges.delete(pair);
    this.#merges.add(pair);
    for (const index of words) this.#mergeWord(index, left, right, id);
    this.#fillQueue();
  }

  /** Replaces the pair in one word, from left to right, and counts the pairs that go and come. */
  #mergeWord(index: number, left: number, right: number, id: number): void {
    const ids = this.#words[index];
    const count = this.#counts[index];
    let length = 0;
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] !== left || i + 1 === ids.length || ids[i + 1] !== right) {
        ids[length++] = ids[i];
        continue;
      }
      if (length > 0) {
        this.#uncountPair(ids[length - 1] * PAIR + left, count);
        this.#countPair(ids[length - 1] * PAIR + id, count, index);
      }
      if (i + 2 < ids.length) {
        this.#uncountPair(right * PAIR + ids[i + 2], count);
        this.#countPair(id * PAIR + ids[i + 2], count, index);
      }
      ids[length++] = id;
      i++;
    }
    ids.length = length;
  }

  #countPair(pair: number, count: number, word: number): void {
    this.#pairCounts.set(pair, (this.#pairCounts.get(pair) ?? 0) + count);
    const words = this.#newPlaces.get(pair);
    if (words === undefined) this.#newPlaces.set(pair, [word]);
    else if (words[words.length - 1] !== word) words.push(word);
  }

  #uncountPair(pair: number, count: number): void {
    this.#pairCounts.set(pair, (this.#pairCounts.get(pair) ?? 0) - count);
  }

  #fillQueue(): void {
    for (const [pair, words] of this.#newPlaces) {
      const count = this.#pairCounts.get(pair) ?? 0;
      if (count > 0) this.#queue.push({ pair, count, words });
    }
    this.#newPlaces = new Map();
  }
}

/** The file as the library saves it, to the byte. */
function encodeTokenizer(tokens: readonly string[], merges: readonly [string, string][]): string {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const file = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ id: 0, content: END_OF_TEXT, ...special }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      // Filled in below: an object would put the tokens "0" to "9" first.
      vocab: {},
      merges,
    },
  };
  const vocab = tokens.map((token, id) => `      ${JSON.stringify(token)}: ${id}`).join(",\n");
  return JSON.stringify(file, undefined, 2).replace('"vocab": {}', () => `"vocab": {\n${vocab}\n    }`);
}
