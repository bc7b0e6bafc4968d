// What `mspec tokenizer train` says. Faults are the runtime's.

import type { Diagnostic } from "../diagnostic.ts";
import { size } from "./device.ts";
import { both, quoted } from "./words.ts";

export const corpusRead = (files: number, documents: number, bytes: number, words: number): string =>
  `read ${size(bytes)}: ${documents} documents in ${files} files, ${words} different words`;

export const noText = (patterns: readonly string[], files: number): Diagnostic => ({
  code: "tokenizer/no-text",
  severity: "error",
  claim: `there is no text in ${both(patterns.map((pattern) => quoted(pattern)))}, and a tokenizer is made of text`,
  details: [`${files} files were read, and none of them has a document`],
  help: "name files that hold text",
});

export const linesSkipped = (lines: number): string => `warning: ${lines} lines could not be used and were left out`;

export const tokenizerWritten = (path: string, vocab: number, wanted: number): string =>
  vocab === wanted
    ? `${path}: ${vocab} tokens`
    : `${path}: ${vocab} tokens; the text has no more pairs to merge into ${wanted}`;
