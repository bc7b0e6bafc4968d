// `mspec import`: a checkpoint in Hugging Face's layout becomes a spec, weights under our names, and a tokenizer.

import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import type { ImportedWeights } from "../../runtime/files/import-weights.ts";
import { Diagnostics, invariant } from "../source/diagnostic.ts";
import * as say from "../source/messages/checkpoint-folder.ts";
import type { ModelFacts } from "../spec/families/facts.ts";
import { familyNames } from "../spec/families/family.ts";
import type { ReadConfig } from "../spec/read-config.ts";
import type { Spec } from "../spec/spec.ts";
import { outFlag } from "./spec-flags.ts";

export function addImportVerb(program: Command): void {
  program
    .command("import")
    .description("turn a Hugging Face checkpoint into a spec and weights")
    .argument("<folder>", "a folder with config.json and model.safetensors, or shards with their index")
    .addOption(outFlag("the folder to make; it must not hold anything yet").makeOptionMandatory())
    .addHelpText("after", after)
    .action(importFolder);
}

const after = `
Models of these types are read, in the spelling of transformers 5 and of before: ${familyNames.join(", ")}, kimi_k2.
Weights are F32, BF16, F16, or DeepSeek's FP8 with a scale per block, which becomes F32.

The folder then holds model.yaml (each number with the key that it is from), model.safetensors (mspec's names, number
formats as they are stored), tokenizer.json if there is one, and the other JSON files as they were, for \`mspec export\`.
\`mspec generate\` reads such a folder, \`mspec train <folder>/model.yaml --weights <folder>/model.safetensors\` goes on
from it, and \`mspec verify\` compares it with reference data. What mspec cannot say is refused, with the key and its value.`;

async function importFolder(folder: string, { out }: { readonly out: string }): Promise<void> {
  const { checkNewFolder, copyFiles, makeFolder, readSmallFile, writeNewFile } = await import("./new-folder.ts");
  checkNewFolder(out);
  const { nodeDisk } = await import("../../runtime/files/node-disk.ts");
  await checkIsFolder(folder);
  const tokenizerJson = await readSmallFile(join(folder, tokenizerFile));
  const read = await readConfigOf(folder);
  const { openWeightShards } = await import("../../runtime/files/weight-shards.ts");
  const { importWeights } = await import("../../runtime/files/import-weights.ts");
  const { writeSafetensors } = await import("../../runtime/files/safetensors-writer.ts");
  const { parametersOf } = await import("./model-parameters.ts");
  const shards = await openWeightShards(nodeDisk, folder);
  try {
    const facts = withoutMissingModules(read.facts, [...shards.tensors.keys()]);
    const { text, spec } = await specOf(folder, facts, tokenizerJson !== undefined);
    if (tokenizerJson !== undefined) await checkTokenizer(tokenizerJson, join(folder, tokenizerFile), spec);
    const { scaleBlock } = read;
    const weights = await importWeights(shards, read.family.name, parametersOf(spec), { scaleBlock });
    await makeFolder(out, async (made) => {
      await writeNewFile(join(made, "model.yaml"), (write) => write(new TextEncoder().encode(text)));
      await copyFiles(folder, made, keptFiles);
      await writeNewFile(join(made, "model.safetensors"), (write) => writeSafetensors(weights.tensors, {}, write));
      weights.checkFinite();
    });
    printEnd(out, weights, tokenizerJson !== undefined);
    printNotes(read, weights, shards.warning);
    if (facts.mtp !== read.facts.mtp) process.stderr.write(`${say.modulesMissing(read.facts.mtp?.value ?? 0)}\n`);
  } finally {
    await shards.close();
  }
}

const configFile = "config.json";
const tokenizerFile = "tokenizer.json";

/** What a checkpoint holds besides its weights; `mspec export` gives them back. */
export const keptFiles = [
  configFile,
  tokenizerFile,
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "generation_config.json",
  "chat_template.jinja",
] as const;

async function checkIsFolder(folder: string): Promise<void> {
  const { nodeDisk } = await import("../../runtime/files/node-disk.ts");
  const { foreignFormat } = await import("../../runtime/files/foreign-format.ts");
  const { missingFile, noFolder, notSafetensors } = await import("../../runtime/messages/hugging-face.ts");
  const kind = (await nodeDisk.stat(folder))?.kind;
  if (kind === "file") {
    const reader = await nodeDisk.openRead(folder);
    try {
      const foreign = await foreignFormat(reader);
      if (foreign !== undefined) throw notSafetensors(folder, foreign.what, foreign.help);
    } finally {
      await reader.close();
    }
  }
  if (kind !== "folder") throw noFolder(folder, kind === "file");
  if ((await nodeDisk.stat(join(folder, configFile))) === undefined) throw missingFile(folder, configFile);
}

interface ImportedSpec {
  readonly text: string;
  readonly spec: Spec;
}

async function readConfigOf(folder: string): Promise<ReadConfig> {
  const { readSourceFile } = await import("../source/read-file.ts");
  const { readConfig } = await import("../spec/read-config.ts");
  const diagnostics = new Diagnostics();
  const source = readSourceFile(join(folder, configFile), diagnostics);
  const read = source && readConfig(source, diagnostics);
  diagnostics.throwIfErrors();
  invariant(read !== undefined, "a config without faults is read");
  return read;
}

/**
 * transformers writes `num_nextn_predict_layers: 1` for every DeepSeek-V3 that is not told otherwise, and saves no such
 * module. One that is there in part is for the comparison of tensors to refuse.
 */
function withoutMissingModules(facts: ModelFacts, tensors: readonly string[]): ModelFacts {
  const isOfModule = (name: string): boolean =>
    Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= facts.layers.value;
  return facts.mtp === undefined || tensors.some(isOfModule) ? facts : { ...facts, mtp: undefined };
}

async function specOf(folder: string, facts: ModelFacts, hasTokenizer: boolean): Promise<ImportedSpec> {
  const { SourceText } = await import("../source/text.ts");
  const { specNameFrom, specTextFromConfig } = await import("../spec/from-config.ts");
  const { readSpec } = await import("../spec/read.ts");
  const text = specTextFromConfig(facts, { name: specNameFrom(basename(resolve(folder))), hasTokenizer });
  const reading = readSpec(new SourceText("model.yaml", text));
  const diagnostics = new Diagnostics();
  for (const diagnostic of reading.diagnostics) diagnostics.add(diagnostic);
  diagnostics.throwIfErrors();
  invariant(reading.spec !== undefined, "a config without faults is a spec");
  return { text, spec: reading.spec };
}

/** Errors: faults of the file; `model/tokenizer-too-large` with both numbers. */
async function checkTokenizer(json: Uint8Array, path: string, { model }: Spec): Promise<void> {
  const { openTokenizer } = await import("../../runtime/data/tokenizer.ts");
  const { tokenizerTooLarge } = await import("../../runtime/messages/model.ts");
  const { vocab } = openTokenizer(new TextDecoder().decode(json), path);
  if (vocab > model.vocab) throw tokenizerTooLarge(path, vocab, model.vocab);
}

function printEnd(folder: string, { tensors, numScaled }: ImportedWeights, hasTokenizer: boolean): void {
  const parameters = tensors.reduce(
    (count, { shape }) => count + shape.reduce((product, size) => product * size, 1),
    0,
  );
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))];
  const facts = { folder, tensors: tensors.length, parameters, dtypes, hasTokenizer, numScaled };
  process.stdout.write(`${say.imported(facts)}\n`);
}

function printNotes({ unread, family }: ReadConfig, { leftOut }: ImportedWeights, warning: string | undefined): void {
  const notes = [
    ...(unread.length > 0 ? [say.unreadKeys(unread, family.name)] : []),
    ...(leftOut.length > 0 ? [say.leftOut(leftOut)] : []),
    ...(warning === undefined ? [] : [say.note(warning)]),
  ];
  for (const note of notes) process.stderr.write(`${note}\n`);
}
