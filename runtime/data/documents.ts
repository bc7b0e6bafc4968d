// Reads corpus files into documents: a .txt file is one, a .jsonl file has one per line. Knows no tokens.

import type { Disk, FileReader } from "../files/disk.ts";
import { type Line, linesOf, piecesOf } from "../files/lines.ts";
import { badLine, missingFile, notAFile, notUtf8, textTooLong, unknownKind } from "../messages/data.ts";

export interface ReadOptions {
  /** Of .jsonl files: leave out and count lines that cannot be used, instead of stopping. */
  readonly skipBadLines: boolean;
}

/** What a resumed run compares, so that it goes on with the same data. */
export interface FileFingerprint {
  readonly path: string;
  readonly bytes: number;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

export interface FileRead {
  readonly fingerprint: FileFingerprint;
  readonly skippedLines: number;
}

/** Strings end at 2^29 characters in V8; a document of half that still fits beside its tokens. */
const TEXT_LIMIT = 1 << 28;
const LINE_LIMIT = 64 << 20;

/**
 * Calls `visit` with every document of a file, in order; empty documents are left out.
 *
 * Errors: a fault `data/…` with the file and, in .jsonl files, the line.
 */
export async function readDocuments(
  disk: Disk,
  path: string,
  options: ReadOptions,
  visit: (text: string) => void,
): Promise<FileRead> {
  const kind = /\.(txt|jsonl)$/.exec(path)?.[1];
  if (kind === undefined) throw unknownKind(path);
  const stat = await disk.stat(path);
  if (stat === undefined) throw missingFile(path);
  // Asked before opening: to open a pipe is to wait for its writer.
  if (stat.kind !== "file") throw notAFile(path);
  const reader = await disk.openRead(path);
  try {
    if (kind === "jsonl") return await readLines(disk, reader, options, visit);
    return await readWhole(disk, reader, visit);
  } finally {
    await reader.close();
  }
}

async function readWhole(disk: Disk, reader: FileReader, visit: (text: string) => void): Promise<FileRead> {
  if (reader.bytes > TEXT_LIMIT) throw textTooLong(reader.path, reader.bytes, TEXT_LIMIT);
  const bytes = await reader.read(0, reader.bytes);
  const checksum = disk.startChecksum();
  checksum.update(bytes);
  const text = decodeText(reader.path, bytes);
  if (text !== "") visit(text);
  return { fingerprint: { path: reader.path, bytes: bytes.length, sha256: checksum.digest() }, skippedLines: 0 };
}

/** The text without a byte order mark. */
function decodeText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notUtf8(path, firstInvalidByte(bytes));
  }
}

/** Where bytes stop being UTF-8, by halving: a beginning is valid as long as a decoder takes it and waits for more. */
function firstInvalidByte(bytes: Uint8Array): number {
  let valid = 0;
  let invalid = bytes.length + 1;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      valid = middle;
    } catch {
      invalid = middle;
    }
  }
  return valid;
}

async function readLines(
  disk: Disk,
  reader: FileReader,
  options: ReadOptions,
  visit: (text: string) => void,
): Promise<FileRead> {
  const checksum = disk.startChecksum();
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of piecesOf(reader)) {
      checksum.update(piece);
      yield piece;
    }
  }
  let skippedLines = 0;
  for await (const line of linesOf(pieces(), LINE_LIMIT)) {
    const document = parseLine(line);
    if ("text" in document) {
      if (document.text !== "") visit(document.text);
    } else if (options.skipBadLines) skippedLines++;
    else throw badLine(reader.path, line.number, document.problem);
  }
  return { fingerprint: { path: reader.path, bytes: reader.bytes, sha256: checksum.digest() }, skippedLines };
}

/** The text of a line, empty for a blank one, or what is wrong with it. */
function parseLine(line: Line): { readonly text: string } | { readonly problem: string } {
  if (line.isTooLong) return { problem: `it is longer than ${LINE_LIMIT} bytes` };
  let value: unknown;
  try {
    // The decoder drops a byte order mark, which only a first line should have.
    const json = new TextDecoder("utf-8", { fatal: true }).decode(line.bytes);
    if (json.trim() === "") return { text: "" };
    value = JSON.parse(json);
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { problem: "it is no JSON object" };
  if (!("text" in value)) return { problem: "it has no `text`" };
  if (typeof value.text !== "string")
    return { problem: `its \`text\` is ${value.text === null ? "null" : `a ${typeof value.text}`}` };
  return { text: value.text };
}
