// `mspec tokenizer train`: a byte-level BPE tokenizer from text files, as a standard tokenizer.json.

import type { Command } from "commander";
import { DiagnosticError } from "../source/diagnostic.ts";
import * as say from "../source/messages/tokenizer.ts";
import { wholeFlag } from "./number-flags.ts";
import { outFlag } from "./spec-flags.ts";

interface TrainFlags {
  readonly vocab: number;
  readonly out?: string;
  readonly skipBadLines?: true;
}

export function addTokenizerVerb(program: Command): void {
  const tokenizer = program.command("tokenizer").description("make tokenizers");
  tokenizer
    .command("train")
    .description("train a byte-level BPE tokenizer on .txt and .jsonl files")
    .argument("<patterns...>", "files or patterns such as 'corpus/*.txt'")
    .addOption(wholeFlag("vocab", "the number of tokens", 1).makeOptionMandatory())
    .option("--skip-bad-lines", "leave out and count lines of .jsonl files that cannot be used")
    .addOption(outFlag("the file to write (default: tokenizer.json)"))
    .action(trainTokenizer);
}

async function trainTokenizer(patterns: readonly string[], flags: TrainFlags): Promise<void> {
  const [{ countWords, trainBpe }, { readDocuments }, { findFiles }, { nodeDisk }, { noFiles }, { writeText }] =
    await Promise.all([
      import("../../runtime/data/bpe.ts"),
      import("../../runtime/data/documents.ts"),
      import("../../runtime/data/glob.ts"),
      import("../../runtime/files/node-disk.ts"),
      import("../../runtime/messages/data.ts"),
      import("./write-text.ts"),
    ]);
  const files = await findFiles(nodeDisk, ".", patterns);
  if (files.length === 0) throw noFiles(patterns, ".");
  const words = new Map<string, number>();
  let [documents, bytes, skipped] = [0, 0, 0];
  for (const file of files) {
    const read = await readDocuments(nodeDisk, file, { skipBadLines: flags.skipBadLines === true }, (text) => {
      countWords(text, words);
      documents++;
    });
    bytes += read.fingerprint.bytes;
    skipped += read.skippedLines;
  }
  if (words.size === 0) throw new DiagnosticError([say.noText(patterns, files.length)]);
  process.stdout.write(`${say.corpusRead(files.length, documents, bytes, words.size)}\n`);
  if (skipped > 0) process.stderr.write(`${say.linesSkipped(skipped)}\n`);
  const { json, vocab } = trainBpe(words, flags.vocab);
  const out = flags.out ?? "tokenizer.json";
  writeText(json, out);
  process.stdout.write(`${say.tokenizerWritten(out, vocab, flags.vocab)}\n`);
}
