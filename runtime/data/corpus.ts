// The data of a run: files by pattern, read, encoded, split into training and validation, and fingerprinted.

import type { Disk } from "../files/disk.ts";
import { filesChanged, noFiles, overlapWarning, tokenOutsideVocab } from "../messages/data.ts";
import { type FileFingerprint, readDocuments } from "./documents.ts";
import { findFiles } from "./glob.ts";
import {
  documentTokens,
  type Split,
  splitForValidation,
  type TokenStream,
  TokenStreamBuilder,
} from "./token-stream.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The `data` section of a spec, and what it needs of the rest. */
export interface CorpusOptions {
  /** The folder that relative patterns are taken from. */
  readonly base: string;
  readonly train: readonly string[];
  /** A fraction of the training tokens, from 0 to below 1, or patterns of files of their own. */
  readonly validation: number | readonly string[];
  readonly skipBadLines: boolean;
  /** Decides which documents are set aside. */
  readonly seed: number;
  /** The model's vocabulary. */
  readonly vocab: number;
}

export interface Corpus extends Split {
  /** Of all files read, training first; saved with a checkpoint. */
  readonly files: readonly FileFingerprint[];
  readonly skippedLines: number;
  /** Sentences. */
  readonly warnings: readonly string[];
}

interface Part {
  readonly stream: TokenStream;
  readonly files: readonly FileFingerprint[];
  readonly skippedLines: number;
}

/**
 * Reads and encodes the data of a run. With a tokenizer that has one, the end-of-text token stands behind every document.
 *
 * Errors: a fault `data/…` with the file, and the line or token.
 */
export async function readCorpus(disk: Disk, tokenizer: Tokenizer, options: CorpusOptions): Promise<Corpus> {
  const all = await readPart(disk, tokenizer, options, options.train);
  if (typeof options.validation === "number") {
    const split = splitForValidation(all.stream, options.validation, options.seed);
    return { ...split, files: all.files, skippedLines: all.skippedLines, warnings: overlapOf(split) };
  }
  const held = await readPart(disk, tokenizer, options, options.validation);
  const split = { train: all.stream, validation: held.stream };
  return {
    ...split,
    files: [...all.files, ...held.files],
    skippedLines: all.skippedLines + held.skippedLines,
    warnings: overlapOf(split),
  };
}

async function readPart(
  disk: Disk,
  tokenizer: Tokenizer,
  options: CorpusOptions,
  patterns: readonly string[],
): Promise<Part> {
  const paths = await findFiles(disk, options.base, patterns);
  if (paths.length === 0) throw noFiles(patterns, options.base);
  const builder = new TokenStreamBuilder(tokenizer.endOfText);
  const files: FileFingerprint[] = [];
  let skippedLines = 0;
  for (const path of paths) {
    let index = 0;
    const read = await readDocuments(disk, path, options, (text) => {
      const tokens = tokenizer.encode(text);
      const bad = tokens.findIndex((token) => token >= options.vocab);
      if (bad >= 0) throw tokenOutsideVocab(path, index + bad, tokens[bad], options.vocab);
      index += tokens.length;
      builder.add(tokens);
    });
    files.push(read.fingerprint);
    skippedLines += read.skippedLines;
  }
  return { stream: builder.finish(), files, skippedLines };
}

/** A warning when validation documents also stand, token by token, in the training data. */
function overlapOf({ train, validation }: Split): string[] {
  const known = new Set(eachDocument(train, fingerprintOf));
  const count = validation.documentStarts.length;
  const shared = eachDocument(validation, fingerprintOf).filter((document) => known.has(document)).length;
  return shared === 0 ? [] : [overlapWarning(shared, count)];
}

function eachDocument<T>(stream: TokenStream, map: (tokens: Int32Array) => T): T[] {
  return Array.from(stream.documentStarts, (_, index) => map(documentTokens(stream, index)));
}

/** Length and two FNV-1a hashes of 32 bits: enough for a warning. */
function fingerprintOf(tokens: Int32Array): string {
  let first = 0x811c9dc5;
  let second = 0x9e3779b9;
  for (const token of tokens) {
    first = Math.imul(first ^ token, 0x01000193);
    second = Math.imul(second ^ token, 0x85ebca6b);
  }
  return `${tokens.length} ${first} ${second}`;
}

/** Compares the files of a run that resumes with those it began with. Errors: `data/files-changed` with every difference. */
export function checkSameFiles(before: readonly FileFingerprint[], now: readonly FileFingerprint[]): void {
  const current = new Map(now.map((file) => [file.path, file]));
  const known = new Set(before.map((file) => file.path));
  const differences = before.flatMap(({ path, bytes, sha256 }) => {
    const file = current.get(path);
    if (file === undefined) return [`${path} is gone`];
    if (file.bytes !== bytes) return [`${path} has ${file.bytes} bytes; it had ${bytes}`];
    return file.sha256 === sha256 ? [] : [`${path} has other content of the same length`];
  });
  differences.push(...now.filter((file) => !known.has(file.path)).map((file) => `${file.path} is new`));
  if (differences.length > 0) throw filesChanged(differences);
}
