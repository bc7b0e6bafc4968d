// The invariants of graphs: they hold after every pass, and each of them is noticed when it is broken.

import { describe, expect, test } from "vitest";
import { buildPrograms, compile } from "../../compiler/compile.ts";
import { type Graph, GraphBuilder, type Node, type Value } from "../../compiler/graph/graph.ts";
import { printGraph } from "../../compiler/graph/print.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import { invariants, type OpFacts, verifyGraph, verifySameMeaning } from "../../compiler/graph/verify.ts";
import { verifyStages } from "../../compiler/ops/verify-stages.ts";
import { readSpecFile } from "../../compiler/spec/read.ts";

const recomputing = ["recompute=[norm, activation, attention, linear]"];

test.each([
  ["specs/tiny.mspec.yaml", []],
  ["specs/tiny.mspec.yaml", recomputing],
  ["specs/tiny-formulas.mspec.yaml", []],
  ["examples/sotu/model.yaml", recomputing],
  ["specs/llama-3.1-8b.mspec.yaml", []],
])("every invariant holds after every pass of %s %j", (path, overrides) => {
  const { spec } = readSpecFile(path, overrides);
  if (spec === undefined) throw new Error(`${path} has errors`);
  const { stages } = compile(spec).programs;
  expect(stages.map(({ stage }) => stage)).toEqual([
    "model",
    "differentiate",
    "accumulate-loss",
    "assign-precision",
    "choose-recompute",
    "fuse",
  ]);
  expect(stages.flatMap(({ graphs }) => graphs.flatMap(({ nodes }) => nodes)).length).toBeGreaterThan(200);
  expect(verifyStages(stages)).toEqual([]);
});

const type = tensor("f32", dim("rows", 4), dim("width", 3));
const other = tensor("f32", dim("rows", 4), dim("width", 5));
const place = { path: "a", direction: "fprop", classes: [], key: "model" } as const;

/** `copy` copies, `update` changes its first input in place. */
const facts: OpFacts = {
  infer: ({ inputs }) => [inputs[0].type],
  inPlace: ({ op }) => (op === "update" ? [[0, 0]] : []),
  mayRecompute: ({ op }) => op === "copy",
};

/** x → copy → y, and a gradient of the parameter w that is updated with y. */
function sound(): { graph: Graph; w: Value; gradient: Value; y: Value; copy: Node; update: Node } {
  const builder = new GraphBuilder("micro_step");
  const w = builder.give("w", type, "parameter");
  const gradient = builder.give("gradient.w", type, "gradient");
  const copy = builder.node({ ...place, op: "copy", inputs: [w], attributes: null, outputs: [{ port: "y", type }] });
  const [y] = copy.outputs;
  const outputs = [{ port: "d", type, storage: "gradient", name: "gradient.w" } as const];
  const draft = {
    ...place,
    direction: "wgrad",
    op: "update",
    inputs: [gradient, y],
    attributes: null,
    outputs,
  } as const;
  const update = builder.node(draft);
  return { graph: builder.build(new Map([["d", update.outputs[0]]])), w, gradient, y, copy, update };
}

/** A node of the graph with something else in it, and outputs that name it. */
function changed(node: Node, by: Partial<Node>, outputs: readonly Partial<Value>[] = []): Node {
  const made: Value[] = [];
  const copy: Node = { ...node, ...by, outputs: made };
  node.outputs.forEach((output, i) => {
    made.push({ ...output, ...outputs[i], producer: outputs[i]?.producer ?? { node: copy, output: i } });
  });
  return copy;
}

/** What is done to the sound graph, and what must be said of it. */
const breaks: readonly (readonly [message: RegExp, broken: () => Graph])[] = [
  [
    /a: update reads a\.y before it is made/,
    () => {
      const { graph, copy, update } = sound();
      return { ...graph, nodes: [update, copy] };
    },
  ],
  [
    /a: an output of update names another producer/,
    () => {
      const { graph, copy, update } = sound();
      const nodes = [copy, changed(update, {}, [{ producer: { node: copy, output: 0 } }])];
      return { ...graph, nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
    },
  ],
  [
    /a: copy: a\.y is f32\[rows 4, width 5\], which the op does not infer/,
    () => {
      const { graph, copy, update, gradient } = sound();
      const wide = changed(copy, {}, [{ type: other }]);
      const nodes = [wide, changed(update, { inputs: [gradient, wide.outputs[0]] })];
      return { ...graph, nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
    },
  ],
  [
    /a: nobody reads what copy computes/,
    () => {
      const { graph, copy, update, gradient, w } = sound();
      const nodes = [copy, changed(update, { inputs: [gradient, w] })];
      return { ...graph, nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
    },
  ],
  [
    /a: update updates in place what is no state, or changes its type/,
    () => {
      const { graph, copy, update, y } = sound();
      const nodes = [copy, changed(update, { inputs: [y, y] })];
      return { ...graph, nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
    },
  ],
  [
    /a: the old contents of what update updates in place are read afterwards/,
    () => {
      const { graph, gradient } = sound();
      return { ...graph, results: new Map([["d", gradient]]) };
    },
  ],
  [
    /a: copy makes persistent contents without updating any in place/,
    () => {
      const { graph, copy, update, gradient } = sound();
      const state = changed(copy, {}, [{ storage: "state" }]);
      const nodes = [state, changed(update, { inputs: [gradient, state.outputs[0]] })];
      return { ...graph, nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
    },
  ],
  [
    /a: copy is a dgrad in a graph without gradients/,
    () => {
      const { graph, copy, w } = sound();
      const node = changed(copy, { direction: "dgrad" });
      return { ...graph, given: [w], nodes: [node], results: new Map([["y", node.outputs[0]]]) };
    },
  ],
  [
    /a: update is recomputed, which its op does not allow/,
    () => {
      const { graph, copy, update } = sound();
      const nodes = [copy, changed(update, { isRecomputed: true })];
      return { ...graph, nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
    },
  ],
  [
    /a\.y: two values are called a\.y/,
    () => {
      const { graph, copy, update, gradient, w } = sound();
      const twin = changed(copy, {});
      const nodes = [copy, twin, changed(update, { inputs: [gradient, twin.outputs[0]] })];
      return {
        ...graph,
        nodes,
        given: [w, gradient],
        results: new Map([
          ["d", nodes[2].outputs[0]],
          ["y", copy.outputs[0]],
        ]),
      };
    },
  ],
  [/w: an extent is no positive integer: f32\[rows 0\]/, () => withGiven({ type: tensor("f32", dim("rows", 0)) })],
  [/w: it is given, but has a producer or lives for one run/, () => withGiven({ storage: "intermediate" })],
  [
    /unread: nobody reads it/,
    () => {
      const { graph, w } = sound();
      return { ...graph, given: [...graph.given, { ...w, name: "unread", storage: "input" }] };
    },
  ],
  [/w: a constant has no rule, or something else has one/, () => withGiven({ storage: "constant" })],
  [
    /w: 2 final gradients instead of one/,
    () => {
      const { graph, copy, update } = sound();
      const second = changed(update, {}, [{ name: "gradient.w.3" }]);
      const results = new Map([
        ["d", update.outputs[0]],
        ["e", second.outputs[0]],
      ]);
      return { ...graph, nodes: [copy, update, second], results };
    },
  ],
  [
    /d: the graph does not compute a\.y/,
    () => {
      const { graph, w, gradient } = sound();
      const { y } = sound();
      return { ...graph, given: [w, gradient], results: new Map([...graph.results, ["d", y]]) };
    },
  ],
];

/** The sound graph with its parameter changed, also where it is read. */
function withGiven(by: Partial<Value>): Graph {
  const { graph, copy, update, w, gradient } = sound();
  const value = { ...w, ...by };
  const first = changed(copy, { inputs: [value] }, [{ type: value.type }]);
  const nodes = [first, changed(update, { inputs: [gradient, first.outputs[0]] })];
  return { ...graph, given: [value, gradient], nodes, results: new Map([["d", nodes[1].outputs[0]]]) };
}

describe("an invariant that does not hold is noticed", () => {
  test("nothing is said of a sound graph", () => {
    expect(verifyGraph(sound().graph, "fuse", facts)).toEqual([]);
  });

  test.each(breaks)("%s", (message, broken) => {
    expect(verifyGraph(broken(), "fuse", facts).join("\n")).toMatch(message);
  });

  test("there is a broken graph for every entry of the table", () => {
    expect(breaks.length).toBe(Object.values(invariants).flat().length);
  });

  test("an invariant of a later pass is not asked of an earlier one", () => {
    const { graph, copy, w, y } = sound();
    const untrained = { ...graph, given: [w], nodes: [copy], results: new Map([["y", y]]) };
    expect(verifyGraph(untrained, "model", facts)).toEqual([]);
  });

  test("a pass that loses a result or an update is told", () => {
    const { graph, copy, w, y } = sound();
    const lost = { ...graph, given: [w], nodes: [copy], results: new Map([["y", y]]) };
    expect(verifySameMeaning(graph, lost, "fuse", facts)).toEqual([
      "fuse micro_step: results was d f32[rows 4, width 3] and is y f32[rows 4, width 3]",
      "fuse micro_step: updated state was gradient.w and is ",
    ]);
    expect(verifySameMeaning(graph, graph, "fuse", facts)).toEqual([]);
  });
});

test("the text of a graph says what it is given, what each node computes and what it is run for", () => {
  expect(printGraph(sound().graph, (node) => (node.op === "copy" ? "y = x" : ""))).toBe(
    [
      "graph micro_step",
      "given",
      "  parameter  w: f32[rows 4, width 3]",
      "  gradient   gradient.w: f32[rows 4, width 3]",
      "nodes",
      "  a.y: f32[rows 4, width 3] = copy(w)  # a fprop: y = x",
      "  gradient.w.2: f32[rows 4, width 3] = update(gradient.w, a.y)  # a wgrad",
      "results",
      "  d = gradient.w.2",
    ].join("\n"),
  );
});

test("recomputed nodes are marked in the text", () => {
  const { spec } = readSpecFile("specs/tiny.mspec.yaml", recomputing);
  if (spec === undefined) throw new Error("tiny has errors");
  const [graph] = buildPrograms(spec).graphs;
  expect(printGraph(graph, () => "")).toMatch(/ fprop again$/m);
});
