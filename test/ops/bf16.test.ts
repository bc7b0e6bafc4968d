// Every kernel with values stored as bf16, on either side: what it computes is the oracle's on the rounded inputs.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Graph, Value } from "../../compiler/graph/graph.ts";
import { GraphCopy } from "../../compiler/graph/rewrite.ts";
import { rounders } from "../../compiler/graph/rounding.ts";
import type { TensorType } from "../../compiler/graph/types.ts";
import type { Target } from "../../compiler/kernels/target.ts";
import { wasm } from "../../compiler/kernels/wasm/index.ts";
import { gpu, soft } from "../../compiler/kernels/wgsl/index.ts";
import { opOf } from "../../compiler/ops/index.ts";
import { assignPrecision } from "../../compiler/passes/assign-precision.ts";
import type { Device } from "../../runtime/device.ts";
import { specOf } from "../language/spec-text.ts";
import { type CaseGraph, expectConforming, graphsOf } from "./case-graphs.ts";
import type { OpCase } from "./case-parts.ts";
import { opCases } from "./cases.ts";
import { elementCount, inPieces, manifestOf, openGraphs } from "./on-device.ts";

const rules = (text: string) =>
  specOf(`mspec: 1
name: rules
model:
  vocab: 8
  context: 8
  width: 8
  layers: 1
  attention: { kind: gqa, heads: 1 }
  ffn: { kind: dense, intermediate: 8, activation: silu(gate) * up }
precision: [${text}]
serve: { sequences: 1 }
`).precision;

const assign = (graph: Graph, text: string): Graph => assignPrecision(graph, rules(text), new Map()).graph;

/** Whole rows that the host writes; a cache, too, but no state that something is added to. */
function mayBeNarrow({ storage, type }: Value, graph: Graph): boolean {
  const isCache = graph.nodes.some(({ op }) => op === "scatter_store");
  return type.dtype === "f32" && type.dims.length > 1 && (storage === "input" || (storage === "state" && isCache));
}

/** The graph with rows of its inputs as bf16. */
function withNarrowInputs(graph: Graph): Graph {
  const typeOf = (value: Value): TensorType =>
    mayBeNarrow(value, graph) ? { ...value.type, dtype: "bf16" } : value.type;
  const copy = new GraphCopy(graph, typeOf);
  for (const node of graph.nodes) {
    const states = new Map(opOf(node).inPlace);
    const inputs = node.inputs.map((input) => copy.valueOf(input));
    const types = node.outputs.map(({ type }, i) => {
      const state = states.get(i);
      return state === undefined ? type : inputs[state].type;
    });
    const copied = copy.clone(node, inputs, false, types);
    node.outputs.forEach((output, i) => {
      copy.replace(output, copied.outputs[i]);
    });
  }
  return copy.build();
}

/** Data as the device holds it. */
function roundedData({ graph, data }: CaseGraph): Map<string, Float64Array> {
  const types = new Map(graph.given.map(({ name, type }) => [name, type]));
  return new Map(
    [...data].map(([name, values]) => [name, values.map((value) => rounders[types.get(name)?.dtype ?? "f32"](value))]),
  );
}

type Variant = (graph: Graph) => Graph;

const variants: Readonly<Record<string, Variant>> = {
  "bf16 throughout": (graph) => assign(withNarrowInputs(graph), "all: bf16"),
  "f32 read, bf16 stored": (graph) => assign(graph, "all: f32 * f32 -> f32 -> bf16"),
  "bf16 read, f32 stored": withNarrowInputs,
};

const isAboutUpdate = ({ graph }: CaseGraph): boolean =>
  graph.nodes.some(({ op }) => op === "adamw" || op === "update_scalars" || op === "global_norm");

/** With one key the gradient of its score is what rounding the result left, and no bound is sharp beside that. */
const isRoundingAlone = ({ title }: CaseGraph): boolean => /^gradient of attention: 1x1, 1\/1 /.test(title);

/** One variant is about every size; formats that differ from side to side are about every kernel. */
const isSmall = ({ inputs }: OpCase): boolean => inputs.every(({ type }) => elementCount(type) < 2000);

/** Whole words and parts of them are read and written alike on both kinds of adapters: one shows it for both. */
function devicesOf(name: string): readonly Target[] {
  if (name === "bf16 throughout") return [wasm, soft, gpu];
  return name === "f32 read, bf16 stored" ? [wasm, soft] : [wasm];
}

const everywhere = Object.entries(variants).flatMap(([name, variant]) =>
  devicesOf(name).map((target) => [name, target.id, variant, target] as const),
);

describe.each(everywhere)("%s on %s", (name, _, variant, target) => {
  const chosen = name === "bf16 throughout" && target === wasm ? opCases : opCases.filter(isSmall);
  const cases = chosen.flatMap((c, index) =>
    graphsOf(c, index)
      .filter((own) => !isAboutUpdate(own) && !isRoundingAlone(own))
      .map((own) => ({ ...own, graph: variant(own.graph) }))
      .filter(({ graph }) => [...graph.given, ...graph.nodes.flatMap((n) => n.outputs)].some(isNarrow)),
  );
  let device: Device;
  beforeAll(async () => {
    device = await openGraphs(
      cases.map(({ graph }) => graph),
      2,
      { target, keepsAll: true },
    );
  }, 300_000);
  afterAll(async () => {
    await device.close();
  });

  test("it is about most cases", () => {
    expect(cases.length, name).toBeGreaterThan(chosen.length / 2);
  });

  test.each(cases.map((c) => [c.title, c] as const))("%s", (_, c) =>
    expectConforming(device, { ...c, data: roundedData(c) }),
  );
});

const isNarrow = ({ type }: Value): boolean => type.dtype === "bf16";

describe("products in tiles of the spec", () => {
  const products = opCases
    .flatMap((c, index) => graphsOf(c, index))
    .filter(({ graph }) => graph.nodes.some(({ op }) => op.startsWith("linear")))
    .map((c) => ({ ...c, graph: assign(withNarrowInputs(c.graph), "all: bf16") }));

  test.each([
    { rows: 2, columns: 16, depth: 1 },
    { rows: 6, columns: 48, depth: 7 },
  ])("$rows x $columns x $depth", async (tile) => {
    const graphs = products.map(({ graph }) => graph);
    const device = await openGraphs(graphs, 3, { keepsAll: true, tile });
    for (const c of products) await expectConforming(device, { ...c, data: roundedData(c) });
    await device.close();
  });
});

test.each([
  ["without barriers", soft],
  ["with barriers", gpu],
])(
  "products of experts whose weights are in pieces, on webgpu %s",
  async (_, target) => {
    const products = opCases
      .flatMap((c, index) => graphsOf(c, index))
      .filter(({ graph }) => graph.nodes.some(({ op }) => op.startsWith("grouped_linear")));
    const variantsOf = (c: CaseGraph) =>
      ["bf16 throughout", "bf16 read, f32 stored"].map((name, i) => {
        const graph = variants[name](c.graph);
        return { ...c, graph: { ...graph, name: `${graph.name}v${i}` } };
      });
    const cases = products.flatMap(variantsOf);
    const graphs = cases.map(({ graph }) => graph);
    const options = { target: inPieces(target), keepsAll: true };
    const { manifest } = await manifestOf(graphs, options);
    for (const kind of [
      /_nt_.*_piece_.*_bf16/,
      /_nn_.*_piece_.*_bf16/,
      /_nn_.*_term_.*_bf16/,
      /wgrad_.*_piece_.*_bf16/,
    ]) {
      expect(manifest.kernels.filter(({ name }) => kind.test(name)).length, String(kind)).toBeGreaterThan(0);
    }
    const device = await openGraphs(graphs, 1, options);
    for (const c of cases) await expectConforming(device, { ...c, data: roundedData(c) });
    await device.close();
  },
  300_000,
);
