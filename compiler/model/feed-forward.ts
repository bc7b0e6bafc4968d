// Feed-forward blocks: dense ones, and mixtures of experts with their router.

import type { Value } from "../graph/graph.ts";
import { type Dim, dim } from "../graph/types.ts";
import { activation } from "../ops/activation.ts";
import { add } from "../ops/add.ts";
import { combine, dispatch } from "../ops/dispatch.ts";
import { expertOrder } from "../ops/expert-order.ts";
import { gather } from "../ops/gather.ts";
import { groupedLinear } from "../ops/grouped-linear.ts";
import { router } from "../ops/router.ts";
import type { FfnSpec, MoeSpec } from "../spec/spec.ts";
import { emitLinear, type ModelContext, place } from "./context.ts";

/** The block's result for every row of x, to be added to the residual. */
export function emitFeedForward(context: ModelContext, path: string, ffn: FfnSpec, x: Value): Value {
  return ffn.kind === "moe" ? emitExperts(context, path, ffn, x) : emitDense(context, path, ffn, ffn.intermediate, x);
}

/** Projections as the activation's free names say, the activation, and the projection back. */
function emitDense(context: ModelContext, path: string, ffn: FfnSpec, channels: number, x: Value): Value {
  const intermediate = dim("intermediate", channels);
  const key = "model.ffn.intermediate";
  const project = (name: string, from: Value, out: Dim) =>
    emitLinear(context, `${path}.${name}`, key, from, out, ffn.bias);
  const projections = projectionsOf(ffn).map((name) => project(name, x, intermediate));
  const h = emitActivation(context, path, ffn, projections);
  return h === undefined ? x : project("down", h, dim("width", context.model.width));
}

const projectionsOf = ({ inputs }: FfnSpec): string[] => inputs.map((name) => (name === "x" ? "up" : name));

function emitActivation(
  { emitter, formulas }: ModelContext,
  path: string,
  ffn: FfnSpec,
  projections: readonly Value[],
): Value | undefined {
  const formula = formulas.activation(ffn.activation, ffn.inputs);
  if (formula === undefined) return undefined;
  const at = place(`${path}.activation`, ffn.activation.key, "activation");
  return emitter.emit(activation, projections, { formula }, at)[0];
}

/** Every token's experts, each times its weight, and the block that all tokens share. */
function emitExperts(context: ModelContext, path: string, moe: MoeSpec, x: Value): Value {
  const { emitter, model } = context;
  const routed = emitRouter(context, `${path}.router`, moe, x);
  if (routed === undefined) return x;
  const [, , index, weights] = routed;
  const at = place(`${path}.dispatch`, "model.ffn.experts");
  const [source, places, expert, start, count] = emitter.emit(expertOrder, [index], { experts: moe.experts }, at);
  context.routers.push({ path: `${path}.router`, moe, logits: routed[0], scores: routed[1], count });
  const [rows] = emitter.emit(dispatch, [x, source, places], null, at);
  const project = (name: string, from: Value, out: Dim) =>
    emitExpertLinear(context, `${path}.experts.${name}`, moe, from, out, { expert, start, count });
  const intermediate = dim("intermediate", moe.intermediate);
  const projections = projectionsOf(moe).map((name) => project(name, rows, intermediate));
  const h = emitActivation(context, `${path}.experts`, moe, projections);
  if (h === undefined) return x;
  const down = project("down", h, dim("width", model.width));
  const combined = place(`${path}.combine`, "model.ffn.experts");
  const [y] = emitter.emit(combine, [down, weights, places, source], null, combined);
  if (moe.sharedIntermediate === 0) return y;
  const shared = emitDense(context, `${path}.shared`, moe, moe.sharedIntermediate, x);
  return emitter.emit(add, [y, shared], null, place(`${path}.shared.down`, "model.ffn.shared"))[0];
}

/** Logits, scores, indices and weights; undefined where the score formula is faulty. */
function emitRouter(
  { emitter, parameters, formulas, model }: ModelContext,
  path: string,
  { experts, topK, router: spec }: MoeSpec,
  x: Value,
): readonly Value[] | undefined {
  const at = place(path, "model.ffn.router", "router");
  const each = dim("experts", experts);
  const inputs = [x, parameters.weight(emitter, at, each, dim("width", model.width))];
  if (spec.bias) inputs.push(parameters.give(emitter, at, "bias", each));
  if (spec.hasChoiceBias) inputs.push(parameters.give(emitter, at, "choice_bias", each));
  // A bias of the choice is added to the scores themselves, losses of balance and z take no scores or shares of them.
  const score = formulas.router(spec.score, spec.normalize && !spec.hasChoiceBias);
  if (score === undefined) return undefined;
  const { groups, normalize, scale, bias: hasBias, hasChoiceBias } = spec;
  return emitter.emit(router, inputs, { topK, score, groups, normalize, scale, hasBias, hasChoiceBias }, at);
}

/** A linear layer of all experts, and its biases by the expert of each row. */
function emitExpertLinear(
  { emitter, parameters }: ModelContext,
  path: string,
  { experts, bias }: MoeSpec,
  rows: Value,
  out: Dim,
  { expert, start, count }: Readonly<Record<"expert" | "start" | "count", Value>>,
): Value {
  const at = place(path, "model.ffn.experts", "linear");
  const each = dim("experts", experts);
  const weight = parameters.weight(emitter, at, each, out, rows.type.dims[1]);
  const [y] = emitter.emit(groupedLinear, [rows, weight, start, count], null, at);
  if (!bias) return y;
  const [biases] = emitter.emit(gather, [parameters.give(emitter, at, "bias", each, out), expert], null, at);
  return emitter.emit(add, [y, biases], null, at)[0];
}
