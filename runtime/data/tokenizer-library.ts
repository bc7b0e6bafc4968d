// The types of what is used of @huggingface/tokenizers: its own declarations name files without extensions, which
// TypeScript does not follow under Node's rules, so everything in them would be untyped.

import * as library from "@huggingface/tokenizers";
import { BpeEncoder } from "./bpe-encoder.ts";
import type { TokenizerFile, TokenizerModel } from "./tokenizer-file.ts";

/** The library's BPE: words, as byte characters, to tokens. */
interface BpeModel {
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  encode(words: readonly string[]): string[];
  /** The pieces of one word; `encode` asks it. */
  bpe(word: string): string[];
}

/** What is touched of a decoder; a Sequence has more of them. */
interface LibraryDecoder {
  readonly decoders?: readonly (LibraryDecoder | null)[];
  /** Of ByteFallback alone. */
  text_decoder?: InstanceType<typeof TextDecoder>;
}

interface LibraryTokenizer {
  readonly model: BpeModel;
  readonly decoder: LibraryDecoder | null;
  encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: readonly number[] };
  decode(
    ids: readonly number[],
    options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean },
  ): string;
}

interface Library {
  readonly BPE: new (model: TokenizerModel) => BpeModel;
  readonly Tokenizer: new (file: TokenizerFile, config: object) => LibraryTokenizer;
}

const { BPE: LibraryBpe, Tokenizer: LibraryTokenizer } = library as unknown as Library;

/** Opens a model of words alone. */
export function openBpe(model: TokenizerModel): BpeModel {
  const bpe = new LibraryBpe(model);
  mergeLongWords(bpe, model);
  return bpe;
}

/** Opens a whole tokenizer. Errors: the library's own, for parts that it does not know. */
export function openLibraryTokenizer(file: TokenizerFile): LibraryTokenizer {
  const tokenizer = new LibraryTokenizer(file, {});
  keepByteOrderMarks(tokenizer.decoder);
  mergeLongWords(tokenizer.model, file.model);
  return tokenizer;
}

/** The library remembers shorter words; longer ones it merges as linked objects, most of whose time is their collection. */
const LONG = 256;

function mergeLongWords(bpe: BpeModel, model: TokenizerModel): void {
  // It alone knows what suffixes of words mean.
  if ((model.end_of_word_suffix ?? null) !== null || (model.continuing_subword_suffix ?? null) !== null) return;
  const mergeShort = bpe.bpe.bind(bpe);
  let encoder: BpeEncoder | undefined;
  bpe.bpe = (word) => {
    if (word.length < LONG) return mergeShort(word);
    // Made when it is needed: it holds the merges a second time.
    encoder ??= new BpeEncoder(model.merges);
    return encoder.encode(word);
  };
}

/** The library (0.2.0) takes U+FEFF at the beginning of byte tokens for a byte order mark, and leaves it out. */
function keepByteOrderMarks(decoder: LibraryDecoder | null): void {
  if (decoder?.text_decoder !== undefined) decoder.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (const part of decoder?.decoders ?? []) keepByteOrderMarks(part);
}
