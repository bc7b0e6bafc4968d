// Latent attention: keys and values of all heads come from one latent vector per token. Over sequences they are made as
// whole heads; over the cache, which holds latent vectors only, queries and results take the up-projection instead.

import type { Value } from "../graph/graph.ts";
import { dim } from "../graph/types.ts";
import { attention } from "../ops/attention.ts";
import { attentionPaged } from "../ops/attention-paged.ts";
import { joinColumns, splitColumns } from "../ops/columns.ts";
import { latentKeysValues } from "../ops/latent-keys.ts";
import { absorbQueries, absorbValues } from "../ops/linear-heads.ts";
import type { AttentionFormulas } from "../ops/skeletons.ts";
import type { MlaSpec } from "../spec/spec.ts";
import { emitAngles, emitTurn, scoreScale } from "./angles.ts";
import { type AttentionForm, type ExtendForm, emitCache } from "./attention-form.ts";
import { emitLinear, emitNorm, type ModelContext, place } from "./context.ts";

const key = "model.attention";

/** What both forms begin with: turned queries, and what of a token keys and values are made from. */
interface Latents {
  /** [tokens, heads * (nope + rope)] */
  readonly q: Value;
  /** [tokens, kv_rank], normalised. */
  readonly latent: Value;
  /** [tokens, rope], turned; all heads have it. */
  readonly kRope: Value;
}

/** Results of all heads, before the output's projection: [tokens, heads * value_dim]. */
export function emitLatentAttention(
  context: ModelContext,
  path: string,
  spec: MlaSpec,
  x: Value,
  form: AttentionForm,
  formulas: AttentionFormulas,
): Value {
  const latents = emitLatents(context, path, spec, x, form.positions);
  if (form.kind === "extend") return emitAbsorbed(context, path, spec, latents, form, formulas);
  const { heads, nopeDim, ropeDim, valueDim, rope } = spec;
  const { emitter } = context;
  const expanded = emitLinear(context, `${path}.kv_up`, key, latents.latent, expandedDim(spec));
  const shape = { heads, nopeDim, ropeDim, valueDim };
  const [k, v] = emitter.emit(latentKeysValues, [expanded, latents.kRope], shape, place(`${path}.kv_up`, key));
  const keyDim = nopeDim + ropeDim;
  const sizes = { heads, kvHeads: heads, keyDim, valueDim, scale: scoreScale(rope, keyDim) };
  const attributes = { ...sizes, formulas, sequence: form.sequence };
  return emitter.emit(attention, [latents.q, k, v, form.documents], attributes, place(`${path}.core`, key))[0];
}

/** Per head the key's channels that do not turn, then the value's. */
const expandedDim = ({ heads, nopeDim, valueDim }: MlaSpec) =>
  dim("heads*(nope_dim+value_dim)", heads * (nopeDim + valueDim));

function emitLatents(context: ModelContext, path: string, spec: MlaSpec, x: Value, positions: Value): Latents {
  const { heads, kvRank, ropeDim, normEps, rope } = spec;
  const headDim = spec.nopeDim + ropeDim;
  const angles = emitAngles(context, rope, positions);
  const [qPath, q] = emitQueries(context, path, spec, x);
  const qAttributes = { heads, headDim, turned: "last", layout: rope.layout } as const;
  const [first, second] = [dim("kv_rank", kvRank), dim("rope_dim", ropeDim)];
  const down = emitLinear(context, `${path}.kv_down`, key, x, dim("kv_rank+rope_dim", kvRank + ropeDim));
  const at = place(`${path}.kv_down`, key);
  const [compressed, kRope] = context.emitter.emit(splitColumns, [down], { first, second }, at);
  const kAttributes = { heads: 1, headDim: ropeDim, turned: "all", layout: rope.layout } as const;
  return {
    q: emitTurn(context, qPath, q, angles, qAttributes),
    latent: emitNorm(context, `${path}.kv_norm`, compressed, normEps),
    kRope: emitTurn(context, `${path}.kv_down`, kRope, angles, kAttributes),
  };
}

/** The queries, and the path of the projection that makes them. */
function emitQueries(context: ModelContext, path: string, spec: MlaSpec, x: Value): readonly [string, Value] {
  const { heads, nopeDim, ropeDim, qRank, normEps } = spec;
  const queries = dim("heads*(nope_dim+rope_dim)", heads * (nopeDim + ropeDim));
  if (qRank === undefined) return [`${path}.q`, emitLinear(context, `${path}.q`, key, x, queries)];
  const down = emitLinear(context, `${path}.q_down`, key, x, dim("q_rank", qRank));
  const normed = emitNorm(context, `${path}.q_norm`, down, normEps);
  return [`${path}.q_up`, emitLinear(context, `${path}.q_up`, key, normed, queries)];
}

/** Attention with one key-value head: keys are the cache's rows, values their first kv_rank channels. */
function emitAbsorbed(
  context: ModelContext,
  path: string,
  spec: MlaSpec,
  { q, latent, kRope }: Latents,
  form: ExtendForm,
  formulas: AttentionFormulas,
): Value {
  const { heads, kvRank, nopeDim, ropeDim, valueDim, rope } = spec;
  const { emitter, parameters } = context;
  const up = place(`${path}.kv_up`, key, "linear");
  const weight = parameters.weight(emitter, up, expandedDim(spec), dim("kv_rank", kvRank));
  const shape = { heads, nopeDim, ropeDim, valueDim };
  const cached = dim("kv_rank+rope_dim", kvRank + ropeDim);
  const [entry] = emitter.emit(joinColumns, [latent, kRope], { width: cached }, place(`${path}.core`, "serve"));
  const cache = emitCache(context, path, "latent", entry, form);
  const [absorbed] = emitter.emit(absorbQueries, [q, weight], shape, place(`${path}.q_absorb`, key, "linear"));
  const inputs = [absorbed, cache, cache, form.positions, form.pageTable, form.rowTiles];
  const sizes = { heads, kvHeads: 1, keyDim: kvRank + ropeDim, valueDim: kvRank };
  const attributes = { ...sizes, scale: scoreScale(rope, nopeDim + ropeDim), formulas, page: form.page };
  const [attended] = emitter.emit(attentionPaged, inputs, attributes, place(`${path}.core`, key));
  return emitter.emit(absorbValues, [attended, weight], shape, place(`${path}.v_absorb`, key, "linear"))[0];
}
