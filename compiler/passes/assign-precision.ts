// Gives every node its formats from the spec's ordered rules. With f32 alone no conversion node arises.

import type { Graph, Node } from "../graph/graph.ts";
import type { Note } from "../source/notes.ts";
import { matches } from "../spec/selector.ts";
import type { Format, PrecisionRule, Signature } from "../spec/spec.ts";

/** The formats of one node, in its direction. */
export interface NodePrecision {
  readonly operands: readonly [Format, Format];
  readonly accumulator: Format;
  readonly result: Format;
  /** The rules that said so, last wins. */
  readonly keys: readonly string[];
}

export interface PrecisionResult {
  readonly graph: Graph;
  readonly precisionOf: ReadonlyMap<Node, NodePrecision>;
  readonly notes: readonly Note[];
}

const initial: NodePrecision = { operands: ["f32", "f32"], accumulator: "f32", result: "f32", keys: [] };

export function assignPrecision(
  graph: Graph,
  rules: readonly PrecisionRule[],
  counts: ReadonlyMap<string, number>,
): PrecisionResult {
  const precisionOf = new Map<Node, NodePrecision>();
  const notes: Note[] = [];
  for (const node of graph.nodes) {
    const operation = { path: node.path, classes: node.classes, counts };
    const own = rules.filter((rule) => matches(rule.selector, operation, node.direction));
    const precision = own.reduce(applyRule, initial);
    precisionOf.set(node, precision);
    const { operands, accumulator, result, keys } = precision;
    notes.push({
      path: node.path,
      topic: "precision",
      sentence: `${node.op} (${node.direction}): ${operands.join(" * ")} -> ${accumulator} -> ${result}, ${keys.length === 0 ? "the default" : `from ${keys.join(", ")}`}`,
    });
  }
  return { graph, precisionOf, notes };
}

/** What a signature leaves open stays as earlier rules set it. */
function applyRule(before: NodePrecision, rule: PrecisionRule): NodePrecision {
  const { operands, accumulator, result }: Signature = rule.signature;
  return {
    operands: [operands[0] ?? before.operands[0], operands[1] ?? operands[0] ?? before.operands[1]],
    accumulator: accumulator ?? before.accumulator,
    result: result ?? before.result,
    keys: [...before.keys, rule.key],
  };
}
