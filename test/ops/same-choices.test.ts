// Choices are integer code: on equal numbers, ties and NaN among them, every target chooses and sorts alike; and a row is
// routed the same alone as among others.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ELEMENT } from "../../compiler/formula/terms.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import { type TargetId, targetIds, targets } from "../../compiler/kernels/targets.ts";
import type { ChoiceRules } from "../../compiler/ops/router.ts";
import type { Device } from "../../runtime/device.ts";
import { type CaseGraph, expectConforming, graphsOf } from "./case-graphs.ts";
import { type CaseInput, formulaFrom, index, type OpCase, real } from "./case-parts.ts";
import { openGraphs, writeTensor } from "./on-device.ts";

/** Small whole numbers: sums of their products are exact in any order, and many are equal. */
const whole = (name: string, ...dims: ReturnType<typeof dim>[]): CaseInput => ({
  name,
  type: tensor("f32", ...dims),
  make: (_, random) => Math.round(2 * random()),
});

const withNaN = (input: CaseInput, isNaNAt: (i: number) => boolean): CaseInput => ({
  ...input,
  make: (i, random) => (isNaNAt(i) ? Number.NaN : input.make(i, random)),
});

interface Routing extends ChoiceRules {
  readonly title: string;
  readonly experts: number;
  readonly tokens?: number;
  readonly nanExpert?: number;
  readonly nanToken?: number;
}

const width = 9;
const plain = { groups: undefined, normalize: false, scale: 1 } as const;
const grouped = { count: 4, keep: 2 } as const;
const routings: readonly Routing[] = [
  { ...plain, title: "ties", experts: 70, topK: 8 },
  { ...plain, title: "more than one pass of experts", experts: 130, topK: 3, tokens: 5 },
  { ...plain, title: "an expert is NaN", experts: 7, topK: 3, nanExpert: 2 },
  { ...plain, title: "all are chosen, and one is NaN", experts: 6, topK: 6, nanExpert: 0 },
  { ...plain, title: "a token is NaN", experts: 9, topK: 2, nanToken: 3 },
  { ...plain, title: "the best two of groups", experts: 12, topK: 4, groups: { ...grouped, score: "top2_sum" } },
  { ...plain, title: "the best of groups", experts: 20, topK: 3, groups: { ...grouped, score: "max" } },
  {
    ...{ ...plain, title: "the best two of groups, and one is NaN", experts: 12, topK: 4, nanExpert: 5 },
    groups: { ...grouped, score: "top2_sum" },
  },
  {
    ...{ ...plain, title: "the best of groups, and a token is NaN", experts: 12, topK: 4, nanToken: 1 },
    groups: { ...grouped, score: "max" },
  },
];

function routerCase({ title, experts, tokens = 37, nanExpert, nanToken, ...rules }: Routing): OpCase {
  const [rows, each, channels] = [dim("tokens", tokens), dim("experts", experts), dim("width", width)];
  return {
    op: "router",
    title,
    inputs: [
      withNaN(whole("x", rows, channels), (i) => Math.floor(i / width) === nanToken),
      withNaN(whole("weight", each, channels), (i) => Math.floor(i / width) === nanExpert),
      { ...whole("choice_bias", each), isConstant: true },
    ],
    attributes: { ...rules, hasBias: false, hasChoiceBias: true, score: identity },
  };
}

const identity = formulaFrom("logit", { logit: [ELEMENT] }, "number", ELEMENT);

/** Numbers that are equal, or nearly, or none. */
const odd = [0, -0, 1, 1, -1, 1 + 2 ** -23, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -126];

const cases: readonly OpCase[] = [
  ...routings.map(routerCase),
  {
    op: "expert_fractions",
    title: "odd numbers",
    inputs: [
      {
        name: "scores",
        type: tensor("f32", dim("tokens", 48), dim("experts", 11)),
        make: (_, random) => odd[Math.floor(((random() + 1) / 2) * odd.length)],
        isConstant: true,
      },
    ],
    attributes: { topK: 4, rows: 16 },
  },
  ...(
    [
      [700, 3, 40],
      [301, 2, 300],
      [257, 1, 2],
    ] as const
  ).map(([tokens, topK, experts]) => ({
    op: "expert_order",
    title: `${tokens} tokens, ${topK} of ${experts} experts`,
    inputs: [index("index", experts, dim("tokens", tokens), dim("top_k", topK))],
    attributes: { experts },
  })),
];

const hasNaN = ({ data }: CaseGraph): boolean => [...data.values()].some((values) => values.some(Number.isNaN));

/** All outputs of the graph's node, as the device computes them. */
async function outputsOf(device: Device, { graph, data }: CaseGraph): Promise<number[][]> {
  for (const { name, type } of graph.given) writeTensor(device, name, type, data.get(name) ?? []);
  await device.run(graph.name);
  const outputs: number[][] = [];
  for (const { name } of graph.nodes[0].outputs) {
    // A negative zero is a zero: which one a sum of zeros is hangs on its order.
    outputs.push(Array.from(await device.read(name, { program: graph.name }), (value) => value + 0));
  }
  return outputs;
}

const opened = cases.map((c, i) => graphsOf(c, i)[0]);

/** A row that stands alone in one graph and among others in the next. */
const [row, among] = [1, 40].map((tokens) => {
  const [rows, each, channels] = [dim("tokens", tokens), dim("experts", 24), dim("width", 70)];
  const c: OpCase = {
    op: "router",
    title: `${tokens} tokens`,
    inputs: [real("x", 1, rows, channels), real("weight", 1, each, channels), real("bias", 1, each)],
    attributes: {
      ...{ topK: 4, normalize: true, scale: 2.5, groups: undefined, hasBias: true, hasChoiceBias: false },
      score: formulaFrom("softmax(logit)", { logit: [ELEMENT] }, "number", ELEMENT),
    },
  };
  return graphsOf(c, tokens, `alone${tokens}`)[0];
});
const place = 37;

/** The second graph's data, of which one row is the first graph's. */
function dataAmong(): Map<string, Float64Array> {
  const data = new Map([...among.data].map(([name, values]) => [name, Float64Array.from(values)]));
  const of = (graph: CaseGraph, name: string) => graph.data.get(`${graph.graph.given[0].name.split(".")[0]}.${name}`);
  for (const name of ["weight", "bias"]) data.set(`alone40.${name}`, Float64Array.from(of(row, name) ?? []));
  data.get("alone40.x")?.set(of(row, "x") ?? [], place * 70);
  return data;
}

describe.each(targetIds.filter((id) => id !== "wasm"))("%s", (id: TargetId) => {
  const devices: Device[] = [];
  beforeAll(async () => {
    const graphs = [...opened, row, among].map(({ graph }) => graph);
    for (const target of [targets.wasm, targets[id]])
      devices.push(await openGraphs(graphs, 2, { target, keepsAll: true }));
  });
  afterAll(async () => {
    for (const device of devices) await device.close();
  });

  test.each(opened.map((c) => [c.title, c] as const))("%s", async (_, c) => {
    const [wasm, own] = devices;
    if (!hasNaN(c)) await expectConforming(wasm, c);
    const first = await outputsOf(own, c);
    expect(first).toEqual(await outputsOf(wasm, c));
    expect(await outputsOf(own, c)).toEqual(first);
  });

  test("a row is routed the same alone as among others", async () => {
    const [, own] = devices;
    const alone = await outputsOf(own, row);
    const all = await outputsOf(own, { ...among, data: dataAmong() });
    alone.forEach((values, i) => {
      expect(all[i].slice(place * values.length, (place + 1) * values.length)).toEqual(values);
    });
  });
});
