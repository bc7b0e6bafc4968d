// Copies a graph node by node, so that a pass can replace, drop or repeat nodes on the way.

import { invariant } from "../source/diagnostic.ts";
import { type Graph, GraphBuilder, type Node, type Value } from "./graph.ts";
import type { TensorType } from "./types.ts";

export class GraphCopy {
  readonly builder: GraphBuilder;
  readonly #source: Graph;
  readonly #values = new Map<Value, Value>();

  /** `typeOf` says what a given value is from here on. */
  constructor(source: Graph, typeOf: (given: Value) => TensorType = ({ type }) => type) {
    this.#source = source;
    this.builder = new GraphBuilder(source.name);
    for (const value of source.given) this.#values.set(value, this.#give(value, typeOf(value)));
  }

  #give({ name, storage, rule }: Value, type: TensorType): Value {
    invariant(storage !== "intermediate", `given value ${name} has no storage`);
    return this.builder.give(name, type, storage, rule);
  }

  /** Whether the copy already has the value. */
  has(value: Value): boolean {
    return this.#values.has(value);
  }

  /** The copy's value for one of the source's. */
  valueOf(value: Value): Value {
    const copied = this.#values.get(value);
    invariant(copied !== undefined, `value ${value.name} is read before it is made`);
    return copied;
  }

  replace(value: Value, by: Value): void {
    this.#values.set(value, by);
  }

  /** Copies a node as it is; its outputs stand for the source's from here on. */
  copy(node: Node): Node {
    const copied = this.clone(
      node,
      node.inputs.map((input) => this.valueOf(input)),
      node.isRecomputed,
    );
    node.outputs.forEach((output, i) => {
      this.#values.set(output, copied.outputs[i]);
    });
    return copied;
  }

  /** A second node like `node` over other inputs, its outputs of other types if they are given; replaces nothing. */
  clone(node: Node, inputs: readonly Value[], isRecomputed: boolean, types?: readonly TensorType[]): Node {
    const { op, attributes, path, direction, classes, key } = node;
    const outputs = node.outputs.map(({ name, type, storage }, i) => {
      return { port: "", name, type: types?.[i] ?? type, storage };
    });
    return this.builder.node({ op, inputs, attributes, path, direction, classes, key, outputs, isRecomputed });
  }

  build(): Graph {
    return this.builder.build(new Map([...this.#source.results].map(([name, value]) => [name, this.valueOf(value)])));
  }
}

/** Without the nodes whose outputs nobody reads; `keeps` says which nodes matter for their effect. */
export function withoutDeadNodes(graph: Graph, keeps: (node: Node) => boolean): Graph {
  const live = new Set<Value>(graph.results.values());
  const kept: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!keeps(node) && !node.outputs.some((output) => live.has(output))) continue;
    kept.push(node);
    for (const input of node.inputs) live.add(input);
  }
  kept.reverse();
  const given = graph.given.filter((value) => live.has(value));
  return { ...graph, nodes: kept, given };
}
