// The parameters of a model: what they are called in checkpoints and which operation they belong to.

import type { NodePlace, Value } from "../graph/graph.ts";
import { type Dim, tensor } from "../graph/types.ts";
import type { Emitter } from "../ops/contract.ts";

export interface Parameter {
  /** The name in a checkpoint, such as `layers.3.attention.q.weight`. */
  readonly name: string;
  readonly place: NodePlace;
  readonly dims: readonly Dim[];
}

/** Hands out parameters to the graphs of one model; every graph sees the same ones. */
export class ParameterList {
  readonly #byName = new Map<string, Parameter>();

  get all(): readonly Parameter[] {
    return [...this.#byName.values()];
  }

  /** The weight of an operation, as a value of the emitter's graph. */
  weight(emitter: Emitter, place: NodePlace, ...dims: readonly Dim[]): Value {
    const name = `${checkpointPath(place.path)}.weight`;
    if (!this.#byName.has(name)) this.#byName.set(name, { name, place, dims });
    return emitter.builder.give(name, tensor("f32", ...dims), "parameter");
  }
}

/** `layers[3].attention.q` → `layers.3.attention.q` */
const checkpointPath = (path: string): string => path.replace(/\[(\d+)\]/g, ".$1");
