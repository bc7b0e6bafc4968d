// What the forward pass leaves for the backward pass, by formula: for models whose memory is not planned kernel by kernel.

import { dim } from "../graph/types.ts";
import { routedDim } from "../ops/expert-order.ts";
import type { AttentionSpec, FfnSpec, LayerSpec, ModelSpec, RopeSpec } from "../spec/spec.ts";

/**
 * Elements that the backward pass of a micro-batch reads again, with nothing recomputed: inputs of norms and their factor,
 * inputs of matmuls with a weight and of activations, attention's operands, result and log-sum-exp, rows of the angle
 * tables, and the gradient of the last hidden state, which the loss makes in the forward pass.
 */
export function keptElements({ width, layers, mtp }: ModelSpec, tokens: number): number {
  const last = layers[layers.length - 1];
  const end = tokens * (width + 1 + width);
  // Embedding and hidden state go through a norm each and make the projection's input.
  const prediction = tokens * (2 * (width + 1) + 2 * width) + ofLayer(last, width, tokens) + end;
  const ropes = new Map(layers.map(({ attention: { rope } }) => [ropeName(rope), rope.dim]));
  return (
    layers.reduce((sum, layer) => sum + ofLayer(layer, width, tokens), 0) +
    end +
    (mtp?.depth ?? 0) * prediction +
    [...ropes.values()].reduce((sum, dim) => sum + tokens * dim, 0)
  );
}

/** Layers that turn alike share their angles. */
const ropeName = ({ layout: _layout, ...rule }: RopeSpec): string => JSON.stringify(rule);

/** Both blocks keep the residual stream, and their norm's factor and result. */
const ofLayer = ({ attention, ffn }: LayerSpec, width: number, tokens: number): number =>
  tokens * (2 * (width + 1 + width) + ofAttention(attention)) + ofFfn(ffn, width, tokens);

/** Of a token: queries, keys, values, what they give, the log-sum-exp, and what their norms read. */
function ofAttention(attention: AttentionSpec): number {
  const { heads } = attention;
  if (attention.kind === "gqa") {
    const { kvHeads, headDim, qkNorm } = attention;
    const [queries, keys] = [heads * headDim, kvHeads * headDim];
    const norms = qkNorm === undefined ? 0 : queries + keys + (qkNorm === "head" ? heads + kvHeads : 2);
    return queries + 2 * keys + queries + heads + norms;
  }
  const { qRank, kvRank, nopeDim, ropeDim, valueDim } = attention;
  const latent = (qRank === undefined ? 0 : qRank + 1 + qRank) + kvRank + 1 + kvRank;
  return latent + heads * (2 * (nopeDim + ropeDim) + 2 * valueDim) + heads;
}

/** Experts keep a token's row once for each of its choices, besides rows of padding. */
function ofFfn(ffn: FfnSpec, width: number, tokens: number): number {
  const projections = ffn.inputs.length + 1;
  if (ffn.kind === "dense") return tokens * projections * ffn.intermediate;
  const { experts, topK, intermediate, sharedIntermediate, router } = ffn;
  const routed = routedDim(dim("tokens", tokens), topK, experts).size;
  // Logits, scores, chosen indices, weights and places; loads that balance losses are
  // measured by; whose each row is, for biases too; where each expert's rows are.
  const fractions = [router.losses.sequence, router.losses.batch].filter((loss) => loss !== undefined).length * experts;
  const routing = tokens * (2 * experts + 3 * topK + fractions) + routed * (ffn.bias ? 2 : 1) + 2 * experts;
  return routing + routed * (2 * width + projections * intermediate) + tokens * projections * sharedIntermediate;
}
