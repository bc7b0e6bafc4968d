// The decoder stack in the papers' vocabulary: norm, attention, norm, feed-forward, each added to the residual.

import type { Value } from "../graph/graph.ts";
import { dim } from "../graph/types.ts";
import { add } from "../ops/add.ts";
import { gather } from "../ops/gather.ts";
import type { LayerSpec } from "../spec/spec.ts";
import { emitAttention } from "./attention.ts";
import type { AttentionForm } from "./attention-form.ts";
import { emitNorm, type ModelContext, place } from "./context.ts";
import { emitFeedForward } from "./feed-forward.ts";

/** Hidden states after the final norm: [tokens, width]. `see` is given what goes into each layer. */
export function emitTransformer(
  context: ModelContext,
  tokens: Value,
  form: AttentionForm,
  see?: (x: Value) => void,
): Value {
  let x = emitEmbedding(context, tokens);
  context.model.layers.forEach((layer, i) => {
    see?.(x);
    x = emitLayer(context, `layers[${i}]`, layer, x, form);
  });
  return emitNorm(context, "final_norm", x);
}

/** Rows of the one table of embeddings; `path` says who looks them up. */
export function emitEmbedding({ model, emitter, parameters }: ModelContext, tokens: Value, path = "embedding"): Value {
  const at = place(path, "model.width");
  const owner = place("embedding", "model.width");
  const table = parameters.weight(emitter, owner, dim("vocab", model.vocab), dim("width", model.width));
  return emitter.emit(gather, [table, tokens], null, at)[0];
}

/** One layer with its two residuals. */
export function emitLayer(context: ModelContext, path: string, layer: LayerSpec, x: Value, form: AttentionForm): Value {
  const { emitter } = context;
  const normed = emitNorm(context, `${path}.attention.norm`, x);
  const attended = emitAttention(context, `${path}.attention`, layer.attention, normed, form);
  const [between] = emitter.emit(add, [x, attended], null, place(`${path}.attention.out`, "model.attention"));
  const fed = emitFeedForward(context, `${path}.ffn`, layer.ffn, emitNorm(context, `${path}.ffn.norm`, between));
  const end = layer.ffn.kind === "moe" ? "combine" : "down";
  return emitter.emit(add, [between, fed], null, place(`${path}.ffn.${end}`, "model.ffn"))[0];
}

/** The head's weight: its own, or the embedding's. */
export function headWeight({ model, emitter, parameters }: ModelContext): Value {
  const dims = [dim("vocab", model.vocab), dim("width", model.width)] as const;
  const owner = model.tieEmbeddings ? place("embedding", "model.width") : place("head", "model.vocab", "linear");
  return parameters.weight(emitter, owner, ...dims);
}
