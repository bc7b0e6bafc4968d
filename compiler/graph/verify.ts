// What must hold for the graphs of every stage, as a table of predicates and messages by what they are about. Graphs know
// no op, so what ops say about a node comes in as facts.

import type { Graph, Node, Storage, Value } from "./graph.ts";
import { printType, sameShape, sameType, type TensorType } from "./types.ts";

/** What verification asks about the op of a node. */
export interface OpFacts {
  /** The types of the outputs by the op's signature; throws where the inputs do not fit. */
  readonly infer: (node: Node) => readonly TensorType[];
  /** Outputs that are the new contents of an input's storage, as [output, input]. */
  readonly inPlace: (node: Node) => readonly (readonly [output: number, input: number])[];
  readonly mayRecompute: (node: Node) => boolean;
}

/** What an invariant is about. */
interface Subjects {
  readonly node: { readonly node: Node; readonly position: number };
  readonly value: Value;
  /** A value that the graph is given. */
  readonly given: Value;
  /** A parameter of a graph that computes gradients. */
  readonly trained: Value;
  readonly result: { readonly name: string; readonly value: Value };
}

interface Invariant<Subject> {
  /** The pass from which on it holds; all of them if left out. */
  readonly from?: string;
  readonly holds: (subject: Subject, context: Context) => boolean;
  readonly message: (subject: Subject, context: Context) => string;
}

type Table = { readonly [Pattern in keyof Subjects]: readonly Invariant<Subjects[Pattern]>[] };

const persistent: ReadonlySet<Storage> = new Set(["parameter", "gradient", "moment", "state", "cache"]);

export const invariants: Table = {
  node: [
    {
      holds: ({ node, position }, { madeAt }) =>
        node.inputs.every((input) => (madeAt.get(input) ?? position) < position),
      message: ({ node, position }, { madeAt }) => {
        const late = node.inputs.filter((input) => (madeAt.get(input) ?? position) >= position);
        return `${node.op} reads ${late.map((value) => value.name).join(", ")} before it is made`;
      },
    },
    {
      holds: ({ node }) => node.outputs.every(({ producer }, i) => producer?.node === node && producer.output === i),
      message: ({ node }) => `an output of ${node.op} names another producer`,
    },
    {
      holds: ({ node }, { facts }) => inferenceFault(node, facts) === undefined,
      message: ({ node }, { facts }) => `${node.op}: ${inferenceFault(node, facts)}`,
    },
    {
      holds: ({ node }, context) =>
        node.outputs.some((output) => context.isUsed(output) || output.storage !== "intermediate"),
      message: ({ node }) => `nobody reads what ${node.op} computes`,
    },
    {
      holds: ({ node }, { facts }) =>
        facts.inPlace(node).every(([output, input]) => {
          const [after, before] = [node.outputs[output], node.inputs[input]];
          return after.storage === before.storage && persistent.has(after.storage) && sameType(after.type, before.type);
        }),
      message: ({ node }) => `${node.op} updates in place what is no state, or changes its type`,
    },
    {
      holds: ({ node, position }, { facts, lastReadAt, results }) =>
        facts.inPlace(node).every(([, input]) => {
          const before = node.inputs[input];
          return lastReadAt.get(before) === position && !results.has(before);
        }),
      message: ({ node }) => `the old contents of what ${node.op} updates in place are read afterwards`,
    },
    {
      holds: ({ node }, { facts }) => {
        const states = new Set(facts.inPlace(node).map(([output]) => output));
        return node.outputs.every((output, i) => output.storage === "intermediate" || states.has(i));
      },
      message: ({ node }) => `${node.op} makes persistent contents without updating any in place`,
    },
    {
      holds: ({ node }, { isTraining }) => !["dgrad", "wgrad"].includes(node.direction) || isTraining,
      message: ({ node }) => `${node.op} is a ${node.direction} in a graph without gradients`,
    },
    {
      from: "choose-recompute",
      holds: ({ node }, { facts }) => !node.isRecomputed || facts.mayRecompute(node),
      message: ({ node }) => `${node.op} is recomputed, which its op does not allow`,
    },
  ],
  value: [
    {
      holds: ({ name }, { names }) => names.get(name) === 1,
      message: ({ name }) => `two values are called ${name}`,
    },
    {
      holds: ({ type }) => type.dims.every(({ size }) => Number.isInteger(size) && size > 0),
      message: ({ type }) => `an extent is no positive integer: ${printType(type)}`,
    },
  ],
  given: [
    {
      holds: ({ producer, storage }) => producer === undefined && storage !== "intermediate",
      message: () => "it is given, but has a producer or lives for one run",
    },
    {
      holds: (value, context) => context.isUsed(value),
      message: () => "nobody reads it",
    },
    {
      holds: ({ rule, storage }) => (rule !== undefined) === (storage === "constant"),
      message: () => "a constant has no rule, or something else has one",
    },
  ],
  trained: [
    {
      from: "differentiate",
      holds: ({ name }, { gradientEnds }) => gradientEnds.get(name) === 1,
      message: ({ name }, { gradientEnds }) => `${gradientEnds.get(name) ?? 0} final gradients instead of one`,
    },
  ],
  result: [
    {
      holds: ({ value }, { madeAt }) => madeAt.has(value),
      message: ({ value }) => `the graph does not compute ${value.name}`,
    },
  ],
};

/** What is looked up more than once while a graph is verified. */
class Context {
  readonly facts: OpFacts;
  /** Position of every value's producer; -1 for what is given. */
  readonly madeAt = new Map<Value, number>();
  readonly lastReadAt = new Map<Value, number>();
  readonly results: ReadonlySet<Value>;
  readonly names = new Map<string, number>();
  /** Whether the graph is given gradients to add to, and has nodes that compute some. */
  readonly isTraining: boolean;
  /** By parameter: how many values its gradient ends in; one if its updates form a chain. */
  readonly gradientEnds: ReadonlyMap<string, number>;

  constructor(graph: Graph, facts: OpFacts) {
    this.facts = facts;
    this.results = new Set(graph.results.values());
    this.isTraining = graph.given.some(isGradient) && graph.nodes.some((node) => node.direction === "wgrad");
    for (const value of graph.given) this.#add(value, -1);
    graph.nodes.forEach((node, position) => {
      for (const input of node.inputs) this.lastReadAt.set(input, position);
      for (const output of node.outputs) this.#add(output, position);
    });
    this.gradientEnds = gradientEnds(graph, facts);
  }

  #add(value: Value, position: number): void {
    this.madeAt.set(value, position);
    this.names.set(value.name, (this.names.get(value.name) ?? 0) + 1);
  }

  isUsed(value: Value): boolean {
    return this.lastReadAt.has(value) || this.results.has(value);
  }
}

const isGradient = ({ storage }: Value): boolean => storage === "gradient";

function gradientEnds(graph: Graph, facts: OpFacts): Map<string, number> {
  // A gradient is called after its parameter, behind a word and a dot.
  const parameterOf = ({ name }: Value) => name.slice(name.indexOf(".") + 1);
  const chains = new Map(graph.given.filter(isGradient).map((value) => [value, parameterOf(value)]));
  const ends = new Map<Value, string>();
  for (const node of graph.nodes) {
    for (const [output, input] of facts.inPlace(node)) {
      const parameter = chains.get(node.inputs[input]);
      if (parameter === undefined) continue;
      chains.set(node.outputs[output], parameter);
      ends.delete(node.inputs[input]);
      ends.set(node.outputs[output], parameter);
    }
  }
  const counts = new Map<string, number>();
  for (const parameter of ends.values()) counts.set(parameter, (counts.get(parameter) ?? 0) + 1);
  return counts;
}

/** What is wrong with the types of a node's outputs; undefined if the op infers the same ones, in whatever format. */
function inferenceFault(node: Node, facts: OpFacts): string | undefined {
  try {
    const types = facts.infer(node);
    if (types.length !== node.outputs.length) return `${node.outputs.length} outputs instead of ${types.length}`;
    const wrong = node.outputs.find((output, i) => !sameShape(output.type, types[i]));
    return wrong === undefined ? undefined : `${wrong.name} is ${printType(wrong.type)}, which the op does not infer`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The passes in order: an invariant holds from its own on. */
const passes = ["model", "differentiate", "accumulate-loss", "assign-precision", "choose-recompute", "fuse"];

/** Everything that is wrong with a graph after a pass, as `pass graph path: sentence`; empty if nothing is. */
export function verifyGraph(graph: Graph, pass: string, facts: OpFacts): string[] {
  const context = new Context(graph, facts);
  const problems: string[] = [];
  const ask = <P extends keyof Subjects>(pattern: P, subject: Subjects[P], path: string): void => {
    const asked: readonly Invariant<Subjects[P]>[] = invariants[pattern];
    for (const { from = "model", holds, message } of asked) {
      if (passes.indexOf(from) > passes.indexOf(pass) || holds(subject, context)) continue;
      problems.push(`${pass} ${graph.name} ${path}: ${message(subject, context)}`);
    }
  };
  for (const value of graph.given) {
    ask("given", value, value.name);
    ask("value", value, value.name);
    if (value.storage === "parameter" && context.isTraining) ask("trained", value, value.name);
  }
  graph.nodes.forEach((node, position) => {
    ask("node", { node, position }, node.path);
    for (const output of node.outputs) ask("value", output, output.name);
  });
  for (const [name, value] of graph.results) ask("result", { name, value }, name);
  return problems;
}

/** What a pass that keeps the meaning of a graph must keep: its results, and which persistent values it updates. */
export function verifySameMeaning(before: Graph, after: Graph, pass: string, facts: OpFacts): string[] {
  const pairs = [
    ["results", resultsOf(before), resultsOf(after)],
    ["updated state", updatedBy(before, facts), updatedBy(after, facts)],
  ] as const;
  return pairs
    .filter(([, old, now]) => old.join() !== now.join())
    .map(([what, old, now]) => `${pass} ${after.name}: ${what} was ${old.join(", ")} and is ${now.join(", ")}`);
}

/** Formats may change from pass to pass, shapes may not. */
const resultsOf = ({ results }: Graph): string[] =>
  [...results].map(([name, { type }]) => `${name} ${printType({ ...type, dtype: "f32" })}`).sort();

function updatedBy(graph: Graph, facts: OpFacts): string[] {
  const roots = new Map(graph.given.map((value) => [value, value.name]));
  const updated = new Set<string>();
  for (const node of graph.nodes) {
    for (const [output, input] of facts.inPlace(node)) {
      const root = roots.get(node.inputs[input]) ?? node.inputs[input].name;
      roots.set(node.outputs[output], root);
      updated.add(root);
    }
  }
  return [...updated].sort();
}
