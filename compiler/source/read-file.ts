// From a path or bytes to a SourceText: bounded, strict UTF-8, without characters that hide. Knows files and encodings;
// refuses to know what the text means.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Diagnostics } from "./diagnostic.ts";
import * as say from "./messages/file.ts";
import { SourceText } from "./text.ts";

/** A spec of 1 MiB would have some 20,000 lines. */
const maxFileBytes = 2 ** 20;

/** Reads a regular file of at most `maxFileBytes`; anything else is a diagnostic, before a byte is read. */
export function readSourceFile(path: string, diagnostics: Diagnostics): SourceText | undefined {
  let file: number | undefined;
  try {
    // Without O_NONBLOCK opening a FIFO that nobody writes to would wait for ever.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const status = fstatSync(file);
    if (status.isDirectory()) diagnostics.add(say.isDirectory(path));
    else if (!status.isFile()) diagnostics.add(say.notRegular(path));
    else if (status.size > maxFileBytes) diagnostics.add(say.fileTooLarge(path, status.size, maxFileBytes));
    else return decodeSource(path, readUpTo(file, maxFileBytes), diagnostics);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    diagnostics.add(say.unreadableFile(path, String(error.code)));
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return undefined;
}

/** The size told by the system may be wrong (/proc says 0), so reading has its own bound. */
function readUpTo(file: number, limit: number): Uint8Array {
  const buffer = Buffer.alloc(limit);
  let length = 0;
  while (length < limit) {
    const count = readSync(file, buffer, length, limit - length, null);
    if (count === 0) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

// Control characters but tab and line break, signs that turn the direction of text, and what is no character.
const forbidden = /(?![\t\r\n])\p{Cc}|\r(?!\n)|[\u202a-\u202e\u2066-\u2069\ufffe\uffff]/u;

/** Decodes UTF-8 strictly; a byte order mark is dropped, so places count from behind it. */
export function decodeSource(name: string, bytes: Uint8Array, diagnostics: Diagnostics): SourceText | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length > maxFileBytes) {
    diagnostics.add(say.fileTooLarge(name, buffer.length, maxFileBytes));
    return undefined;
  }
  const decoded = buffer.toString("utf8");
  const markLength = decoded.startsWith("\ufeff") ? 1 : 0;
  const text = decoded.slice(markLength);
  const source = new SourceText(name, text);
  if (isUtf16(buffer)) {
    diagnostics.add(say.utf16({ source, span: { start: 0, end: 0 } }));
    return undefined;
  }
  const byteOffset = (index: number) => Buffer.byteLength(decoded.slice(0, index + markLength));
  for (let i = text.indexOf("\ufffd"); i >= 0; i = text.indexOf("\ufffd", i + 1)) {
    const offset = byteOffset(i);
    // The replacement character may stand in the file itself, as the bytes EF BF BD.
    if (buffer[offset] === 0xef && buffer[offset + 1] === 0xbf && buffer[offset + 2] === 0xbd) continue;
    diagnostics.add(say.notUtf8(offset, buffer[offset], { source, span: { start: i, end: i + 1 } }));
    return undefined;
  }
  const hidden = forbidden.exec(text);
  if (hidden === null) return source;
  const span = { start: hidden.index, end: hidden.index + hidden[0].length };
  diagnostics.add(say.forbiddenCharacter(hidden[0], byteOffset(hidden.index), { source, span }));
  return undefined;
}

/** By its mark, or because every other byte of its beginning is zero. */
function isUtf16(bytes: Uint8Array): boolean {
  const [first, second, third, fourth] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return true;
  return bytes.length >= 4 && ((first === 0 && third === 0) || (second === 0 && fourth === 0));
}
