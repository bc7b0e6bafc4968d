// Cuts a stream of bytes into lines without holding more than one of them, however long the file.

import { type FileReader, pieceBytes } from "./disk.ts";

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Where it begins, in bytes. */
  readonly start: number;
  /** Without its line break; empty when it is too long. */
  readonly bytes: Uint8Array;
  readonly isTooLong: boolean;
  /** False for a last line without a line break. */
  readonly isTerminated: boolean;
}

const LINE_FEED = 0x0a;

/** A file's bytes in order. */
export async function* piecesOf(reader: FileReader): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < reader.bytes; offset += pieceBytes) {
    yield await reader.read(offset, Math.min(pieceBytes, reader.bytes - offset));
  }
}

/** The lines of a stream; of a line longer than `limit` bytes only its number and place are told. */
export async function* linesOf(pieces: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Line> {
  const line = new LineInProgress(limit);
  for await (const piece of pieces) {
    let from = 0;
    for (let end = piece.indexOf(LINE_FEED); end >= 0; end = piece.indexOf(LINE_FEED, from)) {
      line.add(piece.subarray(from, end));
      yield line.take(true);
      from = end + 1;
    }
    line.add(piece.subarray(from));
  }
  if (line.length > 0) yield line.take(false);
}

class LineInProgress {
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #number = 1;
  #start = 0;
  length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(part: Uint8Array): void {
    this.length += part.length;
    if (this.length <= this.#limit) this.#parts.push(part);
    else this.#parts = [];
  }

  take(isTerminated: boolean): Line {
    const isTooLong = this.length > this.#limit;
    const line = { number: this.#number, start: this.#start, bytes: joined(this.#parts), isTooLong, isTerminated };
    this.#number += 1;
    this.#start += this.length + 1;
    this.#parts = [];
    this.length = 0;
    return line;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
