// Reads a safetensors header: the strict JSON subset it is made of, byte by byte, so that faults name the byte and a
// duplicate key is seen. Knows nothing of the tensors' data.

import type { Fault } from "../fault.ts";
import { duplicateKey, headerSyntax, tooManyTensors } from "../messages/safetensors.ts";

/** What the header says of one tensor, unchecked against the file. */
export interface HeaderTensor {
  readonly name: string;
  /** Where its entry begins, in bytes from the start of the file. */
  readonly byte: number;
  readonly dtype: string;
  readonly shape: readonly bigint[];
  readonly begin: bigint;
  readonly end: bigint;
}

export interface Header {
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: ReadonlyMap<string, string>;
}

const MAX_TENSORS = 1_000_000;
/** The reference's JSON reader goes 127 levels deep. */
const MAX_DEPTH = 127;
const LARGEST_U64 = 18446744073709551615n;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * Reads a header.
 *
 * Units: `firstByte` is where `bytes` begins in the file; it only serves messages.
 * Errors: a fault `safetensors/…` at the first byte that is not as the format has it.
 */
export function readHeader(path: string, bytes: Uint8Array, firstByte: number): Header {
  return new HeaderScanner(path, bytes, firstByte).header();
}

/** A digit or one of `- + . e E`; what they must spell is checked on the whole. */
function isNumberByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2b || byte === 0x2e || (byte | 0x20) === 0x65;
}

class HeaderScanner {
  readonly #path: string;
  readonly #bytes: Uint8Array;
  readonly #firstByte: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #at = 0;
  #depth = 0;

  constructor(path: string, bytes: Uint8Array, firstByte: number) {
    this.#path = path;
    this.#bytes = bytes;
    this.#firstByte = firstByte;
  }

  header(): Header {
    const tensors: HeaderTensor[] = [];
    let metadata: ReadonlyMap<string, string> = new Map();
    this.#object((name, byte) => {
      if (name === "__metadata__") {
        metadata = this.#metadata();
        return;
      }
      if (tensors.length === MAX_TENSORS) throw tooManyTensors(this.#path, MAX_TENSORS);
      tensors.push(this.#tensor(name, byte));
    });
    this.#skipSpace();
    if (this.#at < this.#bytes.length) throw this.#expected("the end of the header");
    return { tensors, metadata };
  }

  #tensor(name: string, byte: number): HeaderTensor {
    let dtype: string | undefined;
    let shape: readonly bigint[] | undefined;
    let offsets: readonly bigint[] | undefined;
    const start = this.#at;
    this.#object((key) => {
      if (key === "dtype") dtype = this.#string();
      else if (key === "shape") shape = this.#wholeNumbers();
      else if (key === "data_offsets") offsets = this.#wholeNumbers();
      else this.#skipValue();
    });
    if (dtype === undefined) throw this.#expectedAt(start, '"dtype" in this entry');
    if (shape === undefined) throw this.#expectedAt(start, '"shape" in this entry');
    if (offsets?.length !== 2) throw this.#expectedAt(start, '"data_offsets" of two numbers in this entry');
    return { name, byte, dtype, shape, begin: offsets[0], end: offsets[1] };
  }

  #metadata(): ReadonlyMap<string, string> {
    const entries = new Map<string, string>();
    if (this.#literal("null")) return entries;
    this.#object((key) => void entries.set(key, this.#string()));
    return entries;
  }

  /** Reads an object; `value` reads what stands behind each key. */
  #object(value: (key: string, byte: number) => void): void {
    this.#open(OPEN_BRACE, "`{`");
    const seen = new Map<string, number>();
    if (!this.#take(CLOSE_BRACE)) {
      do {
        this.#skipSpace();
        const byte = this.#firstByte + this.#at;
        const key = this.#string();
        const first = seen.get(key);
        if (first !== undefined) throw duplicateKey(this.#path, key, first, byte);
        seen.set(key, byte);
        if (!this.#take(COLON)) throw this.#expected("`:`");
        value(key, byte);
      } while (this.#take(COMMA));
      if (!this.#take(CLOSE_BRACE)) throw this.#expected("`,` or `}`");
    }
    this.#depth--;
  }

  #array(element: () => void): void {
    this.#open(OPEN_BRACKET, "`[`");
    if (!this.#take(CLOSE_BRACKET)) {
      do element();
      while (this.#take(COMMA));
      if (!this.#take(CLOSE_BRACKET)) throw this.#expected("`,` or `]`");
    }
    this.#depth--;
  }

  #open(bracket: number, name: string): void {
    if (!this.#take(bracket)) throw this.#expected(name);
    if (++this.#depth > MAX_DEPTH) throw this.#expected(`at most ${MAX_DEPTH} levels of nesting`);
  }

  #wholeNumbers(): readonly bigint[] {
    const numbers: bigint[] = [];
    this.#array(() => {
      this.#skipSpace();
      const start = this.#at;
      const text = this.#number();
      // 2^64 has 20 digits; a longer number would only cost time.
      const isWhole = /^\d{1,20}$/.test(text);
      const number = isWhole ? BigInt(text) : 0n;
      if (!isWhole || number > LARGEST_U64) throw this.#expectedAt(start, "a whole number from 0 to 2^64 - 1");
      numbers.push(number);
    });
    return numbers;
  }

  #string(): string {
    this.#skipSpace();
    const start = this.#at;
    if (!this.#take(QUOTE)) throw this.#expected("a string");
    let isPlain = true;
    for (; ; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte === QUOTE) break;
      if (byte === undefined || byte < 0x20) throw this.#expected('`"` at the end of a string');
      if (byte === BACKSLASH) this.#at++;
      if (byte === BACKSLASH || byte > 0x7e) isPlain = false;
    }
    this.#at++;
    if (isPlain) return this.#ascii(start + 1, this.#at - 1);
    try {
      const text = this.#decoder.decode(this.#bytes.subarray(start + 1, this.#at - 1));
      const value: string = JSON.parse(`"${text}"`);
      if (!/\p{Surrogate}/u.test(value)) return value;
    } catch {
      // Told below with the place, which neither decoder knows.
    }
    throw this.#expectedAt(start, "a string of valid UTF-8 and valid escapes");
  }

  /** The text of a JSON number. */
  #number(): string {
    this.#skipSpace();
    const start = this.#at;
    while (isNumberByte(this.#bytes[this.#at])) this.#at++;
    const text = this.#ascii(start, this.#at);
    const isNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(text);
    if (!isNumber || !Number.isFinite(Number(text))) throw this.#expectedAt(start, "a number");
    return text;
  }

  /** Text known to be ASCII; for short pieces far faster than a decoder. */
  #ascii(begin: number, end: number): string {
    let text = "";
    for (let at = begin; at < end; at++) text += String.fromCharCode(this.#bytes[at]);
    return text;
  }

  /** Keys that the format may get one day are read over, as the reference does. */
  #skipValue(): void {
    this.#skipSpace();
    const byte = this.#bytes[this.#at];
    if (byte === OPEN_BRACKET) this.#array(() => this.#skipValue());
    else if (byte === OPEN_BRACE) this.#skipObject();
    else if (byte === QUOTE) this.#string();
    else if (!this.#literal("null") && !this.#literal("true") && !this.#literal("false")) this.#number();
  }

  #skipObject(): void {
    this.#object(() => this.#skipValue());
  }

  #literal(word: string): boolean {
    this.#skipSpace();
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) return false;
    }
    this.#at += word.length;
    return true;
  }

  #take(byte: number): boolean {
    this.#skipSpace();
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #expected(what: string): Fault {
    return this.#expectedAt(this.#at, what);
  }

  #expectedAt(at: number, what: string): Fault {
    return headerSyntax(this.#path, this.#firstByte + at, what);
  }
}
