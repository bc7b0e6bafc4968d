// A Spec → config.json of a family of transformers', in the spelling of transformers 5. The config is read back as an import
// would, and what then differs from the model is refused with its place: one that is nearly right would load and write
// nonsense.

import { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/hugging-face.ts";
import { SourceText } from "../source/text.ts";
import type { ConfigValues } from "./config-keys.ts";
import { expertCountKeys } from "./families/experts.ts";
import type { ConfigFamily, FamilyName } from "./families/family.ts";
import { configFamilies } from "./families/index.ts";
import { specTextFromConfig } from "./from-config.ts";
import { activationFormulas } from "./hugging-face-activations.ts";
import { modelDifferences } from "./model-differences.ts";
import { readSpec } from "./read.ts";
import { readConfig } from "./read-config.ts";
import type { ModelSpec, Spec } from "./spec.ts";

/** What a config says besides the model; null where there is no such token. */
export interface ConfigContext {
  readonly dtype: string;
  readonly bos: number | null;
  readonly eos: number | null;
  /** Keys of the config that the model was imported with; those that the spec says are replaced. */
  readonly kept: ConfigValues;
}

interface WrittenConfig {
  readonly family: FamilyName;
  readonly text: string;
}

/**
 * The text of config.json, as the family that the model was imported with or else the first one that can say the model;
 * undefined where none can, which is added to the diagnostics.
 */
export function configText(spec: Spec, context: ConfigContext, diagnostics: Diagnostics): WrittenConfig | undefined {
  const isKept = ({ modelTypes }: ConfigFamily): boolean => modelTypes.some((type) => type === context.kept.model_type);
  const fitting = configFamilies.filter((family) => family.fits(spec.model));
  const candidates = [...fitting.filter(isKept), ...fitting.filter((family) => !isKept(family))];
  let told: Diagnostics | undefined;
  for (const family of candidates) {
    const problems = new Diagnostics();
    const text = familyText(family, spec, context, problems);
    if (!problems.hasErrors) return { family: family.name, text };
    told ??= problems;
  }
  if (told === undefined) diagnostics.add(noFamily(spec));
  for (const problem of told?.all ?? []) diagnostics.add(problem);
  return undefined;
}

/** Other spellings of what is written, and how weights were stored. */
const replacedKeys: ReadonlySet<string> = new Set([
  ...["torch_dtype", "rope_theta", "rope_scaling", "quantization_config", "auto_map"],
  ...[...expertCountKeys, "experts_per_token"],
]);

/** What another family calls a number would contradict what this one does. */
const spokenKeys = (): ReadonlySet<string> =>
  new Set([
    ...replacedKeys,
    ...configFamilies.flatMap(({ keys, refusals }) => [...keys, ...refusals.map(({ key }) => key)]),
  ]);

function familyText(family: ConfigFamily, spec: Spec, context: ConfigContext, diagnostics: Diagnostics): string {
  const { model, placeOf } = spec;
  const written = family.write(model, (what, why, key) => {
    diagnostics.add(say.notExportable(what, why, placeOf(key) ?? placeOf("model")));
  });
  const defaults = {
    attention_dropout: 0,
    bos_token_id: context.bos,
    eos_token_id: context.eos,
    initializer_range: 0.02,
    pad_token_id: null,
    use_cache: true,
  };
  const isOwn = family.modelTypes.some((type) => type === context.kept.model_type);
  const kept = Object.entries(context.kept).filter(([key]) =>
    isOwn ? !replacedKeys.has(key) : !spokenKeys().has(key),
  );
  const config: ConfigValues = {
    ...defaults,
    ...Object.fromEntries(kept),
    ...written,
    ...sameMeaning(context.kept, written),
    architectures: [family.architecture],
    dtype: context.dtype,
    model_type: family.modelTypes[0],
  };
  const sorted = Object.fromEntries(Object.entries(config).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const text = `${withPoints(JSON.stringify(sorted, undefined, 2))}\n`;
  if (!diagnostics.hasErrors) checkReadBack(spec, family, text, diagnostics);
  return text;
}

/** Several names mean one function; what was imported keeps its own. */
function sameMeaning(kept: ConfigValues, written: ConfigValues): ConfigValues {
  const formula = (value: unknown) => (typeof value === "string" ? activationFormulas.get(value) : undefined);
  const known = formula(kept.hidden_act);
  return known !== undefined && known === formula(written.hidden_act) ? { hidden_act: kept.hidden_act } : {};
}

/** Keys that transformers takes as floats only; to JavaScript 8 and 8.0 are the same. */
const floatKeys = [
  ...["attention_dropout", "rope_theta", "(?:\\w+_)?factor", "mscale", "mscale_all_dim", "clip_qkv"],
  ...["router_jitter_noise", "router_aux_loss_coef", "aux_loss_alpha", "initializer_range"],
];

function withPoints(json: string): string {
  return json.replace(new RegExp(`^(\\s*"(?:${floatKeys.join("|")})": \\d+)(?=,?$)`, "gm"), "$1.0");
}

/** What an import of the config would make of it must be the model. */
function checkReadBack(spec: Spec, family: ConfigFamily, text: string, diagnostics: Diagnostics): void {
  const read = modelOfConfig(text, diagnostics);
  if (read === undefined) return;
  for (const { what, there, path } of modelDifferences(spec.model, read)) {
    const why = `a ${family.modelTypes[0]} of transformers would have ${there}`;
    diagnostics.add(say.notExportable(what, why, placeNear(spec, path)));
  }
}

function modelOfConfig(text: string, diagnostics: Diagnostics): ModelSpec | undefined {
  const read = readConfig(new SourceText("config.json", text), diagnostics);
  if (read === undefined) return undefined;
  const yaml = specTextFromConfig(read.facts, { name: "read-back", hasTokenizer: false });
  const reading = readSpec(new SourceText("model.yaml", yaml));
  for (const problem of reading.diagnostics) if (problem.severity === "error") diagnostics.add(problem);
  return reading.spec?.model;
}

/** The key, or the nearest one around it that the file has. */
function placeNear({ placeOf }: Spec, path: string) {
  const parts = path.split(".");
  for (let length = parts.length; length > 0; length--) {
    const place = placeOf(parts.slice(0, length).join("."));
    if (place !== undefined) return place;
  }
  return undefined;
}

function noFamily({ model, placeOf }: Spec) {
  const kinds = (list: readonly { readonly kind: string }[]) =>
    [...new Set(list.map(({ kind }) => kind))].join(" and ");
  const attention = kinds(model.layers.map((layer) => layer.attention));
  const ffn = kinds(model.layers.map((layer) => layer.ffn));
  const known = configFamilies.map(({ modelTypes }) => modelTypes[0]).join(", ");
  return say.notExportable(
    `the model has ${attention} attention and ${ffn} blocks`,
    `none of the families that mspec exports to has both: ${known}`,
    placeOf("model.attention") ?? placeOf("model"),
  );
}
