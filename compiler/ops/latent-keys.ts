// Keys and values of latent attention as whole heads, for the sequence form; the form over the cache never makes them.

import { ELEMENT } from "../formula/terms.ts";
import { dim } from "../graph/types.ts";
import { copyColumns } from "./columns.ts";
import { inferBy } from "./contract.ts";
import { type FormulaBinding, plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

export interface LatentKeysAttributes {
  readonly heads: number;
  /** Channels of a head's key that do not turn and that turn, and of its value. */
  readonly nopeDim: number;
  readonly ropeDim: number;
  readonly valueDim: number;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** One output per head: its gradient is the sum over heads, in one pass over the keys. */
const shareFormulas = new Map<number, () => FormulaBinding["formula"]>();

function shareFormula(heads: number): FormulaBinding["formula"] {
  let formula = shareFormulas.get(heads);
  if (formula === undefined) {
    const outputs = range(heads).map((head) => `y${head}: x`);
    formula = formulaOf(`share_${heads}`, outputs.join(", "), [{ name: "x", extent: ELEMENT }]);
    shareFormulas.set(heads, formula);
  }
  return formula();
}

const shapes = "expanded[..., expanded], k_rope[..., rope] -> k[..., keys], v[..., values]";

export const latentKeysValues = defineFormulaOp<LatentKeysAttributes>({
  name: "latent_keys_values",
  summary: "Keys of every head, its own channels before those that all heads share, and its values.",
  source: "DeepSeek-V2, arXiv:2405.04434, equations 14 to 17",
  shapes,
  infer: inferBy(shapes, ({ heads, nopeDim, ropeDim, valueDim }) => ({
    keys: dim("heads*key_dim", heads * (nopeDim + ropeDim)),
    values: dim("heads*value_dim", heads * valueDim),
  })),
  bind: ({ heads, nopeDim, ropeDim, valueDim }, [, rope]) => {
    const [keyDim, expanded] = [nopeDim + ropeDim, nopeDim + valueDim];
    const own = (start: number) => ({ operand: 0, start, step: expanded });
    return [
      copyColumns("own", dim("nope_dim", nopeDim), heads, own(0), { operand: 0, start: 0, step: keyDim }),
      {
        part: "shared",
        formula: shareFormula(heads),
        lanes: rope.dims[rope.dims.length - 1],
        groups: 1,
        inputs: [plainView("x", 1)],
        outputs: range(heads).map((head) => ({ ...plainView(`y${head}`, 0), laneStart: head * keyDim + nopeDim })),
      },
      copyColumns("values", dim("value_dim", valueDim), heads, own(nopeDim), { operand: 1, start: 0, step: valueDim }),
    ];
  },
});
