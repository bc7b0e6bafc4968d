// The tokens at which an imported model ends a text, as its checkpoint says: chat models end an answer with another token than
// a document.

import { join } from "node:path";
import { DiagnosticError } from "../source/diagnostic.ts";
import { badEndTokens, notJsonObject } from "../source/messages/checkpoint-folder.ts";
import { isRecord } from "../spec/config-keys.ts";
import { readSmallFile } from "./new-folder.ts";

/** In the order in which transformers asks them. */
const files = ["generation_config.json", "config.json"] as const;

/** `eos_token_id` of the folder's first file that has one; none for a folder of another kind. */
export async function endTokensOf(folder: string): Promise<number[]> {
  for (const name of files) {
    const path = join(folder, name);
    const bytes = await readSmallFile(path);
    if (bytes === undefined) continue;
    const { eos_token_id: value } = parsed(path, new TextDecoder().decode(bytes));
    if (value === undefined || value === null) continue;
    const ids = Array.isArray(value) ? value : [value];
    if (!ids.every((id) => Number.isSafeInteger(id) && id >= 0)) throw new DiagnosticError([badEndTokens(path, value)]);
    return ids;
  }
  return [];
}

function parsed(path: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const values: unknown = JSON.parse(text);
    if (isRecord(values)) return values;
  } catch {
    // Told below, as what is no object is.
  }
  throw new DiagnosticError([notJsonObject(path)]);
}
