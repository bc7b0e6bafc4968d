// What `mspec tokenizer train` says. Faults are the runtime's.

import { size } from "./device.ts";

export const corpusRead = (files: number, documents: number, bytes: number, words: number): string =>
  `read ${size(bytes)}: ${documents} documents in ${files} files, ${words} different words`;

export const linesSkipped = (lines: number): string => `warning: ${lines} lines could not be used and were left out`;

export const tokenizerWritten = (path: string, vocab: number, wanted: number): string =>
  vocab === wanted
    ? `${path}: ${vocab} tokens`
    : `${path}: ${vocab} tokens; the text has no more pairs to merge into ${wanted}`;
