// The types of what is used of @huggingface/tokenizers: its own declarations name files without extensions, which
// TypeScript does not follow under Node's rules, so everything in them would be untyped.

import * as library from "@huggingface/tokenizers";
import type { TokenizerFile, TokenizerModel } from "./tokenizer-file.ts";

/** The library's BPE: words, as byte characters, to tokens. */
interface BpeModel {
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  encode(words: readonly string[]): string[];
}

interface LibraryTokenizerInstance {
  encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: readonly number[] };
  decode(
    ids: readonly number[],
    options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean },
  ): string;
}

interface Library {
  readonly BPE: new (model: TokenizerModel) => BpeModel;
  readonly Tokenizer: new (file: TokenizerFile, config: object) => LibraryTokenizerInstance;
}

export const { BPE, Tokenizer: LibraryTokenizer } = library as unknown as Library;
