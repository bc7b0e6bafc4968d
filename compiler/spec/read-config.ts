// config.json of a model in both spellings of transformers → the facts of the model. What mspec's language cannot say is an
// error with the key, its value and the way out: a wrong number would only show as bad text.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/hugging-face.ts";
import type { SourceText } from "../source/text.ts";
import { ConfigKeys, isRecord } from "./config-keys.ts";
import type { ModelFacts } from "./families/facts.ts";
import type { ConfigFamily } from "./families/family.ts";
import { configFamilies } from "./families/index.ts";
import { everywhere, idleKeys } from "./families/refusals.ts";

/** Rows and columns of a weight that one scale is for. */
export type ScaleBlock = readonly [rows: number, columns: number];

export interface ReadConfig {
  readonly family: ConfigFamily;
  readonly facts: ModelFacts;
  /** Of weights in FP8; undefined: there are none. */
  readonly scaleBlock: ScaleBlock | undefined;
  /** Keys with a value that neither mspec nor, in such a model, transformers reads. */
  readonly unread: readonly string[];
}

/** What a config says; undefined if anything of it is refused, which is added to the diagnostics. */
export function readConfig(source: SourceText, diagnostics: Diagnostics): ReadConfig | undefined {
  const config = parseConfig(source, diagnostics);
  const family = config && familyOf(config);
  if (config === undefined || family === undefined) return undefined;
  const refusals = [...everywhere, ...family.refusals];
  for (const { key, isHarmless, why, help } of refusals) {
    if (!config.isGiven(key) || isHarmless(config.values[key], config)) continue;
    diagnostics.add(say.notExpressible(config.key(key), why, help));
  }
  refuseCode(config, family);
  const scaleBlock = readScaleBlock(config);
  const facts = family.read(config);
  const known = new Set([...idleKeys, ...refusals.map(({ key }) => key), ...family.keys]);
  const unread = Object.keys(config.values).filter((key) => config.isGiven(key) && !known.has(key));
  return diagnostics.hasErrors ? undefined : { family, facts, scaleBlock, unread };
}

function parseConfig(source: SourceText, diagnostics: Diagnostics): ConfigKeys | undefined {
  const place = { source, span: { start: 0, end: 0 } };
  try {
    const values: unknown = JSON.parse(source.text);
    if (isRecord(values)) return new ConfigKeys(source, values, diagnostics);
    diagnostics.add(say.notJson("it is no object of keys and values", place));
  } catch (error) {
    diagnostics.add(say.notJson(error instanceof Error ? error.message : String(error), place));
  }
  return undefined;
}

/** Whose model it is decides what its other keys mean, so nothing else is told of an unknown one. */
function familyOf(config: ConfigKeys): ConfigFamily | undefined {
  const { diagnostics, values } = config;
  const type = config.word("model_type").value;
  const family = configFamilies.find(({ modelTypes }) => modelTypes.includes(type));
  if (family === undefined) {
    const known = configFamilies.flatMap(({ modelTypes }) => modelTypes);
    if (!diagnostics.hasErrors) diagnostics.add(say.unknownKind(config.key("model_type"), known));
    return undefined;
  }
  const { architectures } = values;
  const isKnown =
    Array.isArray(architectures) && architectures.length === 1 && architectures[0] === family.architecture;
  if (config.isGiven("architectures") && !isKnown) {
    diagnostics.add(say.unknownKind(config.key("architectures"), [JSON.stringify([family.architecture])]));
    return undefined;
  }
  return family;
}

/** Code of a checkpoint is never run. DeepSeek's own files define what transformers has since taken over. */
function refuseCode(config: ConfigKeys, { remoteCode }: ConfigFamily): void {
  if (!config.isGiven("auto_map")) return;
  const names = isRecord(config.values.auto_map) ? Object.values(config.values.auto_map) : [undefined];
  const isOwn = (name: unknown): boolean => {
    const found = typeof name === "string" ? /^(?:configuration|modeling)_deepseek\.(\w+)$/.exec(name)?.[1] : undefined;
    return found !== undefined && remoteCode.includes(found);
  };
  if (names.every(isOwn)) return;
  const why = "the model is defined by code of its own, which mspec never runs";
  const help = "delete the key if the code is what transformers itself has for this model type";
  config.diagnostics.add(say.notExpressible(config.key("auto_map"), why, help));
}

/** DeepSeek's FP8: `F8_E4M3` weights, each block of which has a scale. */
function readScaleBlock(config: ConfigKeys): ScaleBlock | undefined {
  const keys = config.below("quantization_config");
  if (keys === undefined) return undefined;
  const { quant_method: method, fmt = "e4m3", weight_block_size: block } = keys.values;
  const isSize = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1;
  const isBlock = Array.isArray(block) && block.length === 2 && block.every(isSize);
  if (method === "fp8" && fmt === "e4m3" && isBlock) return [Number(block[0]), Number(block[1])];
  const why =
    "its weights are quantised, and of such mspec reads `quant_method: fp8` in `fmt: e4m3` with a `weight_block_size`";
  const help =
    method === "mxfp4"
      ? "load it with transformers and `Mxfp4Config(dequantize=True)`, and save it again: `model.save_pretrained(folder)`"
      : "fetch the checkpoint that it was quantised from";
  config.diagnostics.add(say.notExpressible(config.key("quantization_config"), why, help));
  return undefined;
}
