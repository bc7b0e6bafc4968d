// Weights under Hugging Face's names → tensors under ours, as they are stored. Everything that does not fit is found before
// the first tensor is read; what is not finite while they are.

import * as messages from "../messages/hugging-face.ts";
import { differencesOf } from "../weights.ts";
import { pieceBytes } from "./disk.ts";
import type { Dtype } from "./dtypes.ts";
import { type Family, headNames, isComputed, theirName } from "./hugging-face.ts";
import type { StoredTensor } from "./safetensors.ts";
import type { TensorSource } from "./safetensors-writer.ts";
import type { WeightShards } from "./weight-shards.ts";

/** A parameter of the model that the weights are for, by our name. */
export interface WantedParameter {
  readonly name: string;
  readonly dims: readonly number[];
}

export interface ImportedWeights {
  /** In the model's order; each is read when its turn comes. */
  readonly tensors: readonly TensorSource[];
  /** To be called behind the last tensor. Errors: `import/non-finite-weights` with how many and the first. */
  checkFinite(): void;
}

/**
 * Errors: `import/tensors-differ` with every difference, `import/head-missing`, `import/head-differs` for a tied model
 * whose file has another head.
 */
export async function importWeights(
  shards: WeightShards,
  family: Family,
  parameters: readonly WantedParameter[],
): Promise<ImportedWeights> {
  const named = parameters.map(({ name, dims }) => ({ ours: name, name: theirName(family, name) ?? name, dims }));
  const tensors = new Map([...shards.tensors].filter(([name]) => !isComputed(name)));
  const head = theirName(family, headNames.ours);
  const embedding = theirName(family, headNames.embedding);
  const isTied = parameters.every(({ name }) => name !== headNames.ours);
  if (isTied && head !== undefined && embedding !== undefined && tensors.has(head) && tensors.has(embedding)) {
    await checkRepeatedHead(shards, head, embedding);
    tensors.delete(head);
  }
  const differences = differencesOf(tensors, named);
  const isHeadMissing = !isTied && head !== undefined && !tensors.has(head);
  if (isHeadMissing && differences.length === 1) throw messages.headMissing(shards.folder, head);
  if (differences.length > 0) throw messages.tensorsDiffer(shards.folder, differences);
  const check = new FiniteCheck();
  const sources = named.flatMap(({ ours, name }) => {
    const tensor = tensors.get(name);
    return tensor === undefined ? [] : [sourceOf(shards, ours, tensor, check)];
  });
  return { tensors: sources, checkFinite: () => check.throwIfAny() };
}

function sourceOf(shards: WeightShards, name: string, tensor: StoredTensor, check: FiniteCheck): TensorSource {
  const { dtype, shape } = tensor;
  const read = async () => {
    const bytes = await shards.readBytes(tensor.name);
    check.look(shards.pathOf(tensor.name), tensor, bytes);
    return bytes;
  };
  return { name, dtype, shape, read };
}

/** A head that only repeats the embedding, byte for byte, is no head of its own. */
async function checkRepeatedHead(shards: WeightShards, head: string, embedding: string): Promise<void> {
  const [ours, theirs] = [embedding, head].map((name) => shards.tensors.get(name));
  if (ours === undefined || theirs === undefined) return;
  const differs = (what: string) => messages.headDiffers(shards.folder, { head, embedding, what });
  const words = ({ dtype, shape }: StoredTensor) => `${dtype} [${shape.join(", ")}]`;
  if (words(ours) !== words(theirs)) throw differs(`one is ${words(ours)}, the other ${words(theirs)}`);
  const bytes = ours.end - ours.begin;
  for (let offset = 0; offset < bytes; offset += pieceBytes) {
    const length = Math.min(pieceBytes, bytes - offset);
    const left = await shards.readBytes(embedding, offset, length);
    const right = await shards.readBytes(head, offset, length);
    const at = left.findIndex((byte, index) => byte !== right[index]);
    if (at < 0) continue;
    const elements = ours.shape.reduce((count, size) => count * size, 1);
    throw differs(`they differ first at element ${Math.floor((offset + at) / (bytes / elements))} of ${elements}`);
  }
}

/** The bits of an exponent that is all ones: NaN or infinity. */
const exponents: Partial<Record<Dtype, number>> = { F32: 0x7f800000, BF16: 0x7f80, F16: 0x7c00 };

class FiniteCheck {
  #first: { readonly path: string; readonly name: string; readonly index: number } | undefined;
  #count = 0;

  look(path: string, { name, dtype }: StoredTensor, bytes: Uint8Array): void {
    const exponent = exponents[dtype];
    if (exponent === undefined) return;
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const values =
      dtype === "F32"
        ? new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4)
        : new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
    for (let index = 0; index < values.length; index++) {
      if ((values[index] & exponent) !== exponent) continue;
      this.#first ??= { path, name, index };
      this.#count++;
    }
  }

  throwIfAny(): void {
    if (this.#first === undefined) return;
    const { path, name, index } = this.#first;
    throw messages.nonFinite(path, name, index, this.#count);
  }
}
