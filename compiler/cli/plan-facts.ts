// The numbers of `mspec plan`: parameters, work, cache and memory of a model, from its spec alone.

import { type ParameterShape, parameterShapes } from "../model/parameter-shapes.ts";
import { isTrained } from "../model/parameters.ts";
import type { FlopsFacts } from "../source/messages/train.ts";
import type { Spec } from "../spec/spec.ts";
import { keptElements } from "./kept-activations.ts";
import {
  cachedFlops,
  cacheElements,
  keysKept,
  lengthOf,
  type ModelSize,
  modelSize,
  trainingFlops,
} from "./model-facts.ts";
import { cacheFormats, formatsFor, type StorageFormat } from "./storage-formats.ts";

/** Bytes of one format. */
interface FormatBytes {
  readonly format: StorageFormat["name"];
  readonly bytes: number;
}

export interface PlanFacts {
  readonly size: ModelSize;
  /** Per token, forward and backward. */
  readonly training: FlopsFacts;
  readonly serving: ServingFlops;
  readonly cache: CacheFacts;
  /** All parameters, those of modules for further tokens included. */
  readonly checkpoint: readonly FormatBytes[];
  readonly trainingMemory: TrainingMemory;
  readonly servingMemory: readonly ServingMemory[];
  /** Tokens that the cache of the spec's serve section holds. */
  readonly slots: number;
}

/** FLOPs per token, forward. */
interface ServingFlops {
  readonly context: number;
  /** 2 (active parameters - input embedding). */
  readonly matmuls: number;
  /** Of attention for a token of a prompt of `context` tokens, in the mean, and for one more token behind them. */
  readonly prompt: number;
  readonly next: number;
}

interface CacheFacts {
  /** Per token, over all layers. */
  readonly elements: number;
  readonly formats: readonly {
    readonly format: string;
    readonly perToken: number;
    /** Of `context` tokens, where every layer keeps all of them, and where each keeps what it can still see. */
    readonly whole: number;
    readonly seen: number;
  }[];
  readonly context: number;
  /** Layers that do not see the whole context. */
  readonly windowed: number;
  readonly layers: number;
}

interface TrainingMemory {
  /** All trained in f32, with the two moments of AdamW. */
  readonly weights: number;
  readonly gradients: number;
  readonly moments: number;
  /** What the forward pass of a micro-batch keeps, by formula; undefined for a spec that does not train. */
  readonly activations: number | undefined;
}

/** Weights without the modules for further tokens, and the whole cache. */
interface ServingMemory {
  readonly weightFormat: StorageFormat["name"];
  readonly cacheFormat: string;
  readonly weights: number;
  readonly cache: number;
}

/** Facts of serving are about sequences of `context` tokens. */
export function planFacts({ model, train, serve }: Spec, context: number): PlanFacts {
  const shapes = parameterShapes(model);
  const size = modelSize(model, shapes);
  const cache = cacheFacts(model.layers, context);
  const slots = serve.pages * serve.page;
  const weights = 4 * sumOf(shapes, lengthOf);
  const trained = 4 * sumOf(shapes.filter(isTrained), lengthOf);
  const formats = formatsFor(shapes);
  const served = shapes.filter(({ path }) => !path.startsWith("mtp["));
  return {
    size,
    training: trainingFlops(model, size, train?.sequence ?? context),
    serving: {
      context,
      matmuls: 2 * (size.active - size.inputEmbedding),
      ...cachedFlops(model, context),
    },
    cache,
    checkpoint: formats.map(({ name, bytesOf }) => ({ format: name, bytes: sumOf(shapes, bytesOf) })),
    trainingMemory: {
      weights,
      gradients: trained,
      moments: 2 * trained,
      activations: train && 4 * keptElements(model, train.batch.micro * train.sequence),
    },
    servingMemory: formats.map(({ name, bytesOf }) => {
      const [whole, half] = cacheFormats;
      const format = name === "f32" ? whole : half;
      const bytes = slots * cache.elements * format.bytes;
      return { weightFormat: name, cacheFormat: format.name, weights: sumOf(served, bytesOf), cache: bytes };
    }),
    slots,
  };
}

const sumOf = (shapes: readonly ParameterShape[], measure: (shape: ParameterShape) => number): number =>
  shapes.reduce((sum, shape) => sum + measure(shape), 0);

function cacheFacts(layers: Spec["model"]["layers"], context: number): CacheFacts {
  const perLayer = layers.map(({ attention }) => ({
    elements: cacheElements(attention),
    kept: keysKept(attention, context),
  }));
  const elements = perLayer.reduce((sum, layer) => sum + layer.elements, 0);
  const seen = perLayer.reduce((sum, layer) => sum + layer.elements * layer.kept, 0);
  return {
    elements,
    formats: cacheFormats.map(({ name, bytes }) => ({
      format: name,
      perToken: elements * bytes,
      whole: elements * context * bytes,
      seen: seen * bytes,
    })),
    context,
    windowed: perLayer.filter(({ kept }) => kept < context).length,
    layers: layers.length,
  };
}
