// Text to token ids and back. Opens the byte tokenizer and tokenizer.json files; trains none.

import { byteTokenizer } from "./byte-tokenizer.ts";
import { openTokenizerJson } from "./tokenizer-json.ts";

export interface Tokenizer {
  /** Ids are 0 to vocab - 1. */
  readonly vocab: number;
  /** The token that ends a document; undefined when the tokenizer has none. */
  readonly endOfText: number | undefined;
  /** Text never becomes a special token, whatever it says. A lone surrogate is encoded as U+FFFD. */
  encode(text: string): Int32Array;
  /** Special tokens are left out; bytes that are no UTF-8 become U+FFFD. Errors: `tokenizer/id-outside-vocab`. */
  decode(ids: ArrayLike<number>): string;
  /** Decodes ids as they come. */
  startDecoding(): StreamingDecoder;
}

/** Text appears as soon as its characters are whole: never half of one, and never later than that. */
export interface StreamingDecoder {
  /** The text that this id completes; often none, sometimes several characters. */
  push(id: number): string;
  /** What is left; U+FFFD when the last character is not whole. */
  end(): string;
}

/**
 * Opens a tokenizer: `bytes` (ids are the bytes of the text's UTF-8), or the text of a tokenizer.json.
 *
 * Errors: a fault `tokenizer/…` at `name`.
 */
export function openTokenizer(spec: string, name: string): Tokenizer {
  return spec === "bytes" ? byteTokenizer : openTokenizerJson(spec, name);
}
