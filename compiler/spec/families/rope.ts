// Rotary positions of a config in both spellings: transformers 5 has `rope_parameters`, configs of before `rope_theta` and
// `rope_scaling` beside each other. Both ways.

import * as say from "../../source/messages/hugging-face.ts";
import { type ConfigKeys, fallback, type Sourced } from "../config-keys.ts";
import type { RopeSpec } from "../spec.ts";
import type { Llama3Facts, RopeFacts, YarnFacts } from "./facts.ts";

export const ropeKeys: readonly string[] = ["rope_theta", "rope_scaling", "rope_parameters"];

export interface RopeOptions {
  readonly theta?: number;
  readonly layout?: Sourced<"half" | "interleaved">;
  /** The scalings that the family may have besides none. */
  readonly scalings: readonly ("llama3" | "yarn")[];
  /** Whether the family scales its scores by `mscale_all_dim`. */
  readonly hasMscale?: boolean;
}

const halves = { value: "half", from: "transformers turns the halves of a head" } as const;

export function readRope(config: ConfigKeys, options: RopeOptions): RopeFacts {
  const { diagnostics } = config;
  const [now, before] = ["rope_parameters", "rope_scaling"].map((name) => config.below(name));
  if (now !== undefined && before !== undefined) {
    diagnostics.add(say.contradiction(config.key("rope_scaling"), "`rope_parameters` is given, too"));
  }
  const keys = now ?? before;
  const layout = options.layout ?? halves;
  const top = config.positive("rope_theta", fallback(options.theta ?? 10000));
  if (keys === undefined) return { theta: top, layout, llama3: undefined, yarn: undefined };
  const theta = keys.positive("rope_theta", top);
  if (config.isGiven("rope_theta") && theta.value !== top.value) {
    diagnostics.add(say.contradiction(config.key("rope_theta"), `\`${theta.from}\` is ${theta.value}`));
  }
  const type = scalingOf(keys, options);
  // What transformers 5 takes where the key is left out.
  const context = config.whole("max_position_embeddings", fallback(2048));
  return {
    ...{ theta, layout },
    llama3: type === "llama3" ? readLlama3(keys, context) : undefined,
    yarn: type === "yarn" ? readYarn(keys, context) : undefined,
  };
}

const keysOf = {
  default: [],
  llama3: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
  yarn: [
    ...["factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "truncate", "attention_factor"],
    ...["mscale", "mscale_all_dim"],
  ],
} as const;

/** The scaling that rope's keys ask for; undefined where there is none. */
function scalingOf(
  keys: ConfigKeys,
  { scalings, hasMscale = false }: RopeOptions,
): "default" | "llama3" | "yarn" | undefined {
  const { diagnostics, values } = keys;
  const name = keys.isGiven("rope_type") ? "rope_type" : "type";
  const known = ["default", ...scalings] as const;
  const { value } = keys.word(name, fallback("default"));
  const type = known.find((each) => each === value);
  if (type === undefined) {
    if (value !== "") diagnostics.add(say.unknownKind(keys.key(name), known));
    return undefined;
  }
  const allowed = keysOf[type].filter((key) => hasMscale || !key.startsWith("mscale"));
  const expected: readonly string[] = ["rope_type", "type", "rope_theta", ...allowed];
  for (const key of Object.keys(values)) {
    const isWhole = key === "partial_rotary_factor" && values[key] === 1;
    if (!keys.isGiven(key) || expected.includes(key) || isWhole) continue;
    const why = `rope of type ${type} has no such key in this model type`;
    diagnostics.add(say.notExpressible(keys.key(key), why, "delete it if the model was trained without it"));
  }
  return type;
}

function readLlama3(keys: ConfigKeys, context: Sourced<number>): Llama3Facts {
  const { diagnostics } = keys;
  const [factor, lowFreqFactor, highFreqFactor] = keysOf.llama3.slice(0, 3).map((key) => keys.positive(key));
  const original = readOriginal(keys, context);
  if (factor.value < 1) diagnostics.add(say.wrongValue(keys.key("factor"), "a number from 1"));
  if (highFreqFactor.value <= lowFreqFactor.value) {
    diagnostics.add(say.wrongValue(keys.key("high_freq_factor"), `above low_freq_factor, ${lowFreqFactor.value}`));
  }
  return { factor, lowFreqFactor, highFreqFactor, original };
}

const readOriginal = (keys: ConfigKeys, { value }: Sourced<number>): Sourced<number> =>
  keys.whole("original_max_position_embeddings", {
    value,
    from: "max_position_embeddings: transformers takes it where the key is left out",
  });

function readYarn(keys: ConfigKeys, context: Sourced<number>): YarnFacts {
  const { diagnostics } = keys;
  const factor = keys.positive("factor");
  if (factor.value < 1) diagnostics.add(say.wrongValue(keys.key("factor"), "a number from 1"));
  const [betaFast, betaSlow] = [keys.positive("beta_fast", fallback(32)), keys.positive("beta_slow", fallback(1))];
  // Kimi K2 has 1 for both.
  if (betaFast.value < betaSlow.value) {
    diagnostics.add(say.wrongValue(keys.key("beta_fast"), `at least beta_slow, ${betaSlow.value}`));
  }
  // Systems disagree about one of these two without the other; 0 is as good as absent to all of them.
  const isSet = (key: string): boolean => keys.isGiven(key) && keys.values[key] !== 0;
  const given = ["mscale", "mscale_all_dim"].filter(isSet);
  if (given.length === 1) {
    const why = "without the other of `mscale` and `mscale_all_dim`, systems disagree about what it means";
    diagnostics.add(say.notExpressible(keys.key(given[0]), why, "set both to what the model was trained with"));
  }
  return {
    ...{ factor, betaFast, betaSlow },
    original: readOriginal(keys, context),
    truncate: keys.flag("truncate", fallback(true)),
    attentionFactor: keys.isGiven("attention_factor") ? keys.positive("attention_factor") : undefined,
    mscale: isSet("mscale") ? keys.positive("mscale") : undefined,
    mscaleAllDim: isSet("mscale_all_dim") ? keys.positive("mscale_all_dim") : undefined,
  };
}

/** `rope_parameters` of a model. */
export function writeRope({ theta, llama3, yarn }: RopeSpec): Readonly<Record<string, unknown>> {
  if (llama3 !== undefined) {
    return {
      factor: llama3.factor,
      high_freq_factor: llama3.highFreqFactor,
      low_freq_factor: llama3.lowFreqFactor,
      original_max_position_embeddings: llama3.original,
      rope_theta: theta,
      rope_type: "llama3",
    };
  }
  if (yarn === undefined) return { rope_theta: theta, rope_type: "default" };
  return {
    ...(yarn.attentionFactor === undefined ? {} : { attention_factor: yarn.attentionFactor }),
    beta_fast: yarn.betaFast,
    beta_slow: yarn.betaSlow,
    factor: yarn.factor,
    ...(yarn.mscale === undefined ? {} : { mscale: yarn.mscale }),
    ...(yarn.mscaleAllDim === undefined ? {} : { mscale_all_dim: yarn.mscaleAllDim }),
    original_max_position_embeddings: yarn.original,
    rope_theta: theta,
    rope_type: "yarn",
    ...(yarn.truncate ? {} : { truncate: false }),
  };
}
