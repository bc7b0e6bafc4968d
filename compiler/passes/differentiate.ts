// Reverse-mode differentiation of a graph: appends the backward nodes and accumulates the parameters' gradients.

import { type Graph, GraphBuilder, type Node, type Value } from "../graph/graph.ts";
import { tensor } from "../graph/types.ts";
import { accumulate } from "../ops/accumulate.ts";
import { add } from "../ops/add.ts";
import { spread } from "../ops/balance.ts";
import { type Emitter, placeOf } from "../ops/contract.ts";
import { emitterFor, opOf } from "../ops/index.ts";
import { invariant } from "../source/diagnostic.ts";

export interface DifferentiateRequest {
  /** The graph's name afterwards. */
  readonly name: string;
  /** Results of the graph that are differentiated, each with the name of the scalar that seeds all of its elements. */
  readonly seeds: ReadonlyMap<string, string>;
  /** The persistent gradient of a parameter. */
  readonly gradientName: (parameter: string) => string;
}

/** The graph with its gradients: every parameter's is accumulated into storage `gradient`, in the backward order. */
export function differentiate(graph: Graph, request: DifferentiateRequest): Graph {
  const seeded = new Map<Value, string>();
  for (const [result, seed] of request.seeds) {
    const value = graph.results.get(result);
    invariant(value !== undefined, `graph ${graph.name} has no result ${result}`);
    seeded.set(value, seed);
  }
  const joint = new Set(graph.nodes.filter((node) => isJoint(node) && node.outputs.some((o) => seeded.has(o))));
  const builder = GraphBuilder.from({ ...graph, name: request.name }, joint);
  const differentiation = new Differentiation(graph, builder, request);
  for (const node of joint) differentiation.emitJoint(node, seeded);
  for (const [value, seed] of seeded) {
    if (value.producer !== undefined && !joint.has(value.producer.node)) differentiation.emitSeed(value, seed);
  }
  for (const node of [...graph.nodes].reverse()) if (!joint.has(node)) differentiation.emitBackward(node);
  return builder.build(
    new Map([...graph.results].map(([name, value]) => [name, differentiation.replacementOf(value)])),
  );
}

const isJoint = (node: Node): boolean => opOf(node).gradient.kind === "joint";

class Differentiation {
  readonly #emitter: Emitter;
  readonly #request: DifferentiateRequest;
  readonly #adjoints = new Map<Value, Value[]>();
  readonly #replacements = new Map<Value, Value>();
  /** Values that a parameter reaches: only they need an adjoint. */
  readonly #active = new Set<Value>();
  /** The newest state of each parameter's gradient. */
  readonly #gradients = new Map<Value, Value>();

  constructor(graph: Graph, builder: GraphBuilder, request: DifferentiateRequest) {
    this.#emitter = emitterFor(builder);
    this.#request = request;
    for (const value of graph.given) if (value.storage === "parameter") this.#active.add(value);
    for (const node of graph.nodes) {
      if (opOf(node).gradient.kind === "stop" || !node.inputs.some((input) => this.#active.has(input))) continue;
      for (const output of node.outputs) this.#active.add(output);
    }
  }

  replacementOf(value: Value): Value {
    return this.#replacements.get(value) ?? value;
  }

  emitJoint(node: Node, seeded: ReadonlyMap<Value, string>): void {
    const { gradient } = opOf(node);
    invariant(gradient.kind === "joint", "node has no joint gradient", node.path);
    const dOutputs = node.outputs.map((output) => {
      const seed = seeded.get(output);
      return seed === undefined ? undefined : this.#emitter.builder.give(seed, tensor("f32"), "step");
    });
    const { outputs, dInputs } = gradient.build({ node, dOutputs, wanted: this.#wanted(node), emitter: this.#emitter });
    node.outputs.forEach((output, i) => {
      this.#replacements.set(output, outputs[i]);
    });
    this.#distribute(node, dInputs);
  }

  /** A loss of a node whose gradient is a node of its own. */
  emitSeed(value: Value, seed: string): void {
    invariant(value.producer !== undefined, `${value.name} is computed by nothing`);
    const scalar = this.#emitter.builder.give(seed, tensor("f32"), "step");
    const place = placeOf(value.producer.node, "dgrad");
    this.#adjoints.set(value, [...this.#emitter.emit(spread, [scalar], { type: value.type }, place)]);
  }

  emitBackward(node: Node): void {
    const wanted = this.#wanted(node);
    const dOutputs = node.outputs.map((output) => this.#adjointOf(output));
    if (!wanted.includes(true) || dOutputs.every((d) => d === undefined)) return;
    const { gradient } = opOf(node);
    invariant(
      gradient.kind !== "none",
      `${node.op} has no gradient: ${gradient.kind === "none" ? gradient.reason : ""}`,
      node.path,
    );
    invariant(gradient.kind === "separate", `${node.op} needs its seed before the forward pass`, node.path);
    this.#distribute(node, gradient.build({ node, dOutputs, wanted, emitter: this.#emitter }));
  }

  #wanted(node: Node): boolean[] {
    return node.inputs.map((input) => this.#active.has(input));
  }

  #distribute(node: Node, dInputs: readonly (Value | undefined)[]): void {
    node.inputs.forEach((input, i) => {
      const d = dInputs[i];
      if (d === undefined) return;
      if (input.storage === "parameter") {
        this.#accumulate(input, d);
        return;
      }
      const list = this.#adjoints.get(input);
      if (list === undefined) this.#adjoints.set(input, [d]);
      else list.push(d);
    });
  }

  /** The sum of a value's contributions, added in the order in which they arose. */
  #adjointOf(value: Value): Value | undefined {
    const contributions = this.#adjoints.get(value);
    if (contributions === undefined || value.producer === undefined) return undefined;
    const place = placeOf(value.producer.node, "dgrad");
    return contributions.reduce((sum, d) => this.#emitter.emit(add, [sum, d], null, place)[0]);
  }

  /** Contributions to a parameter are accumulated as they arise: the first of a step overwrites, the others add. */
  #accumulate(parameter: Value, d: Value): void {
    const { builder } = this.#emitter;
    const known = this.#gradients.get(parameter);
    const flag = known === undefined ? "step.first" : "step.never";
    const state = known ?? builder.give(this.#request.gradientName(parameter.name), parameter.type, "gradient");
    invariant(d.producer !== undefined, `gradient of ${parameter.name} has no producer`);
    const inputs = [state, d, builder.give(flag, tensor("f32"), "step")];
    const [sum] = this.#emitter.emit(accumulate, inputs, null, placeOf(d.producer.node, "wgrad"));
    this.#gradients.set(parameter, sum);
  }
}
