// Decoding for tokenizers whose tokens are bytes: a token alone may hold half a character.

import { idOutsideVocab } from "../messages/tokenizer.ts";
import type { StreamingDecoder } from "./tokenizer.ts";

export interface TokenBytes {
  /** Ids are 0 to vocab - 1. */
  readonly vocab: number;
  /** Empty for special tokens. */
  bytesOf(id: number): Uint8Array;
}

/** A byte order mark is text like any other. */
const keepMark = { ignoreBOM: true };

/** The text of ids; bytes that are no UTF-8 become U+FFFD. Errors: `tokenizer/id-outside-vocab`. */
export function decodeBytes(tokens: TokenBytes, ids: ArrayLike<number>): string {
  const pieces = Array.from(ids, (id) => checkedBytes(tokens, id));
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return new TextDecoder("utf-8", keepMark).decode(bytes);
}

/** Decodes ids as they come; the decoder holds back what may still become a character. */
export function startDecodingBytes(tokens: TokenBytes): StreamingDecoder {
  const decoder = new TextDecoder("utf-8", keepMark);
  return {
    push: (id) => decoder.decode(checkedBytes(tokens, id), { stream: true }),
    end: () => decoder.decode(),
  };
}

function checkedBytes(tokens: TokenBytes, id: number): Uint8Array {
  if (!(id >= 0 && id < tokens.vocab)) throw idOutsideVocab(id, tokens.vocab);
  return tokens.bytesOf(id);
}
