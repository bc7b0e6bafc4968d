// Whether numbers are tokens of a model: what is none would read a row of the embedding that is not there.

import { notAToken } from "../messages/serve.ts";

/** Errors: `serve/token-outside-vocab` for the first that is no whole number from 0 to `vocab` - 1. */
export function checkTokens(tokens: ArrayLike<number>, vocab: number): void {
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    if (!(Number.isInteger(token) && token >= 0 && token < vocab)) throw notAToken(index, token, vocab);
  }
}
