// Gradients of every op against central differences in f64, at the defaults of PyTorch's gradcheck.

import { expect, test } from "vitest";
import { GraphBuilder, type Value } from "../../compiler/graph/graph.ts";
import { elementCount, tensor } from "../../compiler/graph/types.ts";
import { emitterFor, ops } from "../../compiler/ops/index.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { generator, type OpCase } from "./case-parts.ts";
import { opCases, opsWithoutCase } from "./cases.ts";

const [eps, atol, rtol] = [1e-6, 1e-5, 1e-3];
const place = { path: "case", direction: "fprop", classes: [], key: "case" } as const;

test("every op has a case or is derived from one", () => {
  expect(opsWithoutCase()).toEqual([]);
});

const differentiable = opCases.filter((c) => !["none", "stop"].includes(ops.get(c.op)?.gradient.kind ?? ""));
const small = differentiable.filter((c) => c.inputs.every((input) => elementCount(input.type) < 700));

test("at least one small case of every differentiable op is checked", () => {
  expect([...new Set(small.map((c) => c.op))].sort()).toEqual([...new Set(differentiable.map((c) => c.op))].sort());
});

test.each(small.map((c) => [`${c.op}: ${c.title}`, c] as const))(
  "gradient of %s equals central differences",
  (_, c) => {
    const { forward, backward, seeds, inputs } = graphsOf(c);
    const random = generator(7);
    const data = new Map(
      c.inputs.map((input) => [
        input.name,
        Float64Array.from({ length: elementCount(input.type) }, (_, i) => input.make(i, random)),
      ]),
    );
    for (const [name, count] of seeds)
      data.set(
        name,
        Float64Array.from({ length: count }, () => random()),
      );
    const weighted = (): number => {
      const results = run(forward, data);
      let sum = 0;
      for (const [name] of seeds) {
        const seed = data.get(name) ?? new Float64Array();
        results.get(name.slice(2))?.forEach((value, i) => {
          sum += value * (seed.length === 1 ? seed[0] : seed[i]);
        });
      }
      return sum;
    };
    const gradients = run(backward, data);
    expect(gradients.size).toBeGreaterThan(0);
    for (const name of inputs) {
      const x = data.get(name) ?? new Float64Array();
      const got = gradients.get(`gradient ${name}`);
      x.forEach((value, i) => {
        x[i] = value + eps;
        const up = weighted();
        x[i] = value - eps;
        const down = weighted();
        x[i] = value;
        const numeric = (up - down) / (2 * eps);
        const error = Math.abs((got?.[i] ?? Number.NaN) - numeric);
        expect(error, `d ${name}[${i}]: got ${got?.[i]}, central difference ${numeric}`).toBeLessThanOrEqual(
          atol + rtol * Math.abs(numeric),
        );
      });
    }
  },
);

function run(
  graph: ReturnType<GraphBuilder["build"]>,
  data: ReadonlyMap<string, Float64Array>,
): ReadonlyMap<string, Float64Array> {
  const oracle = new Oracle({ rounds: false });
  for (const [name, values] of data) oracle.set(name, values);
  return oracle.run(graph);
}

/** The op alone, and with its gradient for every real input, seeded by `d_<port>` per element. */
function graphsOf(c: OpCase) {
  const op = ops.get(c.op);
  if (op === undefined) throw new Error(`no op ${c.op}`);
  const builder = new GraphBuilder("backward");
  const emitter = emitterFor(builder);
  const values = c.inputs.map((input) =>
    builder.give(input.name, input.type, input.type.dtype === "i32" ? "input" : "parameter"),
  );
  const isScalarSeeded = op.gradient.kind === "joint";
  const outputs = emitter.emit(op, values, c.attributes, place);
  const forward = builder.build(new Map(outputs.map((o) => [portOf(o), o])));
  const forwardCopy = { ...forward, nodes: [...forward.nodes] };
  const node = forwardCopy.nodes[0];
  const seeds = new Map<string, number>();
  // log_sum_exp is kept for the backward pass and has no gradient of its own.
  const dOutputs = outputs.map((o) => {
    if (portOf(o) === "log_sum_exp") return undefined;
    const type = isScalarSeeded ? tensor("f32") : o.type;
    seeds.set(`d_${portOf(o)}`, elementCount(type));
    return builder.give(`d_${portOf(o)}`, type, "input");
  });
  const wanted = values.map((v, i) => v.type.dtype === "f32" && c.inputs[i].isConstant !== true);
  const request = { node, dOutputs, wanted, emitter };
  const { gradient } = op;
  if (gradient.kind === "none" || gradient.kind === "stop") throw new Error(`${c.op} has no gradient`);
  const built = gradient.build(request);
  const dInputs = "dInputs" in built ? built.dInputs : built;
  const results = new Map<string, Value>();
  values.forEach((v, i) => {
    const d = dInputs[i];
    if (d !== undefined) results.set(`gradient ${v.name}`, d);
  });
  const backward = builder.build(results);
  return {
    forward: forwardCopy,
    backward,
    seeds,
    inputs: values.filter((_, i) => dInputs[i] !== undefined).map((v) => v.name),
  };
}

const portOf = (value: Value): string => value.name.slice(value.name.lastIndexOf(".") + 1);
