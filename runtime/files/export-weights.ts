// Weights under our names → tensors under Hugging Face's, as they are stored.

import { noTheirName } from "../messages/hugging-face.ts";
import { weightsDiffer } from "../messages/model.ts";
import { differencesOf } from "../weights.ts";
import { type Family, theirName } from "./hugging-face.ts";
import type { WantedParameter } from "./import-weights.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import type { TensorSource } from "./safetensors-writer.ts";

/**
 * Each tensor is read when its turn comes.
 *
 * Errors: `model/weights-differ` with every difference from the model; `export/no-such-parameter` for one that the family
 * does not have.
 */
export function exportWeights(
  file: SafetensorsFile,
  path: string,
  family: Family,
  parameters: readonly WantedParameter[],
): TensorSource[] {
  const differences = differencesOf(file.tensors, parameters);
  if (differences.length > 0) throw weightsDiffer(path, differences);
  return parameters.map(({ name: ours }) => {
    const name = theirName(family, ours);
    if (name === undefined) throw noTheirName(ours, family);
    const tensor = file.tensor(ours);
    const read = () => file.readBytes(tensor, 0, tensor.end - tensor.begin);
    return { name, dtype: tensor.dtype, shape: tensor.shape, read };
  });
}
