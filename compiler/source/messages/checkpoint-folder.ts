// What `mspec import`, `export` and `verify` say of folders and when they are done. Faults of weights are the runtime's.

import type { Diagnostic } from "../diagnostic.ts";
import { both, quoted } from "./words.ts";

const whole = (path: string) => quoted(path, Number.POSITIVE_INFINITY);

const mostNames = 3;

export function folderNotEmpty(path: string, names: readonly string[]): Diagnostic {
  const more = names.length - mostNames;
  const told = names.slice(0, mostNames).map((name) => quoted(name));
  return {
    code: "output/not-empty",
    severity: "error",
    claim: `${whole(path)} already holds ${both(more > 0 ? [...told, `${more} more`] : told)}, and nothing is overwritten`,
    help: "choose another folder with `-o`, or move that one away",
  };
}

export const fileTooLarge = (path: string, bytes: number, most: number): Diagnostic => ({
  code: "output/file-too-large",
  severity: "error",
  claim: `${whole(path)} has ${bytes} bytes, which is too much for what its name says`,
  help: `at most ${most} are read; fetch the file again`,
});

export const notJsonObject = (path: string): Diagnostic => ({
  code: "generate/not-json",
  severity: "error",
  claim: `${whole(path)} is not a JSON object`,
  help: "fetch the file again, or delete it to go by the tokenizer alone",
});

/** In generation_config.json or config.json. */
export const badEndTokens = (path: string, value: unknown): Diagnostic => ({
  code: "generate/bad-end-tokens",
  severity: "error",
  claim: `\`eos_token_id\` of ${whole(path)} is ${JSON.stringify(value) ?? "nothing"}, which is no token and no list of tokens`,
  help: "write the id of the token that ends a text, a list of such ids, or null",
});

export interface ImportFacts {
  readonly folder: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly dtypes: readonly string[];
  readonly hasTokenizer: boolean;
  /** Tensors of the checkpoint that were FP8. */
  readonly numScaled: number;
}

const count = (value: number): string => value.toLocaleString("en");

export function imported({ folder, tensors, parameters, dtypes, hasTokenizer, numScaled }: ImportFacts): string {
  const next = hasTokenizer ? [`  mspec generate ${folder} --prompt "…"`] : [];
  const scaled =
    numScaled === 0 ? [] : [`  ${count(numScaled)} tensors were FP8 and are now F32, each value times its scale`];
  return [
    `${folder}: ${count(tensors)} tensors, ${count(parameters)} parameters as ${both(dtypes)}${hasTokenizer ? ", a tokenizer" : "; no tokenizer.json was there"}`,
    ...scaled,
    ...next,
    `  mspec train ${folder}/model.yaml --weights ${folder}/model.safetensors --data … -o runs/first`,
  ].join("\n");
}

/** Keys that nobody reads may still be meant: they are named, so that somebody can look. */
export const unreadKeys = (keys: readonly string[], family: string): string =>
  note(
    `config.json has ${both(keys.map((key) => quoted(key)))}, which transformers does not read in a ${family}, and mspec does not`,
  );

/** Of modules that config.json does not name. */
export const leftOut = (tensors: readonly string[]): string =>
  note(
    `${count(tensors.length)} tensors were left out, such as ${tensors[0]}: they predict further tokens, and config.json has no \`num_nextn_predict_layers\` above 0`,
  );

/** Of modules that config.json names, and nobody saved. */
export const modulesMissing = (depth: number): string =>
  note(
    `config.json has \`num_nextn_predict_layers\` ${depth}, and no tensor is of such a layer, as transformers saves models: the model predicts the next token only`,
  );

export const nowUnscaled =
  "the checkpoint that the model is from had FP8 weights; they are written as F32, and config.json has no quantization_config";

export const note = (sentence: string): string => `note: ${sentence}`;

export const exported = (folder: string, tensors: number, dtypes: readonly string[]): string =>
  `${folder}: ${count(tensors)} tensors as ${both(dtypes)}, for AutoModelForCausalLM.from_pretrained(${JSON.stringify(folder)})`;
