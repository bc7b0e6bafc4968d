// What attention runs over: whole packed sequences, or new tokens and a paged cache of earlier ones.

import type { Value } from "../graph/graph.ts";
import { dim, tensor } from "../graph/types.ts";
import { scatterStore } from "../ops/gather.ts";
import { type ModelContext, place } from "./context.ts";
import { checkpointPath } from "./parameters.ts";

/** Whole packed sequences, or new tokens over a paged cache. */
export type AttentionForm =
  | { readonly kind: "sequence"; readonly sequence: number; readonly positions: Value; readonly documents: Value }
  | ExtendForm;

export interface ExtendForm {
  readonly kind: "extend";
  readonly positions: Value;
  readonly slots: Value;
  readonly pageTable: Value;
  readonly rowTiles: Value;
  readonly page: number;
  readonly cacheSlots: number;
}

/** Stores rows in the slots of their tokens; the layer's cache of that name with them in it. */
export function emitCache({ emitter }: ModelContext, path: string, name: string, rows: Value, form: ExtendForm): Value {
  const type = tensor("f32", dim("slots", form.cacheSlots), rows.type.dims[rows.type.dims.length - 1]);
  const cache = emitter.builder.give(`cache.${checkpointPath(path)}.${name}`, type, "cache");
  return emitter.emit(scatterStore, [rows, form.slots, cache], null, place(`${path}.core`, "serve"))[0];
}
