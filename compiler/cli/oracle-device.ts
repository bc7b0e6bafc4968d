// The oracle as a device of the runtime: a model in double precision, every value rounded to its format, by the ops'
// references instead of kernels. Slow; what it computes is what the spec means.

import { memorySource } from "../../runtime/build-source.ts";
import type { Manifest } from "../../runtime/contract.ts";
import type { Counts, Device, ReadOptions, WantedTensor } from "../../runtime/device.ts";
import { Model } from "../../runtime/model.ts";
import { nodeHost } from "../../runtime/node-host.ts";
import { compile } from "../compile.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { elementCount, type LiveCount, widthOf } from "../graph/types.ts";
import type { ModelOptions } from "../model/model.ts";
import { Oracle } from "../oracle.ts";
import { invariant } from "../source/diagnostic.ts";
import type { Spec } from "../spec/spec.ts";

/** A model of a spec that runs on the oracle; it has no weights yet. */
export function openOnOracle(spec: Spec, options: ModelOptions): Model {
  const { manifest, programs } = compile(spec, undefined, options);
  // Results of graphs before fusion, which the oracle runs, may be called otherwise than those that kernels write.
  const results = new Map(programs.graphs.map((graph) => [graph.name, graph.results]));
  const named = manifest.programs.map((program) => ({
    ...program,
    results: Object.fromEntries([...(results.get(program.name) ?? [])].map(([name, value]) => [name, value.name])),
  }));
  const device = new OracleDevice({ ...manifest, programs: named }, programs.graphs);
  const source = memorySource(new Map());
  return new Model({
    manifest: device.manifest,
    device,
    source,
    host: nodeHost,
    tokenizer: undefined,
    tokenizerJson: undefined,
  });
}

class OracleDevice implements Device {
  readonly name = "wasm";
  readonly isQueued = false;
  readonly description = "the oracle, double precision";
  readonly memoryBytes = 0;
  readonly manifest: Manifest;
  readonly #graphs: ReadonlyMap<string, Graph>;
  readonly #oracle = new Oracle({ rounds: true });
  /** What the host wrote of a program's inputs, which differ in size from program to program. */
  readonly #inputs = new Map<string, Float64Array>();
  /** Results of the last run of each program, by the name of their value. */
  readonly #results = new Map<string, ReadonlyMap<string, Float64Array>>();

  constructor(manifest: Manifest, graphs: readonly Graph[]) {
    this.manifest = manifest;
    this.#graphs = new Map(graphs.map((graph) => [graph.name, graph]));
    for (const value of graphs.flatMap(({ given }) => given)) {
      if (value.storage !== "input" || (this.#inputs.get(value.name)?.length ?? 0) >= elementCount(value.type))
        continue;
      this.#inputs.set(value.name, new Float64Array(elementCount(value.type)));
    }
  }

  write(name: string, data: Float32Array | Int32Array, first = 0): void {
    const tensor = this.manifest.tensors.find((candidate) => candidate.name === name);
    invariant(tensor !== undefined, `the oracle has no tensor ${name}`);
    const width = tensor.dims.length < 2 ? 1 : (tensor.dims.at(-1)?.size ?? 1);
    const known = this.#inputs.get(name) ?? this.#oracle.store.get(name);
    const size = tensor.dims.reduce((count, dim) => count * dim.size, 1);
    const values = known ?? new Float64Array(size);
    values.set(data, first * width);
    if (!this.#inputs.has(name)) this.#oracle.store.set(name, values);
  }

  async run(program: string, counts: Counts = {}): Promise<void> {
    const graph = this.#graphs.get(program);
    // Copies of weights in another layout are no program of the oracle.
    if (graph === undefined) return;
    for (const value of graph.given)
      if (value.storage === "input") this.#oracle.set(value.name, this.#inputOf(value, counts));
    const results = this.#oracle.run(graph);
    this.#results.set(
      program,
      new Map([...graph.results].map(([name, value]) => [value.name, results.get(name) ?? new Float64Array()])),
    );
  }

  /**
   * An input with as much of it in use as the host says. Rows beyond that are nobody's: an index of -1 reads zeros and
   * stores nothing, and a row tile of 0 rows is none.
   */
  #inputOf({ name, type }: Value, counts: Counts): Float64Array {
    const all = (this.#inputs.get(name) ?? new Float64Array()).slice(0, elementCount(type));
    const [rows] = type.dims;
    if (rows?.live === undefined) return all;
    const width = type.dims.length < 2 ? 1 : widthOf(type);
    const used = liveCount(rows.live, counts) * width;
    return all.fill(type.dims.length < 2 ? -1 : 0, Math.min(used, all.length));
  }

  async runAndRead(program: string, counts: Counts, wanted: readonly WantedTensor[]): Promise<Float32Array[]> {
    await this.run(program, counts);
    return Promise.all(wanted.map((each) => this.read(each.tensor, { program, ...each })));
  }

  async runStepwise(): Promise<void> {
    throw new RangeError("the oracle runs no launches");
  }

  async read(name: string, { program, first = 0, count }: ReadOptions = {}): Promise<Float32Array> {
    const result = program === undefined ? undefined : this.#results.get(program)?.get(name);
    const data = result ?? this.#inputs.get(name) ?? this.#oracle.get(name);
    const tensor = this.manifest.tensors.find((candidate) => candidate.name === name);
    const width = tensor === undefined || tensor.dims.length < 2 ? 1 : (tensor.dims.at(-1)?.size ?? 1);
    return Float32Array.from(data.subarray(first * width, count === undefined ? undefined : first * width + count));
  }

  async close(): Promise<void> {
    this.#oracle.store.clear();
  }
}

function liveCount(live: LiveCount, counts: Counts): number {
  if (typeof live === "number") return live;
  const value = typeof live === "string" ? counts[live] : undefined;
  invariant(value !== undefined, `no count is called ${JSON.stringify(live)}`);
  return value;
}
