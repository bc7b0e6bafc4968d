// One or more cases per op, with ragged sizes: what the gradient check and every device's conformance run over.

import type { Formula } from "../../compiler/formula/formula.ts";
import { ELEMENT } from "../../compiler/formula/terms.ts";
import { dim, printType, type TensorType, tensor } from "../../compiler/graph/types.ts";
import { ops } from "../../compiler/ops/index.ts";
import { attentionCases, columnCases, pagedCases, ropeCases } from "./attention-cases.ts";
import { type CaseInput, formulaFrom, index, type OpCase, positive, real, scalar, state } from "./case-parts.ts";
import { expertCases } from "./expert-cases.ts";

const rows = (n: number) => dim("rows", n);
const width = (n: number) => dim("width", n);

/** Sizes that are no multiple of any tile, one, and exact multiples. */
const shapes: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 16],
  [7, 13],
  [16, 32],
  [33, 129],
  [130, 20],
];

const perShape = (make: (r: number, w: number) => readonly OpCase[]): OpCase[] =>
  shapes.flatMap(([r, w]) => make(r, w));

const activations: readonly (readonly [string, readonly string[]])[] = [
  ["silu(gate) * up", ["gate", "up"]],
  ["gelu(x)", ["x"]],
  ["gelu_tanh(gate) * up", ["gate", "up"]],
  ["max(x, 0)^2", ["x"]],
  ["min(gate, 7) * sigmoid(1.702 * min(gate, 7)) * (clamp(up, -7, 7) + 1)", ["gate", "up"]],
  ["softplus(x) * tanh(x) + erf(x)", ["x"]],
  ["if(x > 0.1, x, exp(x) - 1) / (1 + x^2)", ["x"]],
  ["let t = abs(gate) + 0.5; sqrt(t) * log(t) * up", ["gate", "up"]],
  // The same for all elements, and a gradient of 0 for one input.
  ["x - x + 0.75", ["x"]],
  ["0 * gate + up", ["gate", "up"]],
];

const activationFormula = (text: string, names: readonly string[]): Formula =>
  formulaFrom(text, Object.fromEntries(names.map((name) => [name, [ELEMENT]])), "number", ELEMENT);

function activationCases(): OpCase[] {
  return activations.flatMap(([text, names]) =>
    [
      [3, 5],
      [16, 32],
      [5, 131],
    ].map(([r, w]) => ({
      op: "activation",
      title: `${text} ${r}x${w}`,
      inputs: names.map((name) => real(name, 3, rows(r), width(w))),
      attributes: { formula: activationFormula(text, names) },
    })),
  );
}

function linearCases(): OpCase[] {
  const sizes: readonly (readonly [m: number, n: number, k: number])[] = [
    [1, 1, 1],
    [3, 17, 5],
    [64, 64, 64],
    [65, 33, 300],
    [130, 96, 20],
    [2, 48, 513],
  ];
  return sizes.flatMap(([m, n, k]) => {
    const [tokens, outDim, inDim] = [rows(m), dim("out", n), dim("in", k)];
    const [x, w, dY] = [real("x", 1, tokens, inDim), real("weight", 1, outDim, inDim), real("d_y", 1, tokens, outDim)];
    const title = `${m}x${n}x${k}`;
    const plain = { accumulates: false };
    return [
      { op: "linear", title, inputs: [x, w], attributes: plain },
      {
        op: "linear",
        title: `${title} with addend`,
        inputs: [x, w, real("addend", 1, tokens, outDim)],
        attributes: plain,
      },
      { op: "linear_dgrad", title, inputs: [dY, w], attributes: plain },
      {
        op: "linear_dgrad",
        title: `${title} with addend`,
        inputs: [dY, w, real("addend", 1, tokens, inDim)],
        attributes: plain,
      },
      { op: "linear_wgrad", title, inputs: [dY, x], attributes: plain },
      ...[0, 1].map((first) => ({
        op: "linear_wgrad_accumulate",
        title: `${title} first ${first}`,
        inputs: [dY, x, state(real("state", 1, outDim, inDim)), scalar("first", first)],
        attributes: { accumulates: true },
      })),
    ];
  });
}

function crossEntropyCases(): OpCase[] {
  const sizes: readonly (readonly [number, number, number])[] = [
    [1, 4, 3],
    [9, 12, 37],
    [130, 16, 64],
    [40, 33, 515],
    // Four chunks on wasm and in software, the last of them short.
    [200, 8, 2100],
  ];
  return sizes.flatMap(([r, w, vocab]) => {
    const hidden = real("hidden", 1, rows(r), width(w));
    const weight = real("weight", 1, dim("vocab", vocab), width(w));
    const targets: CaseInput = {
      name: "targets",
      type: tensor("i32", rows(r)),
      make: (i, random) => (i % 4 === 3 ? -1 : Math.floor(((random() + 1) / 2) * vocab)),
    };
    const title = `${r} rows, width ${w}, vocab ${vocab}`;
    const training = [hidden, weight, targets, scalar("scale", 0.125)];
    return [
      { op: "linear_cross_entropy", title, inputs: [hidden, weight, targets], attributes: null },
      {
        op: "linear_cross_entropy",
        title: `${title}, all masked`,
        inputs: [hidden, weight, { ...targets, make: () => -1 }],
        attributes: null,
      },
      { op: "linear_cross_entropy_training", title, inputs: training, attributes: null },
      ...[0, 1].map((first) => ({
        op: "linear_cross_entropy_accumulate",
        title: `${title} first ${first}`,
        inputs: [...training, state(real("state", 1, dim("vocab", vocab), width(w))), scalar("first", first)],
        attributes: null,
      })),
    ];
  });
}

function gatherCases(): OpCase[] {
  return perShape((r, w) => {
    // More than 64 are cut into pieces where a binding is small.
    const count = r > 100 ? 150 : 11;
    const entries = dim("entries", count);
    const table = real("table", 1, entries, width(w));
    const at = index("index", count, rows(r));
    const values = real("rows", 1, rows(r), width(w));
    const slots = dim("slots", 3 * r + 1);
    const title = `${r}x${w}`;
    return [
      { op: "gather", title, inputs: [table, at], attributes: null },
      { op: "scatter_add", title, inputs: [values, at], attributes: { entries } },
      ...[0, 1].map((first) => ({
        op: "scatter_add_accumulate",
        title: `${title} first ${first}`,
        inputs: [values, at, state(table), scalar("first", first)],
        attributes: { entries },
      })),
      {
        op: "scatter_store",
        title,
        inputs: [
          values,
          {
            name: "index",
            type: tensor("i32", rows(r)),
            // 3 is prime to the number of slots: no two rows have one slot.
            make: (i: number) => (i % 3 === 2 ? -1 : (3 * i + 5) % (3 * r + 1)),
          },
          state(real("state", 1, slots, width(w))),
        ],
        attributes: null,
      },
    ];
  });
}

function adamwCase(r: number, w: number, finite: number): OpCase {
  return {
    op: "adamw",
    title: `${r}x${w} finite ${finite}`,
    inputs: [
      state(real("w", 1, rows(r), width(w))),
      real("gradient", 1, rows(r), width(w)),
      state(real("m", 0.1, rows(r), width(w))),
      state(positive("v", rows(r), width(w))),
      scalar("learning_rate", 1e-3),
      scalar("scale", 0.5),
      scalar("correction1", 0.271),
      scalar("correction2", 0.1426),
      scalar("finite", finite),
    ],
    attributes: { beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1 },
  };
}

function updateScalarsCases(): OpCase[] {
  return [
    [2.5, 1],
    [0.1, 1],
    [3, 0],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 1],
  ].map(([norm, clip]) => ({
    op: "update_scalars",
    title: `norm ${norm} clip ${clip}`,
    inputs: [
      scalar("norm", norm),
      scalar("clip", clip),
      state(scalar("correction1", 0.19)),
      state(scalar("correction2", 0.05)),
      state(scalar("skipped", 2)),
    ],
    attributes: { beta1: 0.9, beta2: 0.95 },
  }));
}

/** Numbers on both sides of every kind of edge: ties, subnormals, what overflows, and what is no number. */
const edges: readonly number[] = [...[0x3f80, 0x3f81, 0x0001, 0x007f, 0x0000, 0x7f7f, 0xff7f, 0xbfff, 0x7f7e]].flatMap(
  (upper) =>
    [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map((lower) => {
      const bits = new DataView(new ArrayBuffer(4));
      bits.setUint32(0, upper * 0x10000 + lower);
      return bits.getFloat32(0);
    }),
);

const specials = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, -0];

function castCases(): OpCase[] {
  const numbers = [...edges, ...specials];
  const types: readonly TensorType[] = [
    tensor("f32", rows(3), width(numbers.length)),
    tensor("f32", width(numbers.length)),
    ...shapes.map(([r, w]) => tensor("f32", rows(r), width(w))),
  ];
  return types.map((type) => ({
    op: "cast",
    title: `${printType(type)} to bf16`,
    inputs: [{ name: "x", type, make: (i) => numbers[i % numbers.length] }],
    attributes: { dtype: "bf16" },
  }));
}

/** All cases; an op without one fails the conformance test. */
export const opCases: readonly OpCase[] = [
  ...perShape((r, w) => [
    {
      op: "add",
      title: `${r}x${w}`,
      inputs: [real("a", 1, rows(r), width(w)), real("b", 1, rows(r), width(w))],
      attributes: null,
    },
    {
      op: "rms_norm",
      title: `${r}x${w}`,
      inputs: [real("x", 2, rows(r), width(w)), positive("gain", width(w))],
      attributes: { eps: 1e-5 },
    },
    ...[0, 1].map((first) => ({
      op: "accumulate",
      title: `${r}x${w} first ${first}`,
      inputs: [state(real("state", 1, rows(r), width(w))), real("value", 1, rows(r), width(w)), scalar("first", first)],
      attributes: null,
    })),
    { op: "sum_all", title: `${r}x${w}`, inputs: [positive("x", rows(r), width(w))], attributes: null },
    {
      op: "global_norm",
      title: `${r}x${w}, a vector and a scalar`,
      inputs: [real("x", 1, rows(r), width(w)), real("y", 1, width(w)), scalar("z", 0.5)],
      attributes: null,
    },
    adamwCase(r, w, 1),
  ]),
  adamwCase(7, 13, 0),
  ...updateScalarsCases(),
  ...activationCases(),
  ...ropeCases(),
  ...columnCases(),
  ...linearCases(),
  ...attentionCases(),
  ...pagedCases(),
  ...crossEntropyCases(),
  ...gatherCases(),
  ...castCases(),
  ...expertCases(),
];

/** Ops that only other ops' gradients make: their cases are derived from those. */
const derivedOps: readonly string[] = ["formula", "attention_backward", "head_products", "sink_gradient"];

export const opsWithoutCase = (): string[] =>
  [...ops.keys()].filter((name) => !derivedOps.includes(name) && !opCases.some((c) => c.op === name));
