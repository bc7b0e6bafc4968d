// The model of a spec: sizes evaluated, blocks of every layer resolved, and the rules that tie its numbers together.

import * as say from "../source/messages/model-blocks.ts";
import { type Batch, coefficient, readSchedule } from "./batch.ts";
import { readDefinitions } from "./definitions.ts";
import { noSpace } from "./formulas.ts";
import { type LayerBlock, layerBlocks } from "./layers.ts";
import { resolveAttention } from "./resolve-attention.ts";
import { resolveFfn } from "./resolve-ffn.ts";
import { modelBlocks, mostLayers } from "./schema.ts";
import type { Section } from "./section.ts";
import type { AttentionSpec, FfnSpec, LayerSpec, ModelSpec, MtpSpec } from "./spec.ts";

/** The model, or undefined if anything of it is faulty. Its schedules are on the clock of the batch. */
export function resolveModel(root: Section, batch: Batch | undefined): ModelSpec | undefined {
  const definitions = readDefinitions(root);
  const model = root.section("model");
  const numLayers = model.number("layers");
  const [vocab, context, width] = ["vocab", "context", "width"].map((name) => model.number(name));
  const tieEmbeddings = model.flag("tie_embeddings");
  const eps = model.section("norm").number("eps");
  // Without the number of layers the blocks are read all the same, so that their faults are told as well.
  const layers = resolveLayers(model, numLayers ?? mostLayers, {
    attention: (block) => resolveAttention(block, definitions, { context: context ?? noSpace.context, normEps: eps }),
    ffn: (block) => resolveFfn(block, definitions, batch),
  });
  const mtp = model.isGiven("mtp") ? resolveMtp(model.section("mtp"), batch) : undefined;
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
  return { vocab, context, width, tieEmbeddings, norm: { kind: "rms_norm", eps }, layers, mtp };
}

/** How a block of each sort is resolved. */
interface Resolvers {
  readonly attention: (section: Section) => AttentionSpec | undefined;
  readonly ffn: (section: Section) => FfnSpec | undefined;
}

function resolveLayers(model: Section, numLayers: number, resolvers: Resolvers): LayerSpec[] | undefined {
  const attention = perLayer(numLayers, blocksOf(model, "attention", numLayers), resolvers.attention);
  const ffn = perLayer(numLayers, blocksOf(model, "ffn", numLayers), resolvers.ffn);
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

function resolveMtp(mtp: Section, batch: Batch | undefined): MtpSpec | undefined {
  const depth = mtp.number("depth");
  const weight = readSchedule(mtp, "weight", coefficient, batch);
  const concat = concatOf(mtp);
  return depth === undefined || concat === undefined ? undefined : { depth, weight, concat };
}

function concatOf(mtp: Section): MtpSpec["concat"] | undefined {
  const node = mtp.node("concat");
  if (mtp.isGiven("concat") && node?.kind !== "list") return undefined;
  const items = node?.kind === "list" ? node.items : [];
  const given = items.flatMap((item) => (item.kind === "scalar" ? [item.text.text] : []));
  const [first, second] = node === undefined ? mtp.fallbackItems("concat") : given;
  if (first === "embedding" && second === "hidden") return [first, second];
  if (first === "hidden" && second === "embedding") return [first, second];
  if (first !== undefined && first === second && (first === "embedding" || first === "hidden")) {
    const missing = first === "hidden" ? "embedding" : "hidden";
    mtp.reading.diagnostics.add(say.concatTwice(first, missing, mtp.placeOf("concat")));
  }
  return undefined;
}
