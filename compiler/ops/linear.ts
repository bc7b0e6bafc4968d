// Products with a weight and their two gradients: the three directions of every linear layer.

import type { Node } from "../graph/graph.ts";
import { elementCount, type TensorType, unitRoundoff, widthOf } from "../graph/types.ts";
import {
  type Absorption,
  always,
  attributesOf,
  inferBy,
  noGradient,
  type Op,
  placeOf,
  type Tensor,
} from "./contract.ts";
import type { MatmulRequest } from "./skeletons.ts";

type Form = MatmulRequest["form"];

/** Sizes of a product by its operands' types; rows are all leading dimensions. */
function sizesOf(form: Form, a: TensorType, b: TensorType): { m: number; n: number; k: number } {
  const [aRows, aColumns] = [elementCount(a) / widthOf(a), widthOf(a)];
  const [bRows, bColumns] = [elementCount(b) / widthOf(b), widthOf(b)];
  switch (form) {
    case "NT":
      return { m: aRows, n: bRows, k: aColumns };
    case "NN":
      return { m: aRows, n: bColumns, k: aColumns };
    case "TN":
      return { m: aColumns, n: bColumns, k: aRows };
  }
}

/** Σ over k for every (m, n); `combine` maps a pair of factors to what is summed. */
function product(form: Form, a: Tensor, b: Tensor, combine: (x: number, y: number) => number): Float64Array {
  const { m, n, k } = sizesOf(form, a.type, b.type);
  const result = new Float64Array(m * n);
  const [aRow, aStep] = form === "TN" ? [1, m] : [k, 1];
  const [bColumn, bStep] = form === "NT" ? [k, 1] : [1, n];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += combine(a.data[i * aRow + l * aStep], b.data[j * bColumn + l * bStep]);
      result[i * n + j] = sum;
    }
  }
  return result;
}

/** What is added to a product after its sum: an addend, or the state unless the flag says to overwrite it. */
function added(inputs: readonly Tensor[], accumulates: boolean): Float64Array | undefined {
  if (!accumulates) return inputs[2]?.data;
  return inputs[3].data[0] !== 0 ? undefined : inputs[2].data;
}

interface MatmulDefinition {
  readonly name: string;
  readonly summary: string;
  readonly formula: string;
  readonly form: Form;
  readonly shapes: string;
  readonly gradient: Op["gradient"];
  readonly absorb: (node: Node) => Absorption;
  readonly recompute: Op["recompute"];
}

/** `accumulates`: inputs 2 and 3 are the state and the flag `first`; otherwise input 2, if any, is an addend. */
interface MatmulAttributes {
  readonly accumulates: boolean;
}

function matmulOp(definition: MatmulDefinition): Op<MatmulAttributes> {
  const { form, shapes } = definition;
  const op: Op<MatmulAttributes> = {
    ...definition,
    formula: (node) => {
      const extra = attributesOf(op, node).accumulates
        ? " + state unless first"
        : node.inputs.length > 2
          ? " + addend"
          : "";
      return definition.formula + extra;
    },
    source: "linear layer without bias",
    infer: inferBy(shapes),
    inPlace: [],
    reference: (inputs, node) => {
      const result = product(form, inputs[0], inputs[1], (x, y) => x * y);
      const extra = added(inputs, attributesOf(op, node).accumulates);
      return [extra === undefined ? result : result.map((value, i) => value + extra[i])];
    },
    bounds: (inputs, node) => {
      const unit = unitRoundoff.f32;
      const { k } = sizesOf(form, inputs[0].type, inputs[1].type);
      const magnitude = product(form, inputs[0], inputs[1], (x, y) => Math.abs(x * y));
      const extra = added(inputs, attributesOf(op, node).accumulates);
      return [magnitude.map((value, i) => (k + 1) * unit * (value + Math.abs(extra?.[i] ?? 0)))];
    },
    flops: (node) => {
      const { m, n, k } = sizesOf(form, node.inputs[0].type, node.inputs[1].type);
      return 2 * m * n * k;
    },
    binding: () => undefined,
    // The gradient of a weight is a sum in f32.
    formats: () => ({ first: [0], second: [1], results: form === "TN" ? [] : [0] }),
    absorbable: undefined,
    kernels: always("it is a product of two matrices", (node) =>
      matmulRequest(form, node, attributesOf(op, node).accumulates),
    ),
  };
  return op;
}

const matmulRequest = (form: Form, node: Node, accumulates: boolean): MatmulRequest => ({
  skeleton: "matmul",
  form,
  a: 0,
  b: 1,
  out: 0,
  addend: !accumulates && node.inputs.length > 2 ? 2 : undefined,
  accumulate: accumulates ? { state: 2, first: 3 } : undefined,
});

/** Folding a sum into the product's addend, once. */
const absorbAdd =
  (op: () => Op<MatmulAttributes>) =>
  (node: Node): Absorption => {
    if (node.inputs.length > 2) return {};
    return {
      add: {
        outputs: [0],
        build: ([a, b], _output, other, emitter) => emitter.emit(op(), [a, b, other], plain, placeOf(node)),
      },
    };
  };

const plain: MatmulAttributes = { accumulates: false };

export const linear: Op<MatmulAttributes> = matmulOp({
  name: "linear",
  summary: "A linear layer: every row of x times the transposed weight.",
  formula: "y[m, n] = Σ_k x[m, k] · weight[n, k]",
  form: "NT",
  shapes: "x[..., in], weight[out, in], addend?[..., out] -> y[..., out]",
  recompute: "costly",
  gradient: {
    kind: "separate",
    build: ({ node, dOutputs: [dY], wanted, emitter }) => {
      const [x, weight] = node.inputs;
      if (dY === undefined) return node.inputs.map(() => undefined);
      const dX = wanted[0] ? emitter.emit(linearDgrad, [dY, weight], plain, placeOf(node, "dgrad"))[0] : undefined;
      const dWeight = wanted[1] ? emitter.emit(linearWgrad, [dY, x], plain, placeOf(node, "wgrad"))[0] : undefined;
      return [dX, dWeight, wanted[2] ? dY : undefined];
    },
  },
  absorb: absorbAdd(() => linear),
});

export const linearDgrad: Op<MatmulAttributes> = matmulOp({
  name: "linear_dgrad",
  summary: "The gradient of a linear layer's input.",
  formula: "d_x[m, k] = Σ_n d_y[m, n] · weight[n, k]",
  form: "NN",
  shapes: "d_y[..., out], weight[out, in], addend?[..., in] -> d_x[..., in]",
  recompute: "never",
  gradient: noGradient("gradients of gradients are not needed for training"),
  absorb: absorbAdd(() => linearDgrad),
});

export const linearWgrad: Op<MatmulAttributes> = {
  ...matmulOp({
    name: "linear_wgrad",
    summary: "The gradient of a linear layer's weight, added to the step's gradient where it accumulates.",
    formula: "d_weight[n, k] = Σ_m d_y[m, n] · x[m, k]",
    form: "TN",
    shapes: "d_y[..., out], x[..., in], state?[out, in], first?[] -> d_weight[out, in]",
    recompute: "never",
    gradient: noGradient("gradients of gradients are not needed for training"),
    absorb: (node) => ({
      accumulate: {
        output: 0,
        build: ([dY, x], state, first, emitter) =>
          emitter.emit(accumulatingWgrad, [dY, x, state, first], { accumulates: true }, placeOf(node)),
      },
    }),
  }),
};

/** The fused form: the same op over the state's storage. */
export const accumulatingWgrad: Op<MatmulAttributes> = {
  ...linearWgrad,
  name: "linear_wgrad_accumulate",
  inPlace: [[0, 2]],
  absorb: () => ({}),
  absorbable: undefined,
};
