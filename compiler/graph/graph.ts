// The typed tensor graph: values, nodes, and the builder that keeps them in order. Knows no op: what a node's name
// means is in compiler/ops.

import { invariant } from "../source/diagnostic.ts";
import type { TensorType } from "./types.ts";

/**
 * How long a value lives and who writes it.
 *
 * input: written by the host before a run; step: scalars of the step buffer; parameter, gradient, moment, state: stay
 * from run to run; constant: written once at load; cache: keys and values of served sequences; intermediate: one run.
 */
export type Storage =
  | "input"
  | "step"
  | "parameter"
  | "gradient"
  | "moment"
  | "state"
  | "constant"
  | "cache"
  | "intermediate";

export interface Value {
  readonly id: number;
  /** Unique in its graph; persistent values have the same name in every graph that uses them. */
  readonly name: string;
  readonly type: TensorType;
  readonly storage: Storage;
  /** Which output of which node this is; undefined for what the graph is given. */
  readonly producer: { readonly node: Node; readonly output: number } | undefined;
  /** How a constant is made, for whoever fills it. */
  readonly rule: ConstantRule | undefined;
}

/** Constants that are computed at load: one table of angles per rope. */
export interface ConstantRule {
  readonly kind: "rope_cos" | "rope_sin";
  readonly theta: number;
  readonly rotaryDim: number;
  /** Of the YaRN scaling; `tableScale` multiplies cosines and sines. */
  readonly yarn:
    | {
        readonly factor: number;
        readonly original: number;
        readonly betaFast: number;
        readonly betaSlow: number;
        readonly truncate: boolean;
        readonly tableScale: number;
      }
    | undefined;
  readonly llama3:
    | {
        readonly factor: number;
        readonly lowFreqFactor: number;
        readonly highFreqFactor: number;
        readonly original: number;
      }
    | undefined;
}

/** Which of the three products of a matmul a node is; other ops of a model are fprop or dgrad, the optimiser's update. */
export type Direction = "fprop" | "dgrad" | "wgrad" | "update";

export interface NodePlace {
  /** The operation's path, such as `layers[3].attention.q`. */
  readonly path: string;
  readonly direction: Direction;
  /** Classes of docs/language.md: linear, norm, activation. */
  readonly classes: readonly string[];
  /** The key of the spec that it comes from, such as `model.layers` or `model.ffn.activation`. */
  readonly key: string;
}

export interface Node extends NodePlace {
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: unknown;
  /** Set on clones that recompute a forward value in the backward pass. */
  readonly isRecomputed: boolean;
}

export interface Graph {
  readonly name: string;
  /** In an order in which every input is produced before it is read. */
  readonly nodes: readonly Node[];
  /** What the graph is given, by storage other than intermediate. */
  readonly given: readonly Value[];
  /** What it is run for, by name. */
  readonly results: ReadonlyMap<string, Value>;
}

export interface NodeDraft extends NodePlace {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly attributes: unknown;
  /** Types and name endings of the outputs: a value is called `<path>.<port>`. */
  readonly outputs: readonly {
    readonly port: string;
    readonly type: TensorType;
    readonly storage?: Storage;
    readonly name?: string;
  }[];
  readonly isRecomputed?: boolean;
}

/** Appends nodes; names are made unique by counting up. */
export class GraphBuilder {
  readonly name: string;
  readonly #nodes: Node[] = [];
  readonly #given = new Map<string, Value>();
  readonly #names = new Set<string>();
  #nextValue = 0;
  #nextNode = 0;

  constructor(name: string) {
    this.name = name;
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  get given(): readonly Value[] {
    return [...this.#given.values()];
  }

  /** A builder that already holds what a graph holds, except for some nodes that will be replaced. */
  static from(graph: Graph, except: ReadonlySet<Node> = new Set()): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    for (const value of graph.given) {
      builder.#given.set(value.name, value);
      builder.#names.add(value.name);
    }
    for (const node of graph.nodes) {
      if (except.has(node)) continue;
      builder.#nodes.push(node);
      for (const output of node.outputs) builder.#names.add(output.name);
    }
    builder.#nextValue = 1 + valuesOf(graph).reduce((most, value) => Math.max(most, value.id), -1);
    builder.#nextNode = 1 + graph.nodes.reduce((most, node) => Math.max(most, node.id), -1);
    return builder;
  }

  /** A value that the graph is given; asking twice for one name yields the same value. */
  give(name: string, type: TensorType, storage: Exclude<Storage, "intermediate">, rule?: ConstantRule): Value {
    const known = this.#given.get(name);
    if (known !== undefined) return known;
    invariant(!this.#names.has(name), `two values are called ${name}`);
    this.#names.add(name);
    const value: Value = { id: this.#nextValue++, name, type, storage, producer: undefined, rule };
    this.#given.set(name, value);
    return value;
  }

  node(draft: NodeDraft): Node {
    const outputs: Value[] = [];
    const { outputs: ports, ...rest } = draft;
    const node: Node = { isRecomputed: false, ...rest, id: this.#nextNode++, outputs };
    ports.forEach(({ port, type, storage = "intermediate", name }, output) => {
      const unique = this.#uniqueName(name ?? `${draft.path}.${port}`);
      outputs.push({ id: this.#nextValue++, name: unique, type, storage, producer: { node, output }, rule: undefined });
    });
    this.#nodes.push(node);
    return node;
  }

  #uniqueName(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}.${i}`;
    this.#names.add(name);
    return name;
  }

  build(results: ReadonlyMap<string, Value>): Graph {
    return { name: this.name, nodes: this.#nodes, given: [...this.#given.values()], results };
  }
}

/** Every value of a graph: given ones first, then outputs in order. */
function valuesOf(graph: Graph): Value[] {
  return [...graph.given, ...graph.nodes.flatMap((node) => node.outputs)];
}

/** Which nodes read a value. */
export function readersOf(nodes: readonly Node[]): Map<Value, Node[]> {
  const readers = new Map<Value, Node[]>();
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) {
      const list = readers.get(input);
      if (list === undefined) readers.set(input, [node]);
      else list.push(node);
    }
  }
  return readers;
}
