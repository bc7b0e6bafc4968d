// Decides which forward values the backward pass computes again instead of keeping them, as the spec's `recompute` says.

import type { Graph, Node, Value } from "../graph/graph.ts";
import { GraphCopy } from "../graph/rewrite.ts";
import { bytesOf, elementCount } from "../graph/types.ts";
import { opOf } from "../ops/index.ts";
import { size } from "../source/messages/device.ts";
import type { Note } from "../source/notes.ts";
import { matches } from "../spec/selector.ts";
import type { RecomputeRule } from "../spec/spec.ts";

export interface RecomputeResult {
  readonly graph: Graph;
  readonly notes: readonly Note[];
}

/** Clones selected forward nodes into the backward pass; their values need not be kept in between. */
export function chooseRecompute(
  graph: Graph,
  rules: readonly RecomputeRule[],
  counts: ReadonlyMap<string, number>,
): RecomputeResult {
  const chosen = new Map<Node, string>();
  for (const node of graph.nodes) {
    const operation = { path: node.path, classes: node.classes, counts };
    const rule = rules.findLast((r) => matches(r.selector, operation));
    if (rule !== undefined && isForward(node) && opOf(node).recompute !== "never") chosen.set(node, rule.key);
  }
  const recomputation = new Recomputation(graph, chosen);
  return { graph: recomputation.run(), notes: recomputation.notes };
}

const isForward = (node: Node): boolean => node.direction === "fprop";

class Recomputation {
  readonly notes: Note[] = [];
  readonly #graph: Graph;
  readonly #chosen: ReadonlyMap<Node, string>;
  readonly #copy: GraphCopy;
  /** Clones by the node that they repeat. */
  readonly #clones = new Map<Node, Node>();

  constructor(graph: Graph, chosen: ReadonlyMap<Node, string>) {
    this.#graph = graph;
    this.#chosen = chosen;
    this.#copy = new GraphCopy(graph);
  }

  run(): Graph {
    for (const node of this.#graph.nodes) {
      if (isForward(node)) {
        this.#copy.copy(node);
        continue;
      }
      const inputs = node.inputs.map((input) => this.#again(input));
      const copied = this.#copy.clone(node, inputs, false);
      node.outputs.forEach((output, i) => {
        this.#copy.replace(output, copied.outputs[i]);
      });
    }
    return this.#copy.build();
  }

  /** The value that a backward node reads: a recomputed one where its producer was chosen. */
  #again(value: Value): Value {
    const { producer } = value;
    if (producer === undefined || !this.#chosen.has(producer.node)) return this.#copy.valueOf(value);
    return this.#cloneOf(producer.node).outputs[producer.output];
  }

  #cloneOf(node: Node): Node {
    const known = this.#clones.get(node);
    if (known !== undefined) return known;
    const clone = this.#copy.clone(
      node,
      node.inputs.map((input) => this.#again(input)),
      true,
    );
    this.#clones.set(node, clone);
    const saved = node.outputs.reduce((bytes, { type }) => bytes + bytesOf[type.dtype] * elementCount(type), 0);
    this.notes.push({
      path: node.path,
      direction: node.direction,
      topic: "recompute",
      sentence: `computed again in the backward pass, from ${this.#chosen.get(node)}: ${size(saved)} need not be kept`,
    });
    return clone;
  }
}
