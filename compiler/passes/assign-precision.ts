// Gives every value the format that the spec's rules store it in, and rounds operands that are stored in a wider one:
// once per value, by a node of its own. A format that is narrower than asked is read exactly and needs no node.

import type { Graph, Node, Value } from "../graph/graph.ts";
import { GraphCopy } from "../graph/rewrite.ts";
import type { TensorType } from "../graph/types.ts";
import { cast } from "../ops/cast.ts";
import { type Emitter, type FormatPorts, placeOf } from "../ops/contract.ts";
import { emitterFor, opOf } from "../ops/index.ts";
import type { Note } from "../source/notes.ts";
import type { Format, PrecisionRule } from "../spec/spec.ts";
import { type NodePrecision, precisionOf, printPrecision } from "./precision-rules.ts";

export interface PrecisionResult {
  readonly graph: Graph;
  readonly notes: readonly Note[];
}

export function assignPrecision(
  graph: Graph,
  rules: readonly PrecisionRule[],
  counts: ReadonlyMap<string, number>,
): PrecisionResult {
  const precisions = new Map(graph.nodes.map((node) => [node, precisionOf(node, rules, counts)]));
  const notes = [...precisions].map(([{ op, path, direction }, precision]): Note => {
    return { path, direction, topic: "precision", sentence: `${op} (${direction}): ${printPrecision(precision)}` };
  });
  const isPlain = [...precisions.values()].every(({ operands, result }) =>
    [...operands, result].every((format) => format === "f32"),
  );
  if (isPlain) return { graph, notes };
  const assignment = new Assignment(graph, precisions);
  return { graph: assignment.run(), notes: [...notes, ...assignment.notes] };
}

class Assignment {
  readonly notes: Note[] = [];
  readonly #graph: Graph;
  readonly #precisions: ReadonlyMap<Node, NodePrecision>;
  readonly #copy: GraphCopy;
  readonly #emitter: Emitter;
  /** Values of the copy in a narrower format. */
  readonly #rounded = new Map<Value, Value>();
  /** Values that are added to a gradient: sums in f32, whoever makes them. */
  readonly #summands: ReadonlySet<Value>;

  constructor(graph: Graph, precisions: ReadonlyMap<Node, NodePrecision>) {
    this.#graph = graph;
    this.#precisions = precisions;
    const caches = cacheFormats(graph, precisions);
    this.#copy = new GraphCopy(graph, ({ name, type }) => ({ ...type, dtype: caches.get(name) ?? type.dtype }));
    this.#emitter = emitterFor(this.#copy.builder);
    const accumulating = graph.nodes.filter((node) => opOf(node).absorbable === "accumulate");
    this.#summands = new Set(accumulating.map((node) => node.inputs[1]));
  }

  run(): Graph {
    for (const node of this.#graph.nodes) {
      const precision = this.#precisions.get(node);
      if (precision === undefined) continue;
      const ports = opOf(node).formats(node);
      const inputs = node.inputs.map((input, i) => this.#operand(node, input, operandFormat(ports, i, precision)));
      const types = this.#typesOf(node, ports, precision);
      const copied = this.#copy.clone(node, inputs, node.isRecomputed, types);
      node.outputs.forEach((output, i) => {
        this.#copy.replace(output, copied.outputs[i]);
      });
    }
    return this.#copy.build();
  }

  #typesOf(node: Node, { results, moves }: FormatPorts, { result }: NodePrecision): TensorType[] {
    const states = new Map(opOf(node).inPlace);
    return node.outputs.map((output, i) => {
      const state = states.get(i);
      if (state !== undefined) return this.#copy.valueOf(node.inputs[state]).type;
      const { type } = output;
      if (moves?.output === i) return { ...type, dtype: this.#copy.valueOf(node.inputs[moves.input]).type.dtype };
      return results.includes(i) && type.dtype !== "i32" && !this.#summands.has(output)
        ? { ...type, dtype: result }
        : type;
    });
  }

  /** The value that a node reads: rounded where its format asks for it. */
  #operand(node: Node, value: Value, format: Format | undefined): Value {
    const own = this.#copy.valueOf(value);
    if (format === undefined || format === "f32" || own.type.dtype !== "f32") return own;
    if (opOf(node).formats(node).second.length === 0 && !isStored(value)) return own;
    return this.#rounded.get(own) ?? this.#round(node, own, format);
  }

  #round(node: Node, value: Value, dtype: Format): Value {
    const place = value.producer === undefined ? placeOf(node) : placeOf(value.producer.node);
    const { path, direction, classes, key } = place;
    const ports = cast.infer([value.type], { dtype }, path);
    const outputs = ports.map((port) => ({ ...port, name: `${value.name}.${dtype}` }));
    const { builder } = this.#emitter;
    const draft = { op: cast.name, inputs: [value], attributes: { dtype }, outputs, path, direction, classes, key };
    const [rounded] = builder.node(draft).outputs;
    this.#rounded.set(value, rounded);
    this.notes.push({
      path: node.path,
      direction: node.direction,
      topic: "precision",
      sentence: `${value.name} is rounded to ${dtype} for ${node.op} (${node.direction}) and who else reads it so`,
    });
    return rounded;
  }
}

function operandFormat({ first, second }: FormatPorts, input: number, { operands }: NodePrecision): Format | undefined {
  if (first.includes(input)) return operands[0];
  return second.includes(input) ? operands[1] : undefined;
}

/** Whether a node computed the value and stored it in a result's format: statistics and tables are read as they are. */
function isStored({ producer }: Value): boolean {
  if (producer === undefined) return false;
  return opOf(producer.node).formats(producer.node).results.includes(producer.output);
}

/** Caches by name: what reads them says in which format they hold keys and values. */
function cacheFormats(graph: Graph, precisions: ReadonlyMap<Node, NodePrecision>): Map<string, Format> {
  const roots = new Map(graph.given.filter(({ storage }) => storage === "cache").map((value) => [value, value.name]));
  const formats = new Map<string, Format>();
  for (const node of graph.nodes) {
    const precision = precisions.get(node);
    const ports = opOf(node).formats(node);
    node.inputs.forEach((input, i) => {
      const root = roots.get(input);
      const format = precision && operandFormat(ports, i, precision);
      if (root !== undefined && format !== undefined) formats.set(root, format);
    });
    for (const [output, input] of opOf(node).inPlace) {
      const root = roots.get(node.inputs[input]);
      if (root !== undefined) roots.set(node.outputs[output], root);
    }
  }
  return formats;
}
