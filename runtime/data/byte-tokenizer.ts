// The tokenizer whose tokens are the bytes of a text's UTF-8.

import { decodeBytes, startDecodingBytes, type TokenBytes } from "./token-bytes.ts";
import type { Tokenizer } from "./tokenizer.ts";

const encoder = new TextEncoder();

const eachByte: TokenBytes = { vocab: 256, bytesOf: (id) => Uint8Array.of(id) };

export const byteTokenizer: Tokenizer = {
  vocab: 256,
  endOfText: undefined,
  encode: (text) => Int32Array.from(encoder.encode(text)),
  decode: (ids) => decodeBytes(eachByte, ids),
  startDecoding: () => startDecodingBytes(eachByte),
};
