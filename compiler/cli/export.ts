// `mspec export`: a run's newest checkpoint, or an imported model, as a folder that transformers loads.

import { join } from "node:path";
import { type Command, Option } from "commander";
import type { Family } from "../../runtime/files/hugging-face.ts";
import type { StoredTensor } from "../../runtime/files/safetensors.ts";
import { Diagnostics, invariant } from "../source/diagnostic.ts";
import * as say from "../source/messages/checkpoint-folder.ts";
import { familyNames } from "../spec/families/family.ts";
import type { Spec } from "../spec/spec.ts";
import { outFlag, readSpecOrThrow } from "./spec-flags.ts";

export function addExportVerb(program: Command): void {
  program
    .command("export")
    .description("write a run's newest checkpoint, or an imported model, as a Hugging Face checkpoint")
    .argument("<folder>", "a run folder, or a folder that mspec import wrote")
    .addOption(new Option("--format <name>", "the layout: Hugging Face's").choices(["hf"]).default("hf"))
    .addOption(outFlag("the folder to make; it must not hold anything yet").makeOptionMandatory())
    .addHelpText("after", after)
    .action(exportFolder);
}

const after = `
The folder then holds config.json as transformers 5 writes it, model.safetensors under Hugging Face's names, and the
tokenizer: AutoModelForCausalLM loads it. The type is that of the imported model, or the first that can say the model, of:
${familyNames.join(", ")}.
Weights keep the format that they are stored in: f32 of a run, what an imported model has (F32 where it was FP8). What no
model of transformers computes, such as a mask of one's own, is refused.`;

/** A folder to export: its spec, its weights under our names, and where the other files of a checkpoint are. */
interface Exported {
  readonly spec: Spec;
  readonly weights: string;
  readonly folder: string;
  readonly isImported: boolean;
}

async function exportFolder(folder: string, { out }: { readonly out: string }): Promise<void> {
  const { checkNewFolder, copyFiles, makeFolder, writeNewFile } = await import("./new-folder.ts");
  checkNewFolder(out);
  const exported = await openExported(folder);
  const { nodeDisk } = await import("../../runtime/files/node-disk.ts");
  const { openSafetensors } = await import("../../runtime/files/safetensors.ts");
  const { writeSafetensors } = await import("../../runtime/files/safetensors-writer.ts");
  const { exportWeights } = await import("../../runtime/files/export-weights.ts");
  const { parametersOf } = await import("./model-parameters.ts");
  const reader = await nodeDisk.openRead(exported.weights);
  try {
    const file = await openSafetensors(reader);
    const { family, texts, wasScaled } = await checkpointTexts(exported, [...file.tensors.values()]);
    const tensors = exportWeights(file, exported.weights, family, parametersOf(exported.spec));
    const { keptFiles } = await import("./import.ts");
    await makeFolder(out, async (made) => {
      for (const [name, text] of texts) {
        await writeNewFile(join(made, name), (write) => write(new TextEncoder().encode(text)));
      }
      const kept = exported.isImported ? keptFiles : (["tokenizer.json"] as const);
      await copyFiles(
        exported.folder,
        made,
        kept.filter((name) => !texts.has(name)),
      );
      await writeNewFile(join(made, "model.safetensors"), (write) =>
        writeSafetensors(tensors, { format: "pt" }, write),
      );
    });
    if (wasScaled) process.stderr.write(`${say.note(say.nowUnscaled)}\n`);
    process.stdout.write(`${say.exported(out, tensors.length, [...new Set(tensors.map(({ dtype }) => dtype))])}\n`);
  } finally {
    await reader.close();
  }
}

async function openExported(folder: string): Promise<Exported> {
  const { nodeDisk } = await import("../../runtime/files/node-disk.ts");
  const imported = join(folder, "model.yaml");
  if ((await nodeDisk.stat(imported)) !== undefined) {
    const weights = join(folder, "model.safetensors");
    return { spec: readSpecOrThrow(imported, { set: [] }), weights, folder, isImported: true };
  }
  const { findRunCheckpoint, runNames } = await import("../../runtime/train/run-folder.ts");
  const { warningLine } = await import("../source/messages/train.ts");
  const { checkpoint, warnings } = await findRunCheckpoint(nodeDisk, folder);
  for (const sentence of warnings) process.stderr.write(`${warningLine(sentence)}\n`);
  const spec = readSpecOrThrow(join(folder, runNames.spec), { set: [] });
  return { spec, weights: join(checkpoint.folder, "parameters.safetensors"), folder, isImported: false };
}

interface CheckpointTexts {
  readonly family: Family;
  /** By file name. */
  readonly texts: ReadonlyMap<string, string>;
  /** Whether weights of the imported checkpoint were FP8. */
  readonly wasScaled: boolean;
}

/** config.json, and for a run what transformers wants to know of its tokenizer. */
async function checkpointTexts(
  { spec, folder, isImported }: Exported,
  tensors: readonly StoredTensor[],
): Promise<CheckpointTexts> {
  const { configText } = await import("../spec/to-config.ts");
  const { readSmallFile } = await import("./new-folder.ts");
  const text = async (name: string): Promise<string | undefined> => {
    const bytes = await readSmallFile(join(folder, name));
    return bytes && new TextDecoder().decode(bytes);
  };
  const config = isImported ? await text("config.json") : undefined;
  const tokens = await specialTokens(await text("tokenizer.json"), join(folder, "tokenizer.json"));
  const diagnostics = new Diagnostics();
  const kept = config === undefined ? {} : JSON.parse(config);
  const written = configText(spec, { dtype: dtypeName(tensors), ...tokens, kept }, diagnostics);
  diagnostics.throwIfErrors();
  invariant(written !== undefined, "a spec without faults has a config");
  const texts = new Map([["config.json", written.text]]);
  if (!isImported && tokens.names !== undefined) {
    const about = { tokenizer_class: "PreTrainedTokenizerFast", ...tokens.names, model_max_length: spec.model.context };
    texts.set("tokenizer_config.json", `${JSON.stringify(about, undefined, 2)}\n`);
  }
  return { family: written.family, texts, wasScaled: "quantization_config" in kept };
}

interface SpecialTokens {
  readonly bos: number | null;
  readonly eos: number | null;
  /** Their texts; undefined without a tokenizer. */
  readonly names: Readonly<Record<string, string>> | undefined;
}

/** The tokens that begin and end a document, as mspec uses them. */
async function specialTokens(json: string | undefined, path: string): Promise<SpecialTokens> {
  if (json === undefined) return { bos: null, eos: null, names: undefined };
  const { documentStart } = await import("../../runtime/data/document-start.ts");
  const { openTokenizer } = await import("../../runtime/data/tokenizer.ts");
  const { parseTokenizerFile } = await import("../../runtime/data/tokenizer-file.ts");
  const eos = openTokenizer(json, path).endOfText ?? null;
  const bos = documentStart(json)[0] ?? null;
  const added = parseTokenizerFile(json, path).added_tokens;
  const named = (key: string, id: number | null) => {
    const content = added.find((token) => token.id === id)?.content;
    return content === undefined ? [] : [[key, content] as const];
  };
  return { bos, eos, names: Object.fromEntries([...named("bos_token", bos), ...named("eos_token", eos)]) };
}

const dtypeNames: Readonly<Record<string, string>> = { F32: "float32", BF16: "bfloat16", F16: "float16" };

/** The format to compute in: the stored one, or f32, which holds all of them, where there are several. */
function dtypeName(tensors: readonly StoredTensor[]): string {
  const [first, ...others] = new Set(tensors.map(({ dtype }) => dtype));
  return (others.length === 0 ? dtypeNames[first] : undefined) ?? "float32";
}
