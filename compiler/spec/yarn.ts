// What YaRN multiplies cosines, sines and scores by. Frequencies are the table's business.

import type { YarnSpec } from "./spec.ts";

/** Source: `get_mscale` of transformers' modeling_rope_utils.py, after arXiv:2309.00071, section 3.4. */
function growth(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/**
 * What the rows of cosines and sines are multiplied by.
 *
 * Source: `_compute_yarn_parameters` of transformers' modeling_rope_utils.py; an mscale of 0 counts as left out there.
 */
export function yarnTableScale({ factor, attentionFactor, mscale, mscaleAllDim }: YarnSpec): number {
  if (attentionFactor !== undefined) return attentionFactor;
  return mscale && mscaleAllDim ? growth(factor, mscale) / growth(factor, mscaleAllDim) : growth(factor, 1);
}

/**
 * What the product of a query and a key is multiplied by besides 1 / sqrt(channels).
 *
 * Source: `yarn_apply_mscale` of transformers' modeling_deepseek_v3.py. The square is of query and key.
 */
export function yarnScoreScale({ factor, mscaleAllDim }: YarnSpec): number {
  return mscaleAllDim ? growth(factor, mscaleAllDim) ** 2 : 1;
}
