// An attention block of either kind with its rope: sizes evaluated, formulas read, and the rules that tie them together.

import * as say from "../source/messages/model.ts";
import * as sayBlocks from "../source/messages/model-blocks.ts";
import type { Definitions } from "./definitions.ts";
import { noSpace, readFormula } from "./formulas.ts";
import type { Section } from "./section.ts";
import type { AttentionSpec, GqaSpec, Llama3RopeSpec, MlaSpec, RopeSpec, YarnSpec } from "./spec.ts";

/** What a block reads of the model; undefined where that is faulty. */
interface Surroundings {
  readonly context: number;
  readonly normEps: number | undefined;
}

/** The block, or undefined if anything of it is faulty. */
export function resolveAttention(
  section: Section,
  definitions: Definitions,
  { context, normEps }: Surroundings,
): AttentionSpec | undefined {
  const heads = section.number("heads");
  const space = { context, heads: heads ?? noSpace.heads };
  const score = readFormula(section, "score", definitions, space);
  const mask = readFormula(section, "mask", definitions, space);
  const window = section.number("window");
  const own = resolveKind(section, heads, normEps);
  if (heads === undefined || score === undefined || mask === undefined || own === undefined) return undefined;
  if (section.isGiven("window") && window === undefined) return undefined;
  return { heads, window, score, mask, ...own };
}

/** Without a kind nothing is read: its defaults would be another kind's. */
function resolveKind(section: Section, heads: number | undefined, normEps: number | undefined) {
  if (section.kind === "mla") return resolveMla(section, normEps);
  return section.kind === "gqa" ? resolveGqa(section, heads) : undefined;
}

type Common = "heads" | "window" | "score" | "mask";

function resolveGqa(section: Section, heads: number | undefined): Omit<GqaSpec, Common> | undefined {
  const { diagnostics } = section.reading;
  const kvHeads = section.number("kv_heads");
  const headDim = section.number("head_dim");
  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads !== 0) {
    diagnostics.add(say.headsDoNotDivide(heads, kvHeads, section.placeOf("kv_heads"), section.placeOf("heads")));
  }
  const rope = resolveRope(section.section("rope"), ropeDimOfHead(section, headDim));
  const bias = biasOf(section);
  const qkNorm = section.text("qk_norm")?.text;
  const sinks = section.flag("sinks");
  if (kvHeads === undefined || headDim === undefined || rope === undefined || bias === undefined) return undefined;
  if (sinks === undefined || (qkNorm !== "none" && qkNorm !== "head" && qkNorm !== "full")) return undefined;
  return { kind: "gqa", kvHeads, headDim, rope, bias, qkNorm: qkNorm === "none" ? undefined : qkNorm, sinks };
}

function biasOf(section: Section): GqaSpec["bias"] | undefined {
  const word = section.text("bias")?.text.toLowerCase();
  if (word === "qkv") return ["q", "k", "v"];
  if (word === "true") return ["q", "k", "v", "out"];
  return word === "false" ? [] : undefined;
}

/** `rope.dim`, or all channels of a head. */
function ropeDimOfHead(section: Section, headDim: number | undefined): number | undefined {
  const { diagnostics } = section.reading;
  const rope = section.section("rope");
  const dim = rope.number("dim");
  const [place, headPlace] = [rope.placeOf("dim"), section.placeOf("head_dim")];
  if (rope.isGiven("dim")) {
    if (dim !== undefined && dim % 2 !== 0) diagnostics.add(sayBlocks.oddRopeDim("rope.dim", dim, place));
    else if (dim !== undefined && headDim !== undefined && dim > headDim) {
      diagnostics.add(sayBlocks.ropeBeyondHead(dim, headDim, place, headPlace));
    }
  } else if (headDim !== undefined && headDim % 2 !== 0) {
    diagnostics.add(sayBlocks.oddHeadDim(headDim, headPlace, section.isGiven("head_dim")));
  }
  return dim;
}

function resolveMla(section: Section, normEpsOfModel: number | undefined): Omit<MlaSpec, Common> | undefined {
  const qRank = section.number("q_rank");
  const [kvRank, nopeDim, ropeDim, valueDim] = ["kv_rank", "nope_dim", "rope_dim", "value_dim"].map((name) =>
    section.number(name),
  );
  const normEps = section.isGiven("norm_eps") ? section.number("norm_eps") : normEpsOfModel;
  if (ropeDim !== undefined && ropeDim % 2 !== 0) {
    section.reading.diagnostics.add(sayBlocks.oddRopeDim("rope_dim", ropeDim, section.placeOf("rope_dim")));
  }
  const rope = resolveRope(section.section("rope"), ropeDim);
  if (section.isGiven("q_rank") && qRank === undefined) return undefined;
  if (
    kvRank === undefined ||
    nopeDim === undefined ||
    ropeDim === undefined ||
    valueDim === undefined ||
    normEps === undefined ||
    rope === undefined
  ) {
    return undefined;
  }
  return { kind: "mla", qRank, kvRank, nopeDim, ropeDim, valueDim, normEps, rope };
}

function resolveRope(section: Section, dim: number | undefined): RopeSpec | undefined {
  const { diagnostics } = section.reading;
  const theta = section.number("theta");
  const layout = section.text("layout")?.text;
  const [hasLlama3, hasYarn] = [section.isGiven("llama3"), section.isGiven("yarn")];
  const llama3 = hasLlama3 ? resolveLlama3(section.section("llama3")) : undefined;
  const yarn = hasYarn ? resolveYarn(section.section("yarn")) : undefined;
  const yarnPlace = section.section("yarn").place;
  if (hasLlama3 && hasYarn) diagnostics.add(sayBlocks.twoRopeScalings(yarnPlace, section.section("llama3").place));
  if (hasYarn && theta !== undefined && theta <= 1) {
    diagnostics.add(sayBlocks.yarnTheta(theta, section.placeOf("theta"), yarnPlace));
  }
  if (theta === undefined || dim === undefined || (layout !== "half" && layout !== "interleaved")) return undefined;
  if ((hasLlama3 && llama3 === undefined) || (hasYarn && yarn === undefined)) return undefined;
  return { theta, layout, dim, llama3, yarn };
}

function resolveLlama3(section: Section): Llama3RopeSpec | undefined {
  const factor = section.number("factor");
  const lowFreqFactor = section.number("low_freq_factor");
  const highFreqFactor = section.number("high_freq_factor");
  const original = section.number("original");
  if (factor === undefined || lowFreqFactor === undefined || highFreqFactor === undefined || original === undefined) {
    return undefined;
  }
  if (lowFreqFactor >= highFreqFactor) {
    const places = [section.placeOf("low_freq_factor"), section.placeOf("high_freq_factor")] as const;
    section.reading.diagnostics.add(say.frequencyFactors(lowFreqFactor, highFreqFactor, ...places));
  }
  return { factor, lowFreqFactor, highFreqFactor, original };
}

function resolveYarn(section: Section): YarnSpec | undefined {
  const [factor, original, betaFast, betaSlow] = ["factor", "original", "beta_fast", "beta_slow"].map((name) =>
    section.number(name),
  );
  const truncate = section.flag("truncate");
  const names = ["attention_factor", "mscale", "mscale_all_dim"];
  const [attentionFactor, mscale, mscaleAllDim] = names.map((name) => section.number(name));
  if (betaSlow !== undefined && betaFast !== undefined && betaSlow > betaFast) {
    const places = [section.placeOf("beta_slow"), section.placeOf("beta_fast")] as const;
    section.reading.diagnostics.add(sayBlocks.yarnBounds(betaSlow, betaFast, ...places));
  }
  if (names.some((name) => section.isGiven(name) && section.number(name) === undefined)) return undefined;
  if (
    factor === undefined ||
    original === undefined ||
    betaFast === undefined ||
    betaSlow === undefined ||
    truncate === undefined
  ) {
    return undefined;
  }
  return { factor, original, betaFast, betaSlow, truncate, attentionFactor, mscale, mscaleAllDim };
}
