// Runs a graph with the ops' reference functions, rounding to each dtype: the meaning of a spec. Written apart from
// every code generator; kernels are compared with it.

import type { ConstantRule, Graph, Node, Value } from "./graph/graph.ts";
import { rounders } from "./graph/rounding.ts";
import { elementCount, type TensorType } from "./graph/types.ts";
import type { Tensor } from "./ops/contract.ts";
import { opOf } from "./ops/index.ts";
import { invariant } from "./source/diagnostic.ts";

export interface OracleOptions {
  /** Round every value to its dtype, as a device stores it; false: exact, for gradient checks. */
  readonly rounds: boolean;
  /** Called after each node, with everything computed so far. */
  readonly observe?: (node: Node, dataOf: (value: Value) => Float64Array) => void;
}

/** Holds the persistent tensors of a model by name, in f64, and runs graphs on them. */
export class Oracle {
  readonly #options: OracleOptions;
  readonly store = new Map<string, Float64Array>();

  constructor(options: OracleOptions) {
    this.#options = options;
  }

  /** Sets a given value of any storage. */
  set(name: string, data: ArrayLike<number>): void {
    this.store.set(name, Float64Array.from(data));
  }

  get(name: string): Float64Array {
    const data = this.store.get(name);
    invariant(data !== undefined, `the oracle holds no tensor ${name}`);
    return data;
  }

  /** Runs all nodes; afterwards the store holds the new contents of what was updated in place. Missing state starts as 0. */
  run(graph: Graph): ReadonlyMap<string, Float64Array> {
    const values = new Map<Value, Float64Array>();
    const roots = new Map<Value, string>();
    for (const value of graph.given) {
      values.set(value, this.#given(value));
      roots.set(value, value.name);
    }
    const dataOf = (value: Value): Float64Array => {
      const data = values.get(value);
      invariant(data !== undefined, `value ${value.name} was not computed`);
      return data;
    };
    for (const node of graph.nodes) {
      const op = opOf(node);
      const inputs = node.inputs.map((value): Tensor => ({ type: value.type, data: dataOf(value) }));
      op.reference(inputs, node).forEach((data, i) => {
        values.set(node.outputs[i], this.#rounded(data, node.outputs[i].type));
      });
      for (const [output, input] of op.inPlace) {
        const root = roots.get(node.inputs[input]);
        invariant(root !== undefined, `${node.inputs[input].name} is updated in place but nothing holds it`, node.path);
        roots.set(node.outputs[output], root);
        this.store.set(root, dataOf(node.outputs[output]));
      }
      this.#options.observe?.(node, dataOf);
    }
    return new Map([...graph.results].map(([name, value]) => [name, dataOf(value)]));
  }

  #given(value: Value): Float64Array {
    const known = this.store.get(value.name);
    if (known !== undefined) {
      const expected = elementCount(value.type);
      invariant(known.length === expected, `${value.name} needs ${expected} elements, got ${known.length}`);
      return known;
    }
    const data =
      value.rule === undefined ? new Float64Array(elementCount(value.type)) : ropeTable(value.rule, value.type);
    const rounded = this.#rounded(data, value.type);
    this.store.set(value.name, rounded);
    return rounded;
  }

  #rounded(data: Float64Array, type: TensorType): Float64Array {
    return this.#options.rounds ? data.map(rounders[type.dtype]) : data;
  }
}

/**
 * Cosines or sines of position · frequency: [positions, rotaryDim / 2].
 *
 * Source: arXiv:2104.09864; scaling of Llama 3.1 and YaRN: Hugging Face transformers, modeling_rope_utils, rope types llama3
 * and yarn.
 */
function ropeTable(rule: ConstantRule, type: TensorType): Float64Array {
  const [positions, half] = type.dims.map((d) => d.size);
  const table = new Float64Array(positions * half);
  const turn = rule.kind === "rope_cos" ? Math.cos : Math.sin;
  for (let i = 0; i < half; i++) {
    const plain = rule.theta ** ((-2 * i) / rule.rotaryDim);
    const frequency = rule.yarn === undefined ? scaledFrequency(rule, plain) : yarnFrequency(rule, i, plain);
    for (let position = 0; position < positions; position++) {
      table[position * half + i] = turn(position * frequency) * (rule.yarn?.tableScale ?? 1);
    }
  }
  return table;
}

/** Long waves are slowed by `factor`, short ones kept, those between blended linearly in their number of turns. */
function scaledFrequency({ llama3 }: ConstantRule, frequency: number): number {
  if (llama3 === undefined) return frequency;
  const { factor, lowFreqFactor, highFreqFactor, original } = llama3;
  const turns = (original * frequency) / (2 * Math.PI);
  if (turns < lowFreqFactor) return frequency / factor;
  if (turns > highFreqFactor) return frequency;
  const blend = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return (1 - blend) * (frequency / factor) + blend * frequency;
}

/** Interpolation of positions for slow pairs, none for fast ones: YaRN's blend by parts, arXiv:2309.00071, section 3.2. */
function yarnFrequency({ theta, rotaryDim, yarn }: ConstantRule, pair: number, extrapolated: number): number {
  invariant(yarn !== undefined, "the rule has no yarn");
  const { factor, original, betaFast, betaSlow, truncate } = yarn;
  const interpolated = extrapolated / factor;
  const correction = (rotations: number): number =>
    (rotaryDim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  let [low, high] = [correction(betaFast), correction(betaSlow)];
  if (truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  [low, high] = [Math.max(low, 0), Math.min(high, rotaryDim - 1)];
  if (low === high) high += 0.001;
  const mix = Math.max(0, Math.min(1, (pair - low) / (high - low)));
  return interpolated * mix + extrapolated * (1 - mix);
}
