// What parameters a model of a spec has, by path and shape, without its graphs: what plans of the largest models count.

import type { AttentionSpec, FfnSpec, GqaSpec, LayerSpec, MlaSpec, ModelSpec, MoeSpec } from "../spec/spec.ts";
import type { ParameterKind } from "./parameters.ts";

/** A parameter as the graphs of the model have it. */
export interface ParameterShape {
  /** The path of its operation, such as `layers[3].attention.q`. */
  readonly path: string;
  readonly kind: ParameterKind;
  /** Weights are [out, in], those of experts [experts, out, in]. */
  readonly dims: readonly number[];
}

export function parameterShapes(model: ModelSpec): ParameterShape[] {
  const { vocab, width, layers, tieEmbeddings, mtp } = model;
  const table = [vocab, width];
  const last = layers[layers.length - 1];
  const predictions = Array.from({ length: mtp?.depth ?? 0 }, (_, i) => prediction(`mtp[${i}]`, last, width));
  return [
    weight("embedding", ...table),
    ...layers.flatMap((layer, i) => ofLayer(`layers[${i}]`, layer, width)),
    weight("final_norm", width),
    ...predictions.flat(),
    ...(tieEmbeddings ? [] : [weight("head", ...table)]),
  ];
}

const weight = (path: string, ...dims: readonly number[]): ParameterShape => ({ path, kind: "weight", dims });
const bias = (path: string, ...dims: readonly number[]): ParameterShape => ({ path, kind: "bias", dims });

/** A module that predicts one more token: a layer over the projection of an embedding and a hidden state. */
const prediction = (path: string, layer: LayerSpec, width: number): ParameterShape[] => [
  weight(`${path}.embedding_norm`, width),
  weight(`${path}.hidden_norm`, width),
  weight(`${path}.projection`, width, 2 * width),
  ...ofLayer(path, layer, width),
  weight(`${path}.final_norm`, width),
];

const ofLayer = (path: string, { attention, ffn }: LayerSpec, width: number): ParameterShape[] => [
  weight(`${path}.attention.norm`, width),
  ...ofAttention(`${path}.attention`, attention, width),
  weight(`${path}.ffn.norm`, width),
  ...ofFfn(`${path}.ffn`, ffn, width),
];

const ofAttention = (path: string, attention: AttentionSpec, width: number): ParameterShape[] =>
  attention.kind === "gqa" ? ofGqa(path, attention, width) : ofMla(path, attention, width);

function ofGqa(path: string, spec: GqaSpec, width: number): ParameterShape[] {
  const [queries, keys] = [spec.heads * spec.headDim, spec.kvHeads * spec.headDim];
  const projection = (name: GqaSpec["bias"][number], out: number, input: number): ParameterShape[] => [
    weight(`${path}.${name}`, out, input),
    ...(spec.bias.includes(name) ? [bias(`${path}.${name}`, out)] : []),
  ];
  const norm = (name: string, full: number): ParameterShape[] =>
    spec.qkNorm === undefined ? [] : [weight(`${path}.${name}`, spec.qkNorm === "head" ? spec.headDim : full)];
  return [
    ...projection("q", queries, width),
    ...projection("k", keys, width),
    ...projection("v", keys, width),
    ...norm("q_norm", queries),
    ...norm("k_norm", keys),
    ...(spec.sinks ? [{ path: `${path}.core`, kind: "sinks" as const, dims: [spec.heads] }] : []),
    ...projection("out", width, queries),
  ];
}

function ofMla(path: string, spec: MlaSpec, width: number): ParameterShape[] {
  const { heads, qRank, kvRank, nopeDim, ropeDim, valueDim } = spec;
  const queries = heads * (nopeDim + ropeDim);
  const ofQueries =
    qRank === undefined
      ? [weight(`${path}.q`, queries, width)]
      : [
          weight(`${path}.q_down`, qRank, width),
          weight(`${path}.q_norm`, qRank),
          weight(`${path}.q_up`, queries, qRank),
        ];
  return [
    ...ofQueries,
    weight(`${path}.kv_down`, kvRank + ropeDim, width),
    weight(`${path}.kv_norm`, kvRank),
    weight(`${path}.kv_up`, heads * (nopeDim + valueDim), kvRank),
    weight(`${path}.out`, width, heads * valueDim),
  ];
}

function ofFfn(path: string, ffn: FfnSpec, width: number): ParameterShape[] {
  if (ffn.kind === "dense") return ofBlock(path, ffn, ffn.intermediate, width, []);
  return [
    ...ofRouter(`${path}.router`, ffn, width),
    ...ofBlock(`${path}.experts`, ffn, ffn.intermediate, width, [ffn.experts]),
    ...(ffn.sharedIntermediate === 0 ? [] : ofBlock(`${path}.shared`, ffn, ffn.sharedIntermediate, width, [])),
  ];
}

const ofRouter = (path: string, { experts, router }: MoeSpec, width: number): ParameterShape[] => [
  weight(path, experts, width),
  ...(router.bias ? [bias(path, experts)] : []),
  ...(router.hasChoiceBias ? [{ path, kind: "choice_bias" as const, dims: [experts] }] : []),
];

/** The projections that the activation names and the one back; `outer` is the number of experts, or nothing. */
function ofBlock(
  path: string,
  { inputs, bias: hasBias }: FfnSpec,
  intermediate: number,
  width: number,
  outer: readonly number[],
): ParameterShape[] {
  const linear = (name: string, out: number, input: number): ParameterShape[] => [
    weight(`${path}.${name}`, ...outer, out, input),
    ...(hasBias ? [bias(`${path}.${name}`, ...outer, out)] : []),
  ];
  return [
    ...inputs.flatMap((name) => linear(name === "x" ? "up" : name, intermediate, width)),
    ...linear("down", width, intermediate),
  ];
}
