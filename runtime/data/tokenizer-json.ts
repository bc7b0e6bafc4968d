// Tokenizers of the `tokenizers` library's file format, run by @huggingface/tokenizers. Byte-level ones, which mspec
// trains, are encoded word by word with a memory for words, so that a corpus takes seconds and a bounded memory.

import { idOutsideVocab, losesText, notUnderstood } from "../messages/tokenizer.ts";
import { byteCharacters, forEachWord, fromByteCharacters, toByteCharacters } from "./byte-level.ts";
import { IdList } from "./id-list.ts";
import { decodeBytes, startDecodingBytes, type TokenBytes } from "./token-bytes.ts";
import type { StreamingDecoder, Tokenizer } from "./tokenizer.ts";
import { checkedComponents } from "./tokenizer-components.ts";
import { parseTokenizerFile, type TokenizerFile, tokensById } from "./tokenizer-file.ts";
import { openBpe, openLibraryTokenizer } from "./tokenizer-library.ts";

/** What well-known tokenizers call the end of a document, in the order in which they are looked for. */
const END_OF_TEXT = ["<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>"];

/** Opens the text of a tokenizer.json. Errors: a fault `tokenizer/…` at `name`. */
export function openTokenizerJson(text: string, name: string): Tokenizer {
  const file = checkedComponents(parseTokenizerFile(text, name), name);
  checkNothingIsLost(file, name);
  const tokens = tokensById(file, name);
  const special = new Set(file.added_tokens.filter((token) => token.special).map((token) => token.id));
  const ends = END_OF_TEXT.map((token) => tokens.indexOf(token)).filter((id) => special.has(id));
  try {
    return {
      vocab: tokens.length,
      endOfText: ends[0],
      encode: isCutIntoWords(file) ? wordEncoder(file) : libraryEncoder(file),
      ...(file.decoder?.type === "ByteLevel" ? byteDecoding(tokens, special) : libraryDecoding(file, tokens.length)),
    };
  } catch (error) {
    throw notUnderstood(name, error instanceof Error ? error.message : String(error));
  }
}

/** Characters without a token and an unknown token to stand for them would be left out. */
function checkNothingIsLost({ model }: TokenizerFile, name: string): void {
  const { unk_token: unknown, vocab } = model;
  if (unknown !== undefined && unknown !== null) {
    if (typeof unknown === "string" && Object.hasOwn(vocab, unknown)) return;
    throw losesText(name, `model.unk_token is ${JSON.stringify(unknown)}, which model.vocab does not have`);
  }
  const bytes = model.byte_fallback === true ? byteTokens : byteCharacters;
  const missing = bytes.findIndex((token) => !Object.hasOwn(vocab, token));
  if (missing < 0) return;
  throw losesText(
    name,
    `model.vocab has no ${JSON.stringify(bytes[missing])} for the byte ${missing}, and no unk_token`,
  );
}

/** How tokenizers with byte fallback spell bytes. */
const byteTokens = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** Whether a text's ids are those of its words, one after the other, by GPT-2's pattern. */
function isCutIntoWords({ normalizer, pre_tokenizer, added_tokens, model }: TokenizerFile): boolean {
  return (
    normalizer === null &&
    pre_tokenizer?.type === "ByteLevel" &&
    pre_tokenizer.add_prefix_space === false &&
    pre_tokenizer.use_regex !== false &&
    added_tokens.every((token) => token.special) &&
    byteCharacters.every((character) => Object.hasOwn(model.vocab, character)) &&
    (model.end_of_word_suffix ?? null) === null &&
    (model.continuing_subword_prefix ?? null) === null
  );
}

/** The file without its special tokens: a text that spells one cannot become it. The unknown token stays for its use. */
function withoutSpecials(file: TokenizerFile): TokenizerFile {
  const specials = new Set<unknown>(file.added_tokens.filter((token) => token.special).map((token) => token.content));
  specials.delete(file.model.unk_token);
  const vocab = Object.fromEntries(Object.entries(file.model.vocab).filter(([token]) => !specials.has(token)));
  return {
    ...file,
    added_tokens: file.added_tokens.filter((token) => !token.special),
    model: { ...file.model, vocab },
  };
}

/** Words longer than this are rare, and remembering them would only take memory. */
const LONGEST_REMEMBERED = 64;
const MOST_REMEMBERED = 1 << 17;

function wordEncoder(file: TokenizerFile): (text: string) => Int32Array {
  const model = openBpe(withoutSpecials(file).model);
  const remembered = new Map<string, Int32Array>();
  const idsOf = (word: string): Int32Array => {
    const known = remembered.get(word);
    if (known !== undefined) return known;
    // Every byte is a token, so every piece of a word is one.
    const ids = Int32Array.from(
      model.encode([toByteCharacters(word)]),
      (token) => model.tokens_to_ids.get(token) as number,
    );
    if (remembered.size === MOST_REMEMBERED) remembered.clear();
    if (word.length <= LONGEST_REMEMBERED) remembered.set(word, ids);
    return ids;
  };
  return (text) => {
    const list = new IdList();
    forEachWord(text, (word) => list.append(idsOf(word)));
    return list.take();
  };
}

function libraryEncoder(file: TokenizerFile): (text: string) => Int32Array {
  const library = openLibraryTokenizer(withoutSpecials(file));
  return (text) => Int32Array.from(library.encode(text, { add_special_tokens: false }).ids);
}

function byteDecoding(
  tokens: readonly string[],
  special: ReadonlySet<number>,
): Pick<Tokenizer, "decode" | "startDecoding"> {
  const encoder = new TextEncoder();
  const bytes = tokens.map((token, id) =>
    special.has(id) ? new Uint8Array(0) : (fromByteCharacters(token) ?? encoder.encode(token)),
  );
  const table: TokenBytes = { vocab: tokens.length, bytesOf: (id) => bytes[id] };
  return { decode: (ids) => decodeBytes(table, ids), startDecoding: () => startDecodingBytes(table) };
}

function libraryDecoding(file: TokenizerFile, vocab: number): Pick<Tokenizer, "decode" | "startDecoding"> {
  const library = openLibraryTokenizer(file);
  const decode = (ids: ArrayLike<number>): string => {
    const list = Array.from(ids);
    const outside = list.find((id) => !(id >= 0 && id < vocab));
    if (outside !== undefined) throw idOutsideVocab(outside, vocab);
    const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
    return list.length === 0 ? "" : library.decode(list, options);
  };
  return { decode, startDecoding: () => new WindowDecoder(decode) };
}

/**
 * Decodes a window of ids again and again and tells what is new: such tokenizers decide about spaces by what stands
 * before. A last U+FFFD may be the beginning of a character, so it waits; what stands before it can change no more.
 */
class WindowDecoder implements StreamingDecoder {
  readonly #decode: (ids: readonly number[]) => string;
  /** Begins with ids that were told already, for what they say about the next ones. */
  #window: number[] = [];
  /** How many ids of the window are wholly told, and how many characters of its text are. */
  #toldIds = 0;
  #toldLength = 0;

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  push(id: number): string {
    this.#window.push(id);
    const text = this.#decode(this.#window);
    if (text.endsWith("\ufffd")) return this.#tell(text.slice(0, -1));
    const told = this.#tell(text);
    const shorter = this.#window.slice(this.#toldIds);
    const shorterLength = this.#decode(shorter).length;
    // Ids without text say nothing about the next ones.
    if (shorterLength > 0) {
      this.#window = shorter;
      this.#toldLength = shorterLength;
    }
    this.#toldIds = this.#window.length;
    return told;
  }

  end(): string {
    return this.#tell(this.#decode(this.#window));
  }

  /** What is new in the window's text. */
  #tell(text: string): string {
    const told = text.slice(this.#toldLength);
    this.#toldLength = Math.max(this.#toldLength, text.length);
    return told;
  }
}
