// Folds additions and gradient accumulation into the node that computes what is added: one pass over memory less each.
// Reads facts of ops (absorb, absorbable), never their names; what is folded computes the same named values.

import { type Graph, type Node, readersOf, type Value } from "../graph/graph.ts";
import { GraphCopy, withoutDeadNodes } from "../graph/rewrite.ts";
import { emitterFor, opOf } from "../ops/index.ts";

/** `neighbour` disappears: `node` computes its output from then on. */
interface Match {
  readonly node: Node;
  readonly output: number;
  readonly neighbour: Node;
}

/** The graph with neighbours folded in where an op's kernel can do both. */
export function fuse(graph: Graph): Graph {
  const matches = findMatches(graph);
  const copy = new GraphCopy(graph);
  const folded = new Set<Node>();
  for (const node of graph.nodes) {
    if (folded.has(node)) continue;
    const match = matches.get(node);
    if (match === undefined || !isReady(match, copy)) {
      copy.copy(node);
      continue;
    }
    const outputs = emitFused(match, copy);
    node.outputs.forEach((output, i) => {
      copy.replace(output, outputs[i]);
    });
    copy.replace(match.neighbour.outputs[0], outputs[match.output]);
    folded.add(match.neighbour);
  }
  return withoutDeadNodes(copy.build(), (node) => node.outputs.some((output) => output.storage !== "intermediate"));
}

function findMatches(graph: Graph): Map<Node, Match> {
  const readers = readersOf(graph.nodes);
  const results = new Set(graph.results.values());
  const matches = new Map<Node, Match>();
  const taken = new Set<Node>();
  const isPrivate = (value: Value) => (readers.get(value)?.length ?? 0) === 1 && !results.has(value);
  for (const neighbour of graph.nodes) {
    const kind = opOf(neighbour).absorbable;
    if (kind === undefined || taken.has(neighbour)) continue;
    const candidates = kind === "add" ? neighbour.inputs.slice(0, 2) : [neighbour.inputs[1]];
    // The producer that comes last: what the others make is there by then.
    const ordered = candidates
      .filter(isPrivate)
      .sort((a, b) => (b.producer?.node.id ?? -1) - (a.producer?.node.id ?? -1));
    for (const { producer } of ordered) {
      if (producer === undefined || matches.has(producer.node)) continue;
      const { add, accumulate } = opOf(producer.node).absorb(producer.node);
      const fits = kind === "add" ? add?.outputs.includes(producer.output) : accumulate?.output === producer.output;
      if (!fits) continue;
      matches.set(producer.node, { node: producer.node, output: producer.output, neighbour });
      taken.add(neighbour);
      break;
    }
  }
  return matches;
}

/** Whether everything that the neighbour reads besides the node's output has been made. */
function isReady({ node, output, neighbour }: Match, copy: GraphCopy): boolean {
  return neighbour.inputs.every((input) => input === node.outputs[output] || copy.has(input));
}

function emitFused({ node, output, neighbour }: Match, copy: GraphCopy): readonly Value[] {
  // The sum is stored as the neighbour stores it: what was rounded in between is not, any more.
  const dtypes = node.outputs.map(({ type }, i) => (i === output ? neighbour.outputs[0].type : type).dtype);
  const emitter = emitterFor(copy.builder, dtypes);
  const { add, accumulate } = opOf(node).absorb(node);
  const inputs = node.inputs.map((input) => copy.valueOf(input));
  if (opOf(neighbour).absorbable === "add" && add !== undefined) {
    const other = neighbour.inputs[0] === node.outputs[output] ? neighbour.inputs[1] : neighbour.inputs[0];
    return add.build(inputs, output, copy.valueOf(other), emitter);
  }
  if (accumulate === undefined) return copy.copy(node).outputs;
  const [state, , first] = neighbour.inputs;
  return accumulate.build(inputs, copy.valueOf(state), copy.valueOf(first), emitter);
}
