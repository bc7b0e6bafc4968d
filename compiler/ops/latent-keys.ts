// Keys and values of latent attention as whole heads, for the sequence form; the form over the cache never makes them.

import { ELEMENT } from "../formula/terms.ts";
import { dim } from "../graph/types.ts";
import { copyColumns } from "./columns.ts";
import { attributesOf, inferBy, type Op, placeOf } from "./contract.ts";
import { type FormulaBinding, plainView } from "./formula-binding.ts";
import { defineFormulaOp, emitFormulaGradient, formulaOf } from "./formula-op.ts";

export interface LatentKeysAttributes {
  readonly heads: number;
  /** Channels of a head's key that do not turn and that turn, and of its value. */
  readonly nopeDim: number;
  readonly ropeDim: number;
  readonly valueDim: number;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Per number of heads: one output for each of them. */
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
const name = "latent_keys_values";
const source = "DeepSeek-V2, arXiv:2405.04434, equations 14 to 17";

/** What of the heads is copied: their own channels of keys, and values. */
function ownColumns({ heads, nopeDim, ropeDim, valueDim }: LatentKeysAttributes): readonly FormulaBinding[] {
  const own = (start: number) => ({ operand: 0, start, step: nopeDim + valueDim });
  const keys = { operand: 0, start: 0, step: nopeDim + ropeDim };
  return [
    copyColumns("own", dim("nope_dim", nopeDim), heads, own(0), keys),
    copyColumns("values", dim("value_dim", valueDim), heads, own(nopeDim), { operand: 1, start: 0, step: valueDim }),
  ];
}

/** The shared channels as one output per head, whose gradient is the sum over heads in one pass over the keys. */
const sharedOnce = ({ heads, nopeDim, ropeDim }: LatentKeysAttributes): FormulaBinding => ({
  part: "shared",
  formula: shareFormula(heads),
  lanes: dim("rope_dim", ropeDim),
  groups: 1,
  inputs: [plainView("x", 1)],
  outputs: range(heads).map((head) => ({
    ...plainView(`y${head}`, 0),
    laneStart: head * (nopeDim + ropeDim) + nopeDim,
  })),
});

export const latentKeysValues: Op<LatentKeysAttributes> = defineFormulaOp<LatentKeysAttributes>({
  name,
  summary: "Keys of every head, its own channels before those that all heads share, and its values.",
  source,
  shapes,
  infer: inferBy(shapes, ({ heads, nopeDim, ropeDim, valueDim }) => ({
    keys: dim("heads*key_dim", heads * (nopeDim + ropeDim)),
    values: dim("heads*value_dim", heads * valueDim),
  })),
  bind: (attributes) => {
    const { heads, nopeDim, ropeDim } = attributes;
    const everyHead = { operand: 0, start: nopeDim, step: nopeDim + ropeDim };
    const shared = { operand: 1, start: 0, step: 0 };
    return [...ownColumns(attributes), copyColumns("shared", dim("rope_dim", ropeDim), heads, shared, everyHead)];
  },
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs, wanted, emitter }) => {
      const attributes = attributesOf(latentKeysValues, node);
      const { inputs, outputs } = node;
      const request = { place: placeOf(node, "dgrad"), inputs, outputs, dOutputs, wanted, emitter };
      const bindings = [...ownColumns(attributes), sharedOnce(attributes)];
      return emitFormulaGradient(request, bindings, { name, source, ports: ["expanded", "k_rope"] });
    },
  },
});
