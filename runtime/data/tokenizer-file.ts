// What mspec reads of a tokenizer.json: its shape and its ids, checked before any library sees them.

import {
  badMerge,
  badTokenId,
  emptyMerge,
  idsDisagree,
  idsNotContiguous,
  missingField,
  notJson,
  unsupportedModel,
} from "../messages/tokenizer.ts";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** A part of the file that only its `type` and a few flags are read of; the library reads the rest. */
export type Component = Readonly<Record<string, unknown>> | null;

export interface TokenizerFile {
  readonly normalizer: Component;
  readonly pre_tokenizer: Component;
  readonly post_processor: Component;
  readonly decoder: Component;
  readonly added_tokens: readonly AddedToken[];
  readonly model: TokenizerModel;
}

export interface TokenizerModel {
  readonly type: "BPE";
  readonly vocab: Readonly<Record<string, number>>;
  /** Older files have text with a space between the parts; it is read as pairs. */
  readonly merges: readonly (readonly [string, string])[];
  readonly [option: string]: unknown;
}

/** Reads a file and checks it. Errors: a fault `tokenizer/…` at `name`. */
export function parseTokenizerFile(text: string, name: string): TokenizerFile {
  const file = parseJson(text, name);
  const model = file.model;
  if (!isRecord(model)) throw missingField(name, "model", "an object");
  if (model.type !== "BPE") throw unsupportedModel(name, String(model.type));
  if (!isRecord(model.vocab)) throw missingField(name, "model.vocab", "an object of ids by token");
  if (!Array.isArray(model.merges)) throw missingField(name, "model.merges", "a list");
  const added = addedTokens(file.added_tokens, name);
  const merges = checkedMerges(model.merges, model.vocab, name);
  return {
    normalizer: component(file.normalizer),
    pre_tokenizer: component(file.pre_tokenizer),
    post_processor: component(file.post_processor),
    decoder: component(file.decoder),
    added_tokens: added,
    model: { ...model, merges } as unknown as TokenizerModel,
  };
}

/** The tokens by id. Errors: an id that is no id, and ids that are doubled or missing. */
export function tokensById(file: TokenizerFile, name: string): string[] {
  const tokens: string[] = [];
  const place = (token: string, id: number): void => {
    if (!Number.isSafeInteger(id) || id < 0) throw badTokenId(name, token, id);
    if (tokens[id] !== undefined && tokens[id] !== token) {
      throw idsNotContiguous(
        name,
        ids.size,
        `${id} is both ${JSON.stringify(tokens[id])} and ${JSON.stringify(token)}`,
      );
    }
    tokens[id] = token;
  };
  const ids = new Map(Object.entries(file.model.vocab));
  for (const { content, id } of file.added_tokens) {
    const known = ids.get(content);
    if (known !== undefined && known !== id) throw idsDisagree(name, content, known, id);
    ids.set(content, id);
  }
  // Checked before anything is placed, so that one huge id makes no huge array.
  for (const [token, id] of ids) {
    if (id >= ids.size) throw idsNotContiguous(name, ids.size, `${JSON.stringify(token)} has the id ${id}`);
  }
  for (const [token, id] of ids) place(token, id);
  return tokens;
}

function parseJson(text: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notJson(name, error instanceof Error ? error.message : String(error));
  }
  if (!isRecord(value)) throw missingField(name, "content", "an object");
  return value;
}

function addedTokens(value: unknown, name: string): AddedToken[] {
  if (!Array.isArray(value)) throw missingField(name, "added_tokens", "a list");
  return value.map((token: unknown, index) => {
    if (!isRecord(token) || typeof token.content !== "string" || typeof token.id !== "number") {
      throw missingField(name, `added_tokens[${index}]`, "an object with `content` and `id`");
    }
    return token as unknown as AddedToken;
  });
}

function checkedMerges(merges: readonly unknown[], vocab: Record<string, unknown>, name: string): [string, string][] {
  return merges.map((merge, index) => {
    const parts: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    if (!isPair(parts) || ![...parts, parts.join("")].every((part) => Object.hasOwn(vocab, part))) {
      throw badMerge(name, index, JSON.stringify(merge));
    }
    // The one way in which merges could go in a circle: all others make longer tokens of shorter ones.
    if (parts.includes("")) throw emptyMerge(name, index, JSON.stringify(merge));
    return parts;
  });
}

function isPair(parts: unknown): parts is [string, string] {
  return Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === "string");
}

function component(value: unknown): Component {
  return isRecord(value) ? value : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
