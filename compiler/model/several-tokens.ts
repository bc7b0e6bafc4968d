// Prediction of several tokens: modules behind the model that each look one token further.

import type { Value } from "../graph/graph.ts";
import { dim } from "../graph/types.ts";
import { joinColumns } from "../ops/columns.ts";
import type { MtpSpec } from "../spec/spec.ts";
import type { AttentionForm } from "./attention-form.ts";
import { emitLinear, emitNorm, type ModelContext, place } from "./context.ts";
import { emitEmbedding, emitLayer } from "./transformer.ts";

/**
 * The hidden states of module `depth` from those before it and the tokens that follow each position by `depth` + 1.
 *
 * Source: DeepSeek-V3, arXiv:2412.19437, section 2.2; `hidden` is what the head before it reads.
 */
export function emitMtpModule(
  context: ModelContext,
  mtp: MtpSpec,
  depth: number,
  hidden: Value,
  tokens: Value,
  form: AttentionForm,
): Value {
  const { emitter, model } = context;
  const path = `mtp[${depth}]`;
  const halves = {
    embedding: emitNorm(context, `${path}.embedding_norm`, emitEmbedding(context, tokens, `${path}.embedding`)),
    hidden: emitNorm(context, `${path}.hidden_norm`, hidden),
  };
  const [first, second] = mtp.concat;
  const both = { width: dim("two_widths", 2 * model.width) };
  const joined = emitter.emit(
    joinColumns,
    [halves[first], halves[second]],
    both,
    place(`${path}.projection`, "model.mtp"),
  );
  const projected = emitLinear(context, `${path}.projection`, "model.mtp", joined[0], dim("width", model.width));
  const x = emitLayer(context, path, model.layers[model.layers.length - 1], projected, form);
  return emitNorm(context, `${path}.final_norm`, x);
}
