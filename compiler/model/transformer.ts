// The decoder stack in the papers' vocabulary: norm, attention, norm, feed-forward, each added to the residual.

import type { Value } from "../graph/graph.ts";
import { dim } from "../graph/types.ts";
import { activation } from "../ops/activation.ts";
import { add } from "../ops/add.ts";
import { gather } from "../ops/gather.ts";
import type { FfnSpec } from "../spec/spec.ts";
import { emitAttention } from "./attention.ts";
import type { AttentionForm } from "./attention-form.ts";
import { emitLinear, emitNorm, type ModelContext, place } from "./context.ts";

/** Hidden states after the final norm: [tokens, width]. */
export function emitTransformer(context: ModelContext, tokens: Value, form: AttentionForm): Value {
  const { model, emitter, parameters } = context;
  const at = place("embedding", "model.width");
  const table = parameters.weight(emitter, at, dim("vocab", model.vocab), dim("width", model.width));
  let [x] = emitter.emit(gather, [table, tokens], null, at);
  model.layers.forEach((layer, i) => {
    const path = `layers[${i}]`;
    const attended = emitAttention(
      context,
      `${path}.attention`,
      i,
      layer.attention,
      emitNorm(context, `${path}.attention.norm`, x),
      form,
    );
    [x] = emitter.emit(add, [x, attended], null, place(`${path}.attention.out`, "model.attention"));
    const fed = emitFeedForward(context, `${path}.ffn`, layer.ffn, emitNorm(context, `${path}.ffn.norm`, x));
    [x] = emitter.emit(add, [x, fed], null, place(`${path}.ffn.down`, "model.ffn"));
  });
  return emitNorm(context, "final_norm", x);
}

/** Projections as the activation's free names say, the activation, and the projection back. */
function emitFeedForward(context: ModelContext, path: string, ffn: FfnSpec, x: Value): Value {
  const { emitter, formulas, model } = context;
  const intermediate = dim("intermediate", ffn.intermediate);
  const formula = formulas.activation(ffn.activation, ffn.inputs);
  const projections = ffn.inputs.map((name) =>
    emitLinear(context, `${path}.${name === "x" ? "up" : name}`, "model.ffn.intermediate", x, intermediate),
  );
  if (formula === undefined) return x;
  const at = place(`${path}.activation`, ffn.activation.key, "activation");
  const [h] = emitter.emit(activation, projections, { formula }, at);
  return emitLinear(context, `${path}.down`, "model.ffn.intermediate", h, dim("width", model.width));
}

/** The head's weight: its own, or the embedding's. */
export function headWeight({ model, emitter, parameters }: ModelContext): Value {
  const dims = [dim("vocab", model.vocab), dim("width", model.width)] as const;
  const owner = model.tieEmbeddings ? place("embedding", "model.width") : place("head", "model.vocab", "linear");
  return parameters.weight(emitter, owner, ...dims);
}
