// Graphs of the cases of ops, one node each or what its gradient becomes, and their comparison with the oracle on a device.

import { expect } from "vitest";
import { type Graph, GraphBuilder, type Value } from "../../compiler/graph/graph.ts";
import { type DType, unitRoundoff } from "../../compiler/graph/types.ts";
import type { Tensor } from "../../compiler/ops/contract.ts";
import { emitterFor, opOf, ops } from "../../compiler/ops/index.ts";
import { storedOutputs } from "../../compiler/ops/stored.ts";
import type { Device } from "../../runtime/device.ts";
import { generator, type OpCase } from "./case-parts.ts";
import { elementCount, excess, writeTensor } from "./on-device.ts";

const place = { path: "case", direction: "fprop", classes: [], key: "case" } as const;

export interface CaseGraph {
  readonly title: string;
  readonly graph: Graph;
  readonly data: ReadonlyMap<string, Float64Array>;
}

/** One node per graph: the op, or what its gradient becomes, over data of its own. */
export function graphsOf(c: OpCase, index: number, prefix = `c${index}`): CaseGraph[] {
  const random = generator(index + 1);
  const op = ops.get(c.op);
  if (op === undefined) throw new Error(`no op ${c.op}`);
  const data = new Map<string, Float64Array>();
  const builder = new GraphBuilder(prefix);
  const give = (
    name: string,
    type: (typeof c.inputs)[number]["type"],
    make: (i: number) => number,
    storage: "state" | "input",
  ) => {
    const full = `${prefix}.${name}`;
    data.set(
      full,
      Float64Array.from({ length: elementCount(type) }, (_, i) => make(i)),
    );
    return builder.give(full, type, storage);
  };
  const values = c.inputs.map((i) => give(i.name, i.type, (at) => i.make(at, random), i.isState ? "state" : "input"));
  const emitter = emitterFor(builder);
  const outputs = emitter.emit(op, values, c.attributes, { ...place, path: prefix });
  const result = (list: readonly Value[]) => builder.build(new Map(list.map((v) => [v.name, v])));
  const graphs: CaseGraph[] = [
    { title: `${c.op}: ${c.title}`, graph: { ...result(outputs), nodes: [...builder.nodes] }, data },
  ];
  if (op.gradient.kind === "separate") {
    const node = builder.nodes[0];
    const dOutputs = outputs.map((o) => {
      if (o.name.endsWith("log_sum_exp")) return undefined;
      return give(`d_${o.name}`, o.type, () => Math.fround(random()), "input");
    });
    const wanted = c.inputs.map((i) => i.type.dtype === "f32" && i.isConstant !== true);
    const dInputs = op.gradient.build({ node, dOutputs, wanted, emitter }).filter((v) => v !== undefined);
    const graph = { ...result(dInputs), name: `${prefix}d`, nodes: [...builder.nodes] };
    // The gradient of a sum is the adjoint itself.
    if (graph.nodes.length > 1) graphs.push({ title: `gradient of ${c.op}: ${c.title}`, graph, data });
  }
  return graphs;
}

export async function expectConforming(device: Device, { graph, data }: CaseGraph): Promise<void> {
  for (const value of graph.given) {
    const values = data.get(value.name);
    if (values !== undefined && device.manifest.tensors.some((t) => t.name === value.name))
      writeTensor(device, value.name, value.type, values);
  }
  await device.run(graph.name);
  const known = new Map<Value, Float64Array>(
    graph.given.map((v) => [v, data.get(v.name) ?? new Float64Array(elementCount(v.type))]),
  );
  let checked = 0;
  for (const node of graph.nodes) {
    const op = opOf(node);
    const inputs = node.inputs.map((v): Tensor => ({ type: v.type, data: known.get(v) ?? new Float64Array() }));
    const stored = storedOutputs(inputs, node);
    for (const [i, output] of node.outputs.entries()) {
      const isResult = [...graph.results.values()].includes(output);
      const root = op.inPlace.find(([o]) => o === i);
      const name = root === undefined ? output.name : node.inputs[root[1]].name;
      const got = await device.read(name, { program: graph.name });
      if (isResult) {
        checked++;
        const { values: expected, bounds } = stored[i];
        expectSharp(expected, bounds, output.type.dtype);
        got.forEach((value, at) => {
          const over = excess(value, expected[at], bounds[at]);
          expect(
            over,
            `${output.name}[${at}]: got ${value}, expected ${expected[at]} ± ${bounds[at]}`,
          ).toBeLessThanOrEqual(0);
        });
      }
      // The next node is compared on this one's actual output.
      known.set(output, Float64Array.from(got));
    }
  }
  expect(checked).toBeGreaterThan(0);
}

/** A tolerance that hides an error of a thousandth of the largest value, or of two roundings to bf16, would not be a test. */
function expectSharp(expected: Float64Array, bounds: Float64Array, dtype: DType): void {
  const finite = expected.filter(Number.isFinite);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const typical = [...bounds].sort((a, b) => a - b)[bounds.length >> 1];
  if (largest > 0) expect(2 * typical).toBeLessThan((1e-3 + 2 * (dtype === "bf16" ? unitRoundoff.bf16 : 0)) * largest);
}
