// The size of a model in numbers: parameters by part, work per token. Counts what the manifest and the spec say.

import type { Manifest } from "../../runtime/contract.ts";
import type { FlopsFacts } from "../source/messages/train.ts";
import type { AttentionSpec, Spec } from "../spec/spec.ts";

const partsInOrder = ["embedding", "attention", "ffn", "norm", "head"] as const;
type Part = (typeof partsInOrder)[number];

export interface PartSize {
  readonly part: Part;
  readonly parameters: number;
}

/** Parts without parameters are left out. */
export function parametersByPart({ parameters }: Manifest): PartSize[] {
  const sums = new Map<Part, number>();
  for (const { path, dims } of parameters) {
    const part = partOf(path);
    const length = dims.reduce((product, size) => product * size, 1);
    sums.set(part, (sums.get(part) ?? 0) + length);
  }
  return partsInOrder.flatMap((part) => {
    const parameters = sums.get(part);
    return parameters === undefined ? [] : [{ part, parameters }];
  });
}

/** By the paths of docs/language.md. */
function partOf(path: string): Part {
  if (/(^|[._])norm$/.test(path)) return "norm";
  const [, block] = /^layers\[\d+\]\.(attention|ffn)\./.exec(path) ?? [];
  if (block === "attention" || block === "ffn") return block;
  return path === "head" ? "head" : "embedding";
}

/** Channels that one head multiplies for a pair of query and key: of their product, and of the value. */
const pairChannels = (attention: AttentionSpec): number =>
  attention.kind === "gqa"
    ? attention.headDim + attention.headDim
    : attention.nopeDim + attention.ropeDim + attention.valueDim;

/**
 * FLOPs of training per token: 6 (N - input embedding) + 3 A, with A the causal half of the attention products.
 *
 * Source: 6 N per token, Kaplan et al., arXiv:2001.08361, and attention on top. A tied embedding is the head's matrix, so it is multiplied with and stays in N.
 */
export function trainingFlops({ model, train }: Spec, manifest: Manifest): FlopsFacts {
  const parameters = parametersByPart(manifest).reduce((sum, part) => sum + part.parameters, 0);
  const isTied = model.tieEmbeddings;
  const inputEmbedding = isTied ? 0 : model.vocab * model.width;
  const sequence = train?.sequence ?? model.context;
  const attention = model.layers.reduce((sum, layer) => {
    return sum + 0.5 * 2 * layer.attention.heads * pairChannels(layer.attention) * sequence;
  }, 0);
  const total = 6 * (parameters - inputEmbedding) + 3 * attention;
  return { parameters, inputEmbedding, isTied, attention, total };
}
