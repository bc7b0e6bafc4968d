// Documents as one row of tokens, and how some of them are set aside for validation.

import { permute, streams } from "../random.ts";
import { IdList } from "./id-list.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface TokenStream {
  readonly tokens: Int32Array;
  /** Where each document begins in `tokens`, ascending; the first is 0. */
  readonly documentStarts: Int32Array;
}

/** Collects documents; with `separator` that token stands behind each. */
export class TokenStreamBuilder {
  readonly #tokens = new IdList();
  readonly #starts = new IdList();
  readonly #separator: number | undefined;

  constructor(separator: number | undefined) {
    this.#separator = separator;
  }

  /** A document without tokens would begin where the next one does, so it is none. */
  add(document: Int32Array): void {
    if (document.length === 0) return;
    this.#starts.push(this.#tokens.length);
    this.#tokens.append(document);
    if (this.#separator !== undefined) this.#tokens.push(this.#separator);
  }

  finish(): TokenStream {
    return { tokens: this.#tokens.take(), documentStarts: this.#starts.take() };
  }
}

/** Documents as tokens, each with the token behind it that ends it, where the tokenizer has one. */
export function encodeDocuments(
  tokenizer: Pick<Tokenizer, "encode" | "endOfText">,
  documents: readonly string[],
): TokenStream {
  const builder = new TokenStreamBuilder(tokenizer.endOfText);
  for (const document of documents) builder.add(tokenizer.encode(document));
  return builder.finish();
}

/** The tokens of a document, with its separator. */
export function documentTokens({ tokens, documentStarts }: TokenStream, index: number): Int32Array {
  return tokens.subarray(documentStarts[index], documentStarts[index + 1] ?? tokens.length);
}

export interface Split {
  readonly train: TokenStream;
  readonly validation: TokenStream;
}

/**
 * Sets aside about `fraction` of the tokens: whole documents in an order that only the seed decides, until the next one
 * would lead further from the fraction than towards it; at least one, never all. Of a single document, its end. Of a
 * fraction of 0, nothing.
 */
export function splitForValidation(stream: TokenStream, fraction: number, seed: number): Split {
  const count = stream.documentStarts.length;
  if (count < 2 || fraction === 0) return splitTail(stream, fraction);
  const wanted = stream.tokens.length * fraction;
  const isSetAside = new Uint8Array(count);
  let taken = 0;
  for (let place = 0; place < count - 1; place++) {
    const index = permute({ seed, stream: streams.validationSplit, step: 0 }, count, place);
    const length = documentTokens(stream, index).length;
    if (place > 0 && taken + length - wanted > wanted - taken) break;
    isSetAside[index] = 1;
    taken += length;
  }
  const train = new TokenStreamBuilder(undefined);
  const validation = new TokenStreamBuilder(undefined);
  for (let index = 0; index < count; index++) {
    (isSetAside[index] === 1 ? validation : train).add(documentTokens(stream, index));
  }
  return { train: train.finish(), validation: validation.finish() };
}

function splitTail({ tokens, documentStarts }: TokenStream, fraction: number): Split {
  const end = tokens.length - Math.round(tokens.length * fraction);
  return {
    train: { tokens: tokens.slice(0, end), documentStarts },
    validation: { tokens: tokens.slice(end), documentStarts: Int32Array.of(...(end < tokens.length ? [0] : [])) },
  };
}
