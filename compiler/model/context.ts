// What the parts of a model share while they are emitted into one graph, and the layers that all of them use.

import type { NodePlace, Value } from "../graph/graph.ts";
import { addBias } from "../ops/add-bias.ts";
import type { Emitter } from "../ops/contract.ts";
import { linear } from "../ops/linear.ts";
import { rmsNorm } from "../ops/rms-norm.ts";
import type { ModelSpec, MoeSpec } from "../spec/spec.ts";
import type { SpecFormulas } from "./formulas.ts";
import type { ParameterList } from "./parameters.ts";

export interface ModelContext {
  readonly model: ModelSpec;
  readonly emitter: Emitter;
  readonly parameters: ParameterList;
  readonly formulas: SpecFormulas;
  /** The routers of the graph, in order: what balances them reads what they computed. */
  readonly routers: RouterValues[];
}

/** What a router computed. */
export interface RouterValues {
  /** Such as `layers[3].ffn.router`. */
  readonly path: string;
  readonly moe: MoeSpec;
  readonly logits: Value;
  readonly scores: Value;
  /** Choices per expert. */
  readonly count: Value;
}

export const place = (path: string, key: string, ...classes: readonly string[]): NodePlace => ({
  path,
  direction: "fprop",
  classes,
  key,
});

export function emitNorm(
  { model, emitter, parameters }: ModelContext,
  path: string,
  x: Value,
  eps = model.norm.eps,
): Value {
  const at = place(path, "model.norm", "norm");
  const gain = parameters.weight(emitter, at, x.type.dims[x.type.dims.length - 1]);
  return emitter.emit(rmsNorm, [x, gain], { eps }, at)[0];
}

/** A linear layer of its own path; its weight is [out, in], its bias, if it has one, [out]. */
export function emitLinear(
  { emitter, parameters }: ModelContext,
  path: string,
  key: string,
  x: Value,
  out: { name: string; size: number },
  hasBias = false,
): Value {
  const at = place(path, key, "linear");
  const weight = parameters.weight(emitter, at, out, x.type.dims[x.type.dims.length - 1]);
  const [y] = emitter.emit(linear, [x, weight], { accumulates: false }, at);
  if (!hasBias) return y;
  return emitter.emit(addBias, [y, parameters.give(emitter, at, "bias", out)], null, at)[0];
}
