// Sentences about config.json of Hugging Face, both ways: what mspec's language cannot say, and what theirs cannot.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { either } from "./words.ts";

/** A key of a config with its value as JSON; a path such as `rope_parameters.factor` where it is nested. */
export interface ConfigKey {
  readonly path: string;
  readonly value: unknown;
  readonly place: Place;
}

const refuse = (code: string, claim: string, place: Place, help: string, details?: readonly string[]): Diagnostic => ({
  code: `import/${code}`,
  severity: "error",
  claim,
  place,
  ...(details === undefined ? {} : { details }),
  help,
});

const mostCharacters = 80;

/** JSON of a value, on one line and not too long to be read. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= mostCharacters ? text : `${text.slice(0, mostCharacters - 3)}...`;
}

export const notJson = (reason: string, place: Place): Diagnostic =>
  refuse("config-not-json", "config.json is not a JSON object", place, "fetch config.json again", [reason]);

export const missing = (path: string, wanted: string, place: Place): Diagnostic =>
  refuse("config-key-missing", `config.json has no \`${path}\``, place, `add it: ${wanted}`);

export const wrongValue = ({ path, value, place }: ConfigKey, wanted: string): Diagnostic =>
  refuse("config-value", `\`${path}\` is ${shown(value)}, which is not ${wanted}`, place, `write ${wanted}`);

export const unknownKind = ({ path, value, place }: ConfigKey, known: readonly string[]): Diagnostic =>
  refuse(
    "unknown-kind",
    `\`${path}\` is ${shown(value)}, which mspec does not import`,
    place,
    `mspec imports ${either(known)}; write a spec of your own for another model`,
  );

export const notExpressible = ({ path, value, place }: ConfigKey, why: string, help: string): Diagnostic =>
  refuse("not-expressible", `\`${path}\` is ${shown(value)}: ${why}`, place, help);

export const contradiction = ({ path, value, place }: ConfigKey, other: string): Diagnostic =>
  refuse(
    "contradiction",
    `\`${path}\` is ${shown(value)}, but ${other}`,
    place,
    "keep the one that the model was trained with",
  );

/** What of a spec has no key in their config. */
export const notExportable = (what: string, why: string, place: Place | undefined): Diagnostic => ({
  code: "export/not-expressible",
  severity: "error",
  claim: `${what}, and ${why}`,
  ...(place === undefined ? {} : { place }),
  help: "a checkpoint of mspec's own, which `mspec generate` reads, has no such limit",
});
