// The ops' references against their definitions in the papers, written out here a second time with plain loops: other
// tests of ops take the references as the truth.

import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/graph/graph.ts";
import { elementCount } from "../../compiler/graph/types.ts";
import { emitterFor, opOf, ops } from "../../compiler/ops/index.ts";
import { generator, type OpCase } from "./case-parts.ts";
import { opCases } from "./cases.ts";

/** What a definition is given: the inputs' values, the sizes of their dimensions, and the case's attributes. */
interface Given {
  readonly data: readonly Float64Array[];
  readonly dims: readonly (readonly number[])[];
  readonly attributes: Readonly<Record<string, number | string | undefined>>;
  readonly title: string;
}

/** The outputs, in order; undefined for what a definition does not speak of. */
type Definition = (given: Given) => readonly (ArrayLike<number> | undefined)[];

const numberOf = (value: number | string | undefined): number => Number(value);

const definitions: Readonly<Record<string, Definition>> = {
  // arXiv:1910.07467, equation 4, with eps under the root as in Llama.
  rms_norm: ({ data: [x, gain], dims: [[, width]], attributes: { eps } }) => [
    x.map((value, i) => {
      const row = x.subarray(Math.floor(i / width) * width, (Math.floor(i / width) + 1) * width);
      const meanSquare = row.reduce((sum, v) => sum + v ** 2, 0) / width;
      return (value / Math.sqrt(meanSquare + numberOf(eps))) * gain[i % width];
    }),
  ],
  // arXiv:2104.09864, equation 34: the complex number of a pair times cos + i sin; channels beyond the tables stay.
  rope: ({ data: [x, cos, sin], dims: [[rows, width], [, half]], attributes: { heads, headDim, layout, turned } }) => {
    const size = numberOf(headDim);
    const start = turned === "last" ? size - 2 * half : 0;
    const y = x.slice();
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < numberOf(heads); head++) {
        for (let pair = 0; pair < half; pair++) {
          const base = row * width + head * size + start;
          const [re, im] =
            layout === "half" ? [base + pair, base + pair + half] : [base + 2 * pair, base + 2 * pair + 1];
          const [c, s] = [cos[row * half + pair], sin[row * half + pair]];
          y[re] = x[re] * c - x[im] * s;
          y[im] = x[im] * c + x[re] * s;
        }
      }
    }
    return [y];
  },
  // Qwen3: root mean square 1 over each head's channels.
  rms_norm_heads: ({ data: [x, gain], attributes: { eps } }) => {
    const size = gain.length;
    const squares = x.map((_, i) => {
      const start = i - (i % size);
      return x.subarray(start, start + size).reduce((sum, value) => sum + value ** 2, 0) / size;
    });
    return [x.map((value, i) => (value / Math.sqrt(squares[i] + numberOf(eps))) * gain[i % size])];
  },
  add_bias: ({ data: [x, bias] }) => [x.map((value, i) => value + bias[i % bias.length])],
  split_columns: ({ data: [x], dims: [[rows, width]], title }) => {
    const first = Number(/heads of (\d+),/.exec(title)?.[1]);
    const columns = (from: number, to: number) =>
      Array.from({ length: rows }, (_, row) => [...x.subarray(row * width + from, row * width + to)]).flat();
    return [columns(0, first), columns(first, width)];
  },
  join_columns: ({ data: [a, b], dims: [[rows, first], [, second]] }) => [
    Array.from({ length: rows }, (_, row) => [
      ...a.subarray(row * first, (row + 1) * first),
      ...b.subarray(row * second, (row + 1) * second),
    ]).flat(),
  ],
  // arXiv:2405.04434, equations 14 to 17: k = [k^C; k^R], k^R the same in all heads; per head the up-projection has k^C, v.
  latent_keys_values: ({ data: [kv, rope], dims: [[rows]], attributes: { heads, nopeDim, ropeDim, valueDim } }) => {
    const [n, r, w] = [numberOf(nopeDim), numberOf(ropeDim), numberOf(valueDim)];
    const [k, v]: [number[], number[]] = [[], []];
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < numberOf(heads); head++) {
        const start = (row * numberOf(heads) + head) * (n + w);
        k.push(...kv.subarray(start, start + n), ...rope.subarray(row * r, (row + 1) * r));
        v.push(...kv.subarray(start + n, start + n + w));
      }
    }
    return [k, v];
  },
  // arXiv:2405.04434, appendix C: W_UK absorbed into W_UQ, W_UV into W_O; the rope channels are beside them.
  absorb_queries: ({
    data: [q, weight],
    dims: [[rows], [, rank]],
    attributes: { heads, nopeDim, ropeDim, valueDim },
  }) => {
    const [h, n, r, w] = [heads, nopeDim, ropeDim, valueDim].map(numberOf);
    return [
      Array.from({ length: rows * h }, (_, i) => {
        const query = q.subarray(i * (n + r), (i + 1) * (n + r));
        const row = (channel: number) => ((i % h) * (n + w) + channel) * rank;
        const latent = Array.from({ length: rank }, (_, c) =>
          query.subarray(0, n).reduce((sum, value, channel) => sum + value * weight[row(channel) + c], 0),
        );
        return [...latent, ...query.subarray(n)];
      }).flat(),
    ];
  },
  absorb_values: ({ data: [o, weight], dims: [[rows], [, rank]], attributes: { heads, nopeDim, valueDim } }) => {
    const [h, n, w] = [heads, nopeDim, valueDim].map(numberOf);
    return [
      Array.from({ length: rows * h * w }, (_, i) => {
        const [head, channel] = [Math.floor(i / w) % h, i % w];
        const from = (head * (n + w) + n + channel) * rank;
        const latent = o.subarray(Math.floor(i / w) * rank, (Math.floor(i / w) + 1) * rank);
        return latent.reduce((sum, value, c) => sum + value * weight[from + c], 0);
      }),
    ];
  },
  // arXiv:1711.05101, algorithm 2, lines 6 to 12, with the schedule in the learning rate.
  adamw: ({
    data: [w, gradient, m, v, [rate], [scale], [c1], [c2], [finite]],
    attributes: { beta1, beta2, eps, decay },
  }) => {
    if (finite === 0) return [w, m, v];
    const [b1, b2] = [numberOf(beta1), numberOf(beta2)];
    const g = gradient.map((value) => value * scale);
    const m1 = m.map((value, i) => b1 * value + (1 - b1) * g[i]);
    const v1 = v.map((value, i) => b2 * value + (1 - b2) * g[i] ** 2);
    const moved = w.map((value, i) => {
      const direction = m1[i] / c1 / (Math.sqrt(v1[i] / c2) + numberOf(eps));
      return value - rate * (direction + numberOf(decay) * value);
    });
    return [moved, m1, v1];
  },
  linear: ({ data: [x, w, addend], dims: [[rows, depth], [columns]] }) => {
    const y = new Float64Array(rows * columns);
    for (let i = 0; i < y.length; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      y[i] = addend?.[i] ?? 0;
      for (let k = 0; k < depth; k++) y[i] += x[row * depth + k] * w[column * depth + k];
    }
    return [y];
  },
  linear_cross_entropy: ({ data: [hidden, weight, targets], dims: [[rows, width], [vocab]] }) => {
    const logit = (row: number, token: number) =>
      Array.from({ length: width }, (_, k) => hidden[row * width + k] * weight[token * width + k]).reduce(
        (a, b) => a + b,
        0,
      );
    const loss = (row: number) => {
      if (targets[row] < 0) return 0;
      const likelihoods = Array.from({ length: vocab }, (_, token) => Math.exp(logit(row, token)));
      return -Math.log(likelihoods[targets[row]] / likelihoods.reduce((a, b) => a + b, 0));
    };
    return [Array.from({ length: rows }, (_, row) => loss(row))];
  },
  // arXiv:1706.03762, equation 1; a query head reads the key head of its group, arXiv:2305.13245.
  // A sink is a logit more in the softmax's sum, as in gpt-oss.
  attention: ({ data: [q, k, v, documents, sinks], dims: [[rows]], attributes, title }) => {
    const [heads, kvHeads, size, values, sequence] = ["heads", "kvHeads", "keyDim", "valueDim", "sequence"].map((n) =>
      numberOf(attributes[n]),
    );
    const out = new Float64Array(rows * heads * values);
    const logSumExp = new Float64Array(rows * heads);
    const sees = (i: number, j: number) => {
      const isWithin = Math.floor(i / sequence) === Math.floor(j / sequence) && j <= i;
      return isWithin && (!title.includes("same_document") || documents[i] === documents[j]);
    };
    for (let i = 0; i < rows; i++) {
      for (let head = 0; head < heads; head++) {
        const group = Math.floor(head / (heads / kvHeads));
        const weights = Array.from({ length: rows }, (_, j) => {
          let product = 0;
          for (let c = 0; c < size; c++)
            product += q[(i * heads + head) * size + c] * k[(j * kvHeads + group) * size + c];
          return sees(i, j) ? Math.exp(product / Math.sqrt(size)) : 0;
        });
        const total = weights.reduce((a, b) => a + b, sinks === undefined ? 0 : Math.exp(sinks[head]));
        logSumExp[i * heads + head] = Math.log(total);
        for (let c = 0; c < values; c++) {
          const sum = weights.reduce((a, weight, j) => a + weight * v[(j * kvHeads + group) * values + c], 0);
          out[(i * heads + head) * values + c] = sum / total;
        }
      }
    }
    return [out, logSumExp];
  },
};

/** Scores and masks other than the plain ones are formulas of a spec; their meaning is tested as formulas. */
const isPlain = ({ op, title }: OpCase): boolean =>
  op !== "attention" || / of \d+( and \d+)?( with sinks)?, s, k <= q( && same_document)?$/.test(title);

const defined = opCases.filter((c) => c.op in definitions && isPlain(c));

test("every definition has cases", () => {
  expect(new Set(defined.map(({ op }) => op))).toEqual(new Set(Object.keys(definitions)));
});

test.each(defined.map((c) => [`${c.op}: ${c.title}`, c] as const))("%s is what the paper says", (_, c) => {
  const random = generator(3);
  const data = c.inputs.map(({ type, make }) =>
    Float64Array.from({ length: elementCount(type) }, (_, i) => make(i, random)),
  );
  const builder = new GraphBuilder("case");
  const values = c.inputs.map(({ name, type }) => builder.give(name, type, "state"));
  const op = ops.get(c.op);
  if (op === undefined) throw new Error(`no op ${c.op}`);
  emitterFor(builder).emit(op, values, c.attributes, { path: "case", direction: "fprop", classes: [], key: "case" });
  const [node] = builder.nodes;
  const got = opOf(node).reference(
    values.map(({ type }, i) => ({ type, data: data[i] })),
    node,
  );
  const expected = definitions[c.op]({
    data: data.map((values) => values.slice()),
    dims: c.inputs.map(({ type }) => type.dims.map(({ size }) => size)),
    attributes: (c.attributes ?? {}) as Given["attributes"],
    title: c.title,
  });
  let compared = 0;
  for (const [i, values] of expected.entries()) {
    if (values === undefined) continue;
    const largest = Math.max(...Array.from(values, Math.abs), 1e-300);
    // Both sum at most 515 terms in f64, in another order: 515 units of 2^-53, and room for cancellation.
    for (let at = 0; at < values.length; at++) expect(Math.abs(got[i][at] - values[at]) / largest).toBeLessThan(1e-11);
    compared += values.length;
  }
  expect(compared).toBeGreaterThan(0);
});
