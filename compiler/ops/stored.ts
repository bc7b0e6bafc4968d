// What a node's outputs are to be, as stored: the op's own values and bounds are those of arithmetic in f32, and storing in
// another format rounds once more.

import type { Node } from "../graph/graph.ts";
import { rounders } from "../graph/rounding.ts";
import { unitRoundoff } from "../graph/types.ts";
import type { Tensor } from "./contract.ts";
import { opOf } from "./index.ts";

export interface StoredOutput {
  readonly values: Float64Array;
  /** Absolute; 0 means bit-equal. */
  readonly bounds: Float64Array;
}

/** Half the distance of two bf16s below the least normal one. */
const leastHalf = 2 ** -134;

/** Every output with its error bound, on exactly these inputs. */
export function storedOutputs(inputs: readonly Tensor[], node: Node): StoredOutput[] {
  const op = opOf(node);
  const bounds = op.bounds(inputs, node);
  return op.reference(inputs, node).map((values, output) => {
    const { dtype } = node.outputs[output].type;
    const own = bounds[output];
    if (dtype !== "bf16") return { values, bounds: own };
    const round = rounders[dtype];
    // What is moved or selected is bit-equal before it is stored, and so it is afterwards.
    return {
      values: values.map((value, i) => (own[i] === 0 ? round(value) : value)),
      bounds: own.map((bound, i) =>
        bound === 0 ? 0 : bound + unitRoundoff.bf16 * (Math.abs(values[i]) + bound) + leastHalf,
      ),
    };
  });
}
