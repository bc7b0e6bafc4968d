// The formats of a node in its direction, from the spec's ordered rules: the last that matches wins, part by part.

import type { Node } from "../graph/graph.ts";
import { matches } from "../spec/selector.ts";
import type { Format, PrecisionRule, Signature } from "../spec/spec.ts";

/** The formats of one node, in its direction. */
export interface NodePrecision {
  readonly operands: readonly [Format, Format];
  readonly accumulator: Format;
  readonly result: Format;
  /** Keys of the spec that said so; none: the default. */
  readonly keys: readonly string[];
}

const initial: NodePrecision = { operands: ["f32", "f32"], accumulator: "f32", result: "f32", keys: [] };

/** Where each part of a signature was said; undefined: nowhere, it is the default. */
type Sources = readonly (string | undefined)[];

export function precisionOf(
  node: Node,
  rules: readonly PrecisionRule[],
  counts: ReadonlyMap<string, number>,
): NodePrecision {
  const operation = { path: node.path, classes: node.classes, counts };
  const own = rules
    .filter((rule) => matches(rule.selector, operation, node.direction))
    .map((rule) => ({ key: rule.key, signature: inDirection(rule, node) }));
  const formats = own.reduce((before, { signature }) => applySignature(before, signature), initial);
  const sources = own.reduce(applySource, [undefined]);
  return { ...formats, keys: [...new Set(sources.filter((key) => key !== undefined))] };
}

/**
 * A rule for all directions is written for the first two. The gradient of a weight multiplies what the others take as
 * their first operands, and is a sum in f32.
 */
function inDirection({ selector, signature }: PrecisionRule, { direction }: Node): Signature {
  if (direction !== "wgrad") return signature;
  const [first] = signature.operands;
  const operands = selector.directions === undefined ? [first, first] : signature.operands;
  return { ...signature, operands, result: signature.result && "f32" };
}

/** What a signature leaves open stays as earlier rules set it. */
function applySignature(before: NodePrecision, { operands, accumulator, result }: Signature): NodePrecision {
  const second = operands.length === 1 ? operands[0] : operands[1];
  return {
    operands: [operands[0] ?? before.operands[0], second ?? before.operands[1]],
    accumulator: accumulator ?? before.accumulator,
    result: result ?? before.result,
    keys: before.keys,
  };
}

/** A rule takes the place of earlier ones in the parts that it says; what it leaves open stays theirs. */
function applySource(before: Sources, { signature, key }: { signature: Signature; key: string }): Sources {
  const { operands, accumulator, result } = signature;
  const second = operands.length === 1 ? operands[0] : operands[1];
  const parts = [operands[0], second, accumulator, result];
  return parts.map((part, i) => (part === undefined ? before[i] : key));
}

export function printPrecision({ operands, accumulator, result, keys }: NodePrecision): string {
  const formats = new Set([...operands, accumulator, result]);
  const text = formats.size === 1 ? [...formats].join() : `${operands.join(" * ")} -> ${accumulator} -> ${result}`;
  return `${text}, ${keys.length === 0 ? "the default" : `from ${keys.join(", ")}`}`;
}
