// The parameters of a model: what they are called in checkpoints and which operation they belong to.

import type { NodePlace, Value } from "../graph/graph.ts";
import { type Dim, tensor } from "../graph/types.ts";
import type { Emitter } from "../ops/contract.ts";

/** What a parameter is to its operation; all but weights begin at zero. */
export type ParameterKind = "weight" | "bias" | "sinks" | "choice_bias";

export interface Parameter {
  /** The name in a checkpoint, such as `layers.3.attention.q.weight`. */
  readonly name: string;
  readonly kind: ParameterKind;
  readonly place: NodePlace;
  readonly dims: readonly Dim[];
}

/** Whether gradients reach it; the bias that steers a choice of experts is moved by their loads. */
export const isTrained = ({ kind }: Pick<Parameter, "kind">): boolean => storageOf(kind) === "parameter";

/** Where a parameter lives: one that no gradient reaches is state that a checkpoint holds. */
export const storageOf = (kind: ParameterKind): "parameter" | "state" =>
  kind === "choice_bias" ? "state" : "parameter";

/** Hands out parameters to the graphs of one model; every graph sees the same ones. */
export class ParameterList {
  readonly #byName = new Map<string, Parameter>();

  get all(): readonly Parameter[] {
    return [...this.#byName.values()];
  }

  /** The weight of an operation, as a value of the emitter's graph. */
  weight(emitter: Emitter, place: NodePlace, ...dims: readonly Dim[]): Value {
    return this.give(emitter, place, "weight", ...dims);
  }

  /** A parameter of an operation, as a value of the emitter's graph. */
  give(emitter: Emitter, place: NodePlace, kind: ParameterKind, ...dims: readonly Dim[]): Value {
    const name = `${checkpointPath(place.path)}.${kind}`;
    if (!this.#byName.has(name)) this.#byName.set(name, { name, kind, place, dims });
    return emitter.builder.give(name, tensor("f32", ...dims), storageOf(kind));
  }
}

/** `layers[3].attention.q` → `layers.3.attention.q` */
export const checkpointPath = (path: string): string => path.replace(/\[(\d+)\]/g, ".$1");
