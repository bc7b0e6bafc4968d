// The first weights of a parameter, from its rule: the same bits on every machine, each parameter from a stream of its own.

import type { ManifestParameter } from "./contract.ts";
import { fillNormal, fillUniform, streams } from "./random.ts";
import { parameterLength } from "./weights.ts";

/** `index` is the parameter's place in the manifest: no two parameters share draws. */
export function initialValues(parameter: ManifestParameter, index: number, seed: number): Float32Array {
  const values = new Float32Array(parameterLength(parameter));
  const key = { seed, stream: streams.initialWeights, step: index };
  const { init } = parameter;
  switch (init.kind) {
    case "normal":
      fillNormal(key, init.standardDeviation, values);
      break;
    case "uniform":
      fillUniform(key, init.low, init.high, values);
      break;
    case "ones":
      values.fill(1);
      break;
    case "zeros":
      break;
  }
  return values;
}
