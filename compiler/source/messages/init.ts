// Sentences of `mspec init`.

import type { Diagnostic } from "../diagnostic.ts";
import { both, quoted } from "./words.ts";

export function badName(name: string): Diagnostic {
  return {
    code: "init/bad-name",
    severity: "error",
    claim: `${quoted(name)} is not a name for a model`,
    help: "begin with a small letter and go on with small letters, digits and hyphens, such as `my-model`; at most 63",
  };
}

export function exists(folder: string, files: readonly string[]): Diagnostic {
  return {
    code: "init/exists",
    severity: "error",
    claim: `${quoted(folder, Number.POSITIVE_INFINITY)} already has ${both(files.map((file) => quoted(file)))}, and nothing is overwritten`,
    help: "choose another name, or another folder with `-o`",
  };
}

export function created(folder: string, name: string): string {
  return [
    `${folder}: a spec for ${name}, a text to train on, a README`,
    `  cd ${folder} && mspec check model.yaml && mspec train model.yaml -o runs/first`,
  ].join("\n");
}
