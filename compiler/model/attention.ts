// Grouped-query attention: projections, rotary positions, and the core in the form that the graph needs.

import type { ConstantRule, Value } from "../graph/graph.ts";
import { dim, tensor } from "../graph/types.ts";
import { attention } from "../ops/attention.ts";
import { attentionPaged } from "../ops/attention-paged.ts";
import { gather, scatterStore } from "../ops/gather.ts";
import { rope } from "../ops/rope.ts";
import { type AttentionSpec, asGqa, type RopeSpec } from "../spec/spec.ts";
import { emitLinear, type ModelContext, place } from "./context.ts";

/** Whole packed sequences, or new tokens over a paged cache. */
export type AttentionForm =
  | { readonly kind: "sequence"; readonly sequence: number; readonly positions: Value; readonly documents: Value }
  | {
      readonly kind: "extend";
      readonly positions: Value;
      readonly slots: Value;
      readonly pageTable: Value;
      readonly rowTiles: Value;
      readonly page: number;
      readonly cacheSlots: number;
    };

export function emitAttention(
  context: ModelContext,
  path: string,
  layer: number,
  spec: AttentionSpec,
  x: Value,
  form: AttentionForm,
): Value {
  const { heads, kvHeads, headDim } = asGqa(spec);
  const { emitter, formulas, model } = context;
  const queries = dim("heads*head_dim", heads * headDim);
  const keys = dim("kv_heads*head_dim", kvHeads * headDim);
  const project = (name: string, out: typeof queries) =>
    emitLinear(context, `${path}.${name}`, "model.attention", x, out);
  const [q, k, v] = [project("q", queries), project("k", keys), project("v", keys)];
  const tables = emitAngles(context, spec.rope, headDim, form.positions);
  const turn = (name: string, value: Value, count: number): Value => {
    const attributes = { heads: count, headDim, turned: "all" as const, layout: spec.rope.layout };
    return emitter.emit(rope, [value, ...tables], attributes, place(`${path}.${name}`, "model.attention.rope"))[0];
  };
  const [qTurned, kTurned] = [turn("q", q, heads), turn("k", k, kvHeads)];
  const space = { context: model.context, heads };
  const [score, mask] = [formulas.score(spec.score, space), formulas.mask(spec.mask, space)];
  if (score === undefined || mask === undefined) return x;
  const shared = {
    heads,
    kvHeads,
    keyDim: headDim,
    valueDim: headDim,
    scale: 1 / Math.sqrt(headDim),
    formulas: { score, mask },
  };
  const at = place(`${path}.core`, "model.attention");
  let attended: Value;
  if (form.kind === "sequence") {
    const inputs = [qTurned, kTurned, v, form.documents];
    [attended] = emitter.emit(attention, inputs, { ...shared, sequence: form.sequence }, at);
  } else {
    const store = (name: string, rows: Value): Value => {
      const type = tensor("f32", dim("slots", form.cacheSlots), keys);
      const cache = emitter.builder.give(`cache.layers.${layer}.${name}`, type, "cache");
      return emitter.emit(scatterStore, [rows, form.slots, cache], null, place(`${path}.core`, "serve"))[0];
    };
    const inputs = [qTurned, store("k", kTurned), store("v", v), form.positions, form.pageTable, form.rowTiles];
    [attended] = emitter.emit(attentionPaged, inputs, { ...shared, page: form.page }, at);
  }
  return emitLinear(context, `${path}.out`, "model.attention", attended, dim("width", model.width));
}

/** Rows of the cosine and sine tables for the tokens' positions; layers with the same rope share them. */
function emitAngles(
  { model, emitter }: ModelContext,
  spec: RopeSpec,
  headDim: number,
  positions: Value,
): readonly [Value, Value] {
  const type = tensor("f32", dim("context", model.context), dim("half", headDim / 2));
  const rows = (["rope_cos", "rope_sin"] as const).map((kind) => {
    const rule: ConstantRule = { kind, theta: spec.theta, rotaryDim: headDim, llama3: spec.llama3 };
    const name = `${kind}.${ruleName(rule)}`;
    const table = emitter.builder.give(name, type, "constant", rule);
    const known = emitter.builder.nodes.find((node) => node.inputs[0] === table && node.inputs[1] === positions);
    if (known !== undefined) return known.outputs[0];
    return emitter.emit(gather, [table, positions], null, place("rope", "model.attention.rope"))[0];
  });
  return [rows[0], rows[1]];
}

function ruleName({ theta, rotaryDim, llama3 }: ConstantRule): string {
  const scaling =
    llama3 === undefined
      ? ""
      : `_llama3_${llama3.factor}_${llama3.lowFreqFactor}_${llama3.highFreqFactor}_${llama3.original}`;
  return `theta${theta}_dim${rotaryDim}${scaling}`;
}
