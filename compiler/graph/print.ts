// A graph as text: what it is given, one line per node, what it is run for. What a node means comes from the caller,
// because graphs know no op.

import type { Graph, Node, Value } from "./graph.ts";
import { printType } from "./types.ts";

/** The formula of a node in one line; empty for none. */
export type FormulaOf = (node: Node) => string;

export function printGraph(graph: Graph, formulaOf: FormulaOf): string {
  const given = graph.given.map((value) => `  ${value.storage.padEnd(9)}  ${value.name}: ${printType(value.type)}`);
  const results = [...graph.results].map(([name, value]) => `  ${name} = ${value.name}`);
  const nodes = graph.nodes.map((node) => `  ${printNode(node, formulaOf)}`);
  return [`graph ${graph.name}`, "given", ...given, "nodes", ...nodes, "results", ...results].join("\n");
}

/** `q.y: f32[tokens 256, out 128] = linear(norm.y, q.weight)  # layers[0].attention.q fprop: y = x · weightᵀ` */
function printNode(node: Node, formulaOf: FormulaOf): string {
  const outputs = node.outputs.map((output) => `${output.name}: ${printType(output.type)}`).join(", ");
  const inputs = node.inputs.map((input) => input.name).join(", ");
  const again = node.isRecomputed ? " again" : "";
  const formula = formulaOf(node);
  const meaning = formula === "" ? "" : `: ${formula}`;
  return `${outputs} = ${node.op}(${inputs})  # ${node.path} ${node.direction}${again}${meaning}`;
}

/** `x[tokens 256, width 128], weight[out 128, in 128] -> y[tokens 256, out 128]`: shapes without names of values. */
export function printShapes(node: Node): string {
  const list = (values: readonly Value[]) => values.map((value) => printType(value.type)).join(", ");
  return `${list(node.inputs)} -> ${list(node.outputs)}`;
}
