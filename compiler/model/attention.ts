// Attention of a layer, and grouped-query attention: projections, rotary positions, and the core in the form that the
// graph needs.

import type { Value } from "../graph/graph.ts";
import { type Dim, dim } from "../graph/types.ts";
import { attention } from "../ops/attention.ts";
import { attentionPaged } from "../ops/attention-paged.ts";
import { rmsNormHeads } from "../ops/rms-norm.ts";
import type { AttentionFormulas } from "../ops/skeletons.ts";
import type { AttentionSpec, GqaSpec } from "../spec/spec.ts";
import { emitAngles, emitTurn, scoreScale } from "./angles.ts";
import { type AttentionForm, emitCache } from "./attention-form.ts";
import { emitLinear, emitNorm, type ModelContext, place } from "./context.ts";
import { emitLatentAttention } from "./latent-attention.ts";

export function emitAttention(
  context: ModelContext,
  path: string,
  spec: AttentionSpec,
  x: Value,
  form: AttentionForm,
): Value {
  const space = { context: context.model.context, heads: spec.heads };
  const score = context.formulas.score(spec.score, space);
  const mask = context.formulas.mask(spec.mask, space, spec.window);
  if (score === undefined || mask === undefined) return x;
  const attended =
    spec.kind === "gqa"
      ? emitGroupedAttention(context, path, spec, x, form, { score, mask })
      : emitLatentAttention(context, path, spec, x, form, { score, mask });
  const hasBias = spec.kind === "gqa" && spec.bias.includes("out");
  return emitLinear(context, `${path}.out`, "model.attention", attended, dim("width", context.model.width), hasBias);
}

function emitGroupedAttention(
  context: ModelContext,
  path: string,
  spec: GqaSpec,
  x: Value,
  form: AttentionForm,
  formulas: AttentionFormulas,
): Value {
  const { heads, kvHeads, headDim, rope } = spec;
  const { emitter, parameters } = context;
  const queries = dim("heads*head_dim", heads * headDim);
  const keys = dim("kv_heads*head_dim", kvHeads * headDim);
  const project = (name: "q" | "k" | "v", out: Dim) =>
    emitLinear(context, `${path}.${name}`, "model.attention", x, out, spec.bias.includes(name));
  const [q, k, v] = [project("q", queries), project("k", keys), project("v", keys)];
  const angles = emitAngles(context, rope, form.positions);
  const turned = rope.dim === headDim ? "all" : "first";
  const turn = (name: "q" | "k", value: Value, count: number): Value => {
    const normed = emitQueryNorm(context, `${path}.${name}_norm`, spec, value, count);
    const attributes = { heads: count, headDim, turned, layout: rope.layout } as const;
    return emitTurn(context, `${path}.${name}`, normed, angles, attributes);
  };
  const [qTurned, kTurned] = [turn("q", q, heads), turn("k", k, kvHeads)];
  const scale = scoreScale(rope, headDim);
  const shared = { heads, kvHeads, keyDim: headDim, valueDim: headDim, scale, formulas };
  const at = place(`${path}.core`, "model.attention");
  const sinks = spec.sinks ? [parameters.give(emitter, at, "sinks", dim("heads", heads))] : [];
  if (form.kind === "sequence") {
    const inputs = [qTurned, kTurned, v, form.documents, ...sinks];
    return emitter.emit(attention, inputs, { ...shared, sequence: form.sequence }, at)[0];
  }
  const store = (name: string, rows: Value) => emitCache(context, path, name, rows, form);
  const caches = [store("k", kTurned), store("v", v)];
  const inputs = [qTurned, ...caches, form.positions, form.pageTable, form.rowTiles, ...sinks];
  return emitter.emit(attentionPaged, inputs, { ...shared, page: form.page }, at)[0];
}

/** Queries or keys, normalised by head or as a whole where the spec says so. */
function emitQueryNorm(context: ModelContext, path: string, spec: GqaSpec, value: Value, heads: number): Value {
  if (spec.qkNorm === undefined) return value;
  if (spec.qkNorm === "full") return emitNorm(context, path, value);
  const { model, emitter, parameters } = context;
  const at = place(path, "model.attention.qk_norm", "norm");
  const gain = parameters.weight(emitter, at, dim("head_dim", spec.headDim));
  return emitter.emit(rmsNormHeads, [value, gain], { eps: model.norm.eps, heads }, at)[0];
}
