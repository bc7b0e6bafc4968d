// The model of a Spec as normalised YAML: every key that its kind of block has.

import { stringify } from "yaml";
import { printFormulaSyntax } from "../formula/print-syntax.ts";
import { type Ordered, ordered, scheduleValue } from "./ordered.ts";
import { rangeOf } from "./ranges.ts";
import type {
  AttentionSpec,
  FfnSpec,
  LayerSpec,
  ModelSpec,
  MoeSpec,
  MtpSpec,
  RopeSpec,
  RouterSpec,
  Schedule,
} from "./spec.ts";

/** `steps` is how long training goes on; undefined without training. */
export function modelMap(model: ModelSpec, steps: number | undefined): Ordered {
  const { mtp } = model;
  return ordered(
    ["vocab", model.vocab],
    ["context", model.context],
    ["width", model.width],
    ["layers", model.layers.length],
    ["tie_embeddings", model.tieEmbeddings],
    ["norm", ordered(["kind", model.norm.kind], ["eps", model.norm.eps])],
    ["attention", blocks(model.layers, ({ attention }) => attentionMap(attention))],
    ["ffn", blocks(model.layers, ({ ffn }) => ffnMap(ffn, steps))],
    ["mtp", mtp && mtpMap(mtp, steps)],
  );
}

/** One block if all layers have the same, otherwise an entry for each that is different. */
function blocks(layers: readonly LayerSpec[], blockOf: (layer: LayerSpec) => Ordered): Ordered | Ordered[] {
  const groups = new Map<string, { readonly block: Ordered; readonly indices: number[] }>();
  for (const [i, layer] of layers.entries()) {
    const block = blockOf(layer);
    const text = stringify(block);
    const group = groups.get(text) ?? { block, indices: [] };
    group.indices.push(i);
    groups.set(text, group);
  }
  const [first, ...others] = groups.values();
  if (others.length === 0) return first.block;
  return [first, ...others].map(({ block, indices }) => ordered(["layers", rangeOf(indices)], ...block));
}

function attentionMap(spec: AttentionSpec): Ordered {
  return ordered(
    ["kind", spec.kind],
    ["heads", spec.heads],
    ...kindPairs(spec),
    ["window", spec.window],
    ["rope", ropeMap(spec.rope, spec.kind)],
    ["score", printFormulaSyntax(spec.score.syntax)],
    ["mask", printFormulaSyntax(spec.mask.syntax)],
  );
}

function kindPairs(spec: AttentionSpec): (readonly [string, unknown])[] {
  if (spec.kind === "gqa") {
    return [
      ["kv_heads", spec.kvHeads],
      ["head_dim", spec.headDim],
      ["bias", spec.bias.length === 3 ? "qkv" : spec.bias.length === 4],
      ["qk_norm", spec.qkNorm ?? "none"],
      ["sinks", spec.sinks],
    ];
  }
  return [
    ["q_rank", spec.qRank],
    ["kv_rank", spec.kvRank],
    ["nope_dim", spec.nopeDim],
    ["rope_dim", spec.ropeDim],
    ["value_dim", spec.valueDim],
    ["norm_eps", spec.normEps],
  ];
}

function ropeMap({ theta, layout, dim, llama3, yarn }: RopeSpec, kind: AttentionSpec["kind"]): Ordered {
  const llama3Map =
    llama3 &&
    ordered(
      ["factor", llama3.factor],
      ["low_freq_factor", llama3.lowFreqFactor],
      ["high_freq_factor", llama3.highFreqFactor],
      ["original", llama3.original],
    );
  const yarnMap =
    yarn &&
    ordered(
      ["factor", yarn.factor],
      ["original", yarn.original],
      ["beta_fast", yarn.betaFast],
      ["beta_slow", yarn.betaSlow],
      ["truncate", yarn.truncate],
      ["attention_factor", yarn.attentionFactor],
      ["mscale", yarn.mscale],
      ["mscale_all_dim", yarn.mscaleAllDim],
    );
  return ordered(
    ["theta", theta],
    ["layout", layout],
    ["dim", kind === "gqa" ? dim : undefined],
    ["llama3", llama3Map],
    ["yarn", yarnMap],
  );
}

function ffnMap(spec: FfnSpec, steps: number | undefined): Ordered {
  return ordered(
    ["kind", spec.kind],
    ["intermediate", spec.intermediate],
    ["activation", printFormulaSyntax(spec.activation.syntax)],
    ["bias", spec.bias],
    ...(spec.kind === "moe" ? expertPairs(spec, steps) : []),
  );
}

/** Shared experts are one block, so their number is 1 with the channels of all. */
function expertPairs(spec: MoeSpec, steps: number | undefined): (readonly [string, unknown])[] {
  return [
    ["experts", spec.experts],
    ["top_k", spec.topK],
    ["shared", spec.sharedIntermediate > 0 ? 1 : 0],
    ["shared_intermediate", spec.sharedIntermediate],
    ["router", routerMap(spec.router, steps)],
  ];
}

function routerMap(router: RouterSpec, steps: number | undefined): Ordered {
  const { groups, losses } = router;
  const kinds = (["sequence", "batch", "z"] as const).map((kind) => [kind, scheduleOf(losses[kind], steps)] as const);
  return ordered(
    ["score", printFormulaSyntax(router.score.syntax)],
    ["groups", groups && ordered(["count", groups.count], ["keep", groups.keep], ["score", groups.score])],
    ["normalize", router.normalize],
    ["scale", router.scale],
    ["bias", router.bias],
    // Without training nothing says how far it moves, but the bias is there.
    ["bias_update", router.hasChoiceBias ? (scheduleOf(router.biasUpdate, steps) ?? 0) : undefined],
    ["losses", kinds.some(([, value]) => value !== undefined) ? ordered(...kinds) : undefined],
  );
}

function mtpMap({ depth, weight, concat }: MtpSpec, steps: number | undefined): Ordered {
  return ordered(["depth", depth], ["weight", scheduleOf(weight, steps)], ["concat", concat]);
}

function scheduleOf(schedule: Schedule | undefined, steps: number | undefined): number | string | undefined {
  return schedule === undefined || steps === undefined ? undefined : scheduleValue(schedule, steps);
}
