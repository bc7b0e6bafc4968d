// What the forward pass leaves for the backward pass, by formula: for models whose memory is not planned kernel by kernel.

import type { AttentionSpec, FfnSpec, LayerSpec, ModelSpec, RopeSpec } from "../spec/spec.ts";

/**
 * Elements per token that the backward pass reads again, with nothing recomputed: inputs of norms and their factor, inputs of
 * matmuls with a weight and of activations, attention's operands, result and log-sum-exp, rows of the angle tables, and the
 * gradient of the last hidden state, which the loss makes in the forward pass.
 */
export function keptElements({ width, layers, mtp }: ModelSpec): number {
  const last = layers[layers.length - 1];
  const end = width + 1 + width;
  // Embedding and hidden state go through a norm each and make the projection's input.
  const prediction = 2 * (width + 1) + 2 * width + ofLayer(last, width) + end;
  const ropes = new Map(layers.map(({ attention: { rope } }) => [ropeName(rope), rope.dim]));
  return (
    layers.reduce((sum, layer) => sum + ofLayer(layer, width), 0) +
    end +
    (mtp?.depth ?? 0) * prediction +
    [...ropes.values()].reduce((sum, dim) => sum + dim, 0)
  );
}

/** Layers that turn alike share their angles. */
const ropeName = ({ layout: _layout, ...rule }: RopeSpec): string => JSON.stringify(rule);

/** Both blocks keep the residual stream, and their norm's factor and result. */
const ofLayer = ({ attention, ffn }: LayerSpec, width: number): number =>
  2 * (width + 1 + width) + ofAttention(attention) + ofFfn(ffn, width);

/** Queries, keys, values, what they give, the log-sum-exp, and what their norms read. */
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

/** A token's row is there once for each of its experts. */
function ofFfn(ffn: FfnSpec, width: number): number {
  const projections = ffn.inputs.length + 1;
  if (ffn.kind === "dense") return projections * ffn.intermediate;
  const routing = ffn.experts + 2 * ffn.topK;
  const experts = ffn.topK * (2 * width + projections * ffn.intermediate);
  return routing + experts + projections * ffn.sharedIntermediate;
}
