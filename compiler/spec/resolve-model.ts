// The model of a spec: sizes evaluated, blocks of every layer resolved, and the rules that tie its numbers together.

import * as say from "../source/messages/model.ts";
import { type Definitions, readDefinitions } from "./definitions.ts";
import { noSpace, readActivation, readFormula } from "./formulas.ts";
import { type LayerBlock, layerBlocks } from "./layers.ts";
import { modelBlocks, mostLayers } from "./schema.ts";
import type { Section } from "./section.ts";
import type { FfnSpec, GqaSpec, LayerSpec, Llama3RopeSpec, ModelSpec, RopeSpec } from "./spec.ts";

/** The model, or undefined if anything of it is faulty. */
export function resolveModel(root: Section): ModelSpec | undefined {
  const definitions = readDefinitions(root);
  const model = root.section("model");
  const numLayers = model.number("layers");
  const [vocab, context, width] = ["vocab", "context", "width"].map((name) => model.number(name));
  const tieEmbeddings = model.flag("tie_embeddings");
  const eps = model.section("norm").number("eps");
  // Without the number of layers the blocks are read all the same, so that their faults are told as well.
  const layers = resolveLayers(model, definitions, numLayers ?? mostLayers, context ?? noSpace.context);
  if (
    numLayers === undefined ||
    vocab === undefined ||
    context === undefined ||
    width === undefined ||
    tieEmbeddings === undefined ||
    eps === undefined ||
    layers === undefined
  ) {
    return undefined;
  }
  return { vocab, context, width, tieEmbeddings, norm: { kind: "rms_norm", eps }, layers, mtp: undefined };
}

function resolveLayers(
  model: Section,
  definitions: Definitions,
  numLayers: number,
  context: number,
): LayerSpec[] | undefined {
  const attention = perLayer(numLayers, blocksOf(model, "attention", numLayers), (block) =>
    resolveAttention(block, definitions, context),
  );
  const ffn = perLayer(numLayers, blocksOf(model, "ffn", numLayers), (block) => resolveFfn(block, definitions));
  const layers: LayerSpec[] = [];
  for (let i = 0; i < numLayers; i++) {
    const [attentionOfLayer, ffnOfLayer] = [attention[i], ffn[i]];
    if (attentionOfLayer === undefined || ffnOfLayer === undefined) return undefined;
    layers.push({ attention: attentionOfLayer, ffn: ffnOfLayer });
  }
  return layers;
}

function blocksOf(model: Section, name: "attention" | "ffn", numLayers: number): LayerBlock[] {
  return model.isGiven(name) && model.node(name) === undefined
    ? []
    : layerBlocks(model, name, modelBlocks[name], numLayers);
}

/** Resolves each distinct block once; layers with the same block share the result. */
function perLayer<Block>(
  numLayers: number,
  blocks: readonly LayerBlock[],
  resolve: (section: Section) => Block | undefined,
): (Block | undefined)[] {
  const result = Array<Block | undefined>(numLayers).fill(undefined);
  for (const { section, layers } of blocks) {
    const block = resolve(section);
    for (const layer of layers) result[layer] = block;
  }
  return result;
}

function resolveAttention(section: Section, definitions: Definitions, context: number): GqaSpec | undefined {
  const { diagnostics } = section.reading;
  const heads = section.number("heads");
  const kvHeads = section.number("kv_heads");
  const headDim = section.number("head_dim");
  const rope = resolveRope(section.section("rope"), headDim ?? 2);
  const space = { context, heads: heads ?? noSpace.heads };
  const score = readFormula(section, "score", definitions, space);
  const mask = readFormula(section, "mask", definitions, space);
  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads !== 0) {
    diagnostics.add(say.headsDoNotDivide(heads, kvHeads, section.placeOf("kv_heads"), section.placeOf("heads")));
  }
  if (headDim !== undefined && headDim % 2 !== 0) {
    diagnostics.add(say.oddHeadDim(headDim, section.placeOf("head_dim"), section.isGiven("head_dim")));
  }
  if (
    heads === undefined ||
    kvHeads === undefined ||
    headDim === undefined ||
    rope === undefined ||
    score === undefined
  )
    return undefined;
  const plain = { window: undefined, bias: [], qkNorm: undefined, sinks: false } as const;
  return mask && { kind: "gqa", heads, kvHeads, headDim, rope, score, mask, ...plain };
}

function resolveRope(section: Section, dim: number): RopeSpec | undefined {
  const theta = section.number("theta");
  const layout = section.text("layout")?.text;
  const llama3 = section.isGiven("llama3") ? resolveLlama3(section.section("llama3")) : undefined;
  if (theta === undefined || (layout !== "half" && layout !== "interleaved")) return undefined;
  return section.isGiven("llama3") && llama3 === undefined
    ? undefined
    : { theta, layout, dim, llama3, yarn: undefined };
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

function resolveFfn(section: Section, definitions: Definitions): FfnSpec | undefined {
  const intermediate = section.number("intermediate");
  const activation = readActivation(section, definitions);
  if (intermediate === undefined || activation === undefined) return undefined;
  return { kind: "dense", intermediate, bias: false, ...activation };
}
