// What keeps experts evenly used: the losses of a router, and the bias that steers its choice.

import { ELEMENT, LANE, ROW, UNIFORM } from "../formula/terms.ts";
import { dim, type TensorType, widthOf } from "../graph/types.ts";
import { inferBy, noGradient } from "./contract.ts";
import { plainView } from "./formula-binding.ts";
import { defineFormulaOp, formulaOf } from "./formula-op.ts";

const balance = formulaOf("balance_loss", "loss: sum(fractions * scores) / sum(scores)", [
  { name: "scores", extent: ELEMENT },
  { name: "fractions", extent: ELEMENT },
]);

const balanceShapes = "scores[tokens, experts], fractions[tokens, experts] -> loss[tokens]";

/** Its mean over the tokens of a sequence is Σ f P: 1 where all experts are used alike. */
export const balanceLoss = defineFormulaOp<null>({
  name: "balance_loss",
  summary: "Each token's part of the balance loss: its shares of the experts by how often these are chosen.",
  source: "DeepSeek-V3, arXiv:2412.19437, equations 17 to 20; Switch Transformer, arXiv:2101.03961, equation 4",
  shapes: balanceShapes,
  infer: inferBy(balanceShapes),
  bind: (_, [scores]) => ({
    formula: balance(),
    lanes: scores.dims[1],
    groups: 1,
    inputs: [plainView("scores", 0), plainView("fractions", 1)],
    outputs: [plainView("loss", 0)],
  }),
});

const squaredLogSum = formulaOf("router_z_loss", "let m = max(x); let z = m + log(sum(exp(x - m))); loss: z * z", [
  { name: "x", extent: ELEMENT },
]);

const zShapes = "x[tokens, experts] -> loss[tokens]";

export const routerZLoss = defineFormulaOp<null>({
  name: "router_z_loss",
  summary: "The square of the log-sum-exp of a router's logits.",
  source: "ST-MoE, arXiv:2202.08906, equation 5",
  shapes: zShapes,
  infer: inferBy(zShapes),
  bind: (_, [x]) => ({
    formula: squaredLogSum(),
    lanes: x.dims[1],
    groups: 1,
    inputs: [plainView("x", 0)],
    outputs: [plainView("loss", 0)],
  }),
});

const float = formulaOf("loads", "y: count + 0", [{ name: "count", extent: LANE, kind: "integer" }]);
const loadShapes = "count:i32[experts] -> y[experts]";

export const loads = defineFormulaOp<null>({
  name: "loads",
  summary: "How many choices each expert got, as numbers that can be added up.",
  source: "load of an expert: Wang et al., arXiv:2408.15664",
  shapes: loadShapes,
  infer: inferBy(loadShapes),
  bind: (_, [count]) => ({
    formula: float(),
    lanes: count.dims[0],
    groups: 1,
    inputs: [plainView("count", 0)],
    outputs: [plainView("y", 0)],
  }),
  recompute: "never",
  gradient: noGradient("it counts"),
});

const moved = formulaOf(
  "move_choice_bias",
  `let even = mean(load);
   y: if(finite != 0, bias + if(load < even, rate, if(load > even, 0 - rate, 0)), bias)`,
  [
    { name: "bias", extent: ELEMENT },
    { name: "load", extent: ELEMENT },
    { name: "rate", extent: UNIFORM },
    { name: "finite", extent: UNIFORM },
  ],
);

const movedShapes = "bias[experts], load[experts], rate[], finite[] -> y[experts]";

export const moveChoiceBias = defineFormulaOp<null>({
  name: "move_choice_bias",
  summary: "Moves the bias of experts with less than the mean load up, of those with more down.",
  source: "Wang et al., arXiv:2408.15664, algorithm 1; DeepSeek-V3, arXiv:2412.19437, section 2.1.2",
  shapes: movedShapes,
  infer: inferBy(movedShapes),
  bind: (_, [bias]) => ({
    formula: moved(),
    lanes: dim("experts", widthOf(bias)),
    groups: 1,
    inputs: ["bias", "load", "rate", "finite"].map(plainView),
    outputs: [plainView("y", 0)],
  }),
  inPlace: [[0, 0]],
  recompute: "never",
  gradient: noGradient("it runs after the gradients"),
});

const same = formulaOf("spread", "y: value", [{ name: "value", extent: UNIFORM }], ROW);

/** A vector of one number: the adjoint of a loss per token. */
export const spread = defineFormulaOp<{ readonly type: TensorType }>({
  name: "spread",
  summary: "Repeats a number for every token.",
  source: "the gradient of a mean by its terms",
  shapes: "value[] -> y[tokens]",
  infer: (_, { type }) => [{ port: "y", type }],
  bind: () => ({
    formula: same(),
    lanes: dim("one", 1),
    groups: 1,
    inputs: [plainView("value", 0)],
    outputs: [plainView("y", 0)],
  }),
  gradient: noGradient("it is a gradient"),
});
