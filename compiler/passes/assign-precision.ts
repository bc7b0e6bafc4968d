// Gives every node its formats from the spec's ordered rules. With f32 alone no conversion node arises.

import type { Graph } from "../graph/graph.ts";
import type { Note } from "../source/notes.ts";
import { matches } from "../spec/selector.ts";
import type { Format, PrecisionRule, Signature } from "../spec/spec.ts";

/** The formats of one node, in its direction. */
export interface NodePrecision {
  readonly operands: readonly [Format, Format];
  readonly accumulator: Format;
  readonly result: Format;
}

/** Where each part of a signature was said; undefined: nowhere, it is the default. */
type Sources = readonly (string | undefined)[];

export interface PrecisionResult {
  readonly graph: Graph;
  readonly notes: readonly Note[];
}

const initial: NodePrecision = { operands: ["f32", "f32"], accumulator: "f32", result: "f32" };

export function assignPrecision(
  graph: Graph,
  rules: readonly PrecisionRule[],
  counts: ReadonlyMap<string, number>,
): PrecisionResult {
  const notes = graph.nodes.map((node): Note => {
    const operation = { path: node.path, classes: node.classes, counts };
    const own = rules.filter((rule) => matches(rule.selector, operation, node.direction));
    const { path, direction } = node;
    return { path, direction, topic: "precision", sentence: `${node.op} (${direction}): ${sentenceOf(own)}` };
  });
  return { graph, notes };
}

function sentenceOf(rules: readonly PrecisionRule[]): string {
  const { operands, accumulator, result } = rules.reduce(applyRule, initial);
  const formats = new Set([...operands, accumulator, result]);
  const text = formats.size === 1 ? [...formats].join() : `${operands.join(" * ")} -> ${accumulator} -> ${result}`;
  const keys = new Set(rules.reduce(applySource, [undefined]).filter((key) => key !== undefined));
  return `${text}, ${keys.size === 0 ? "the default" : `from ${[...keys].join(", ")}`}`;
}

/** A rule takes the place of earlier ones in the parts that it says; what it leaves open stays theirs. */
function applySource(before: Sources, { signature, key }: PrecisionRule): Sources {
  const { operands, accumulator, result } = signature;
  const parts = [operands[0], operands[1] ?? operands[0], accumulator, result];
  return parts.map((part, i) => (part === undefined ? before[i] : key));
}

/** What a signature leaves open stays as earlier rules set it. */
function applyRule(before: NodePrecision, rule: PrecisionRule): NodePrecision {
  const { operands, accumulator, result }: Signature = rule.signature;
  return {
    operands: [operands[0] ?? before.operands[0], operands[1] ?? operands[0] ?? before.operands[1]],
    accumulator: accumulator ?? before.accumulator,
    result: result ?? before.result,
  };
}
