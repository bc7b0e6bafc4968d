// What YaRN multiplies by, against numbers of transformers 5.18: `_compute_yarn_parameters` and `yarn_apply_mscale`.

import { expect, test } from "vitest";
import { yarnScoreScale, yarnTableScale } from "../../compiler/spec/yarn.ts";

const plain = { original: 4096, betaFast: 32, betaSlow: 1, truncate: true };
const none = { attentionFactor: undefined, mscale: undefined, mscaleAllDim: undefined };

// Both numbers were printed by transformers for these rope_parameters; logarithms may differ in the last bit.
test.each([
  [{ factor: 40 }, 1.3688879454113936, 1],
  [{ factor: 40, mscale: 1, mscaleAllDim: 1 }, 1, 1.8738542070926265],
  [{ factor: 40, mscale: 0.6, mscaleAllDim: 0 }, 1.3688879454113936, 1],
  [{ factor: 40, mscale: 0.5, mscaleAllDim: 1 }, 0.865259992007406, 1.8738542070926265],
  [{ factor: 8, mscaleAllDim: 0.6 }, 1.2079441541679836, 1.26509966265253],
  [{ factor: 32, attentionFactor: 1.25, mscale: 2, mscaleAllDim: 1 }, 1.25, 1.8132604340394958],
  [{ factor: 1, mscale: 2, mscaleAllDim: 3 }, 1, 1],
])("%j", (given, table, score) => {
  const yarn = { ...plain, ...none, ...given };
  expect(yarnTableScale(yarn)).toBeCloseTo(table, 14);
  expect(yarnScoreScale(yarn)).toBeCloseTo(score, 14);
});
