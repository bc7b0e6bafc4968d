// A whole model compiled so that every tensor of a run can be read, and its nodes held one by one to their meaning on
// what the device actually gave them.

import { buildPrograms, countsOf, type Programs } from "../../compiler/compile.ts";
import { assemble } from "../../compiler/emit/assemble.ts";
import { kernelTexts, renderKernels } from "../../compiler/emit/kernel-files.ts";
import { targetManifest } from "../../compiler/emit/manifest.ts";
import { modelManifest } from "../../compiler/emit/model-manifest.ts";
import type { Graph, Node, Value } from "../../compiler/graph/graph.ts";
import { planTarget } from "../../compiler/kernels/program.ts";
import type { Target } from "../../compiler/kernels/target.ts";
import { tileChooser } from "../../compiler/kernels/tile.ts";
import { wasm } from "../../compiler/kernels/wasm/index.ts";
import type { Tensor } from "../../compiler/ops/contract.ts";
import { opOf } from "../../compiler/ops/index.ts";
import { storedOutputs } from "../../compiler/ops/stored.ts";
import { fuse } from "../../compiler/passes/fuse.ts";
import type { Spec } from "../../compiler/spec/spec.ts";
import { ropeTable } from "../../runtime/constants.ts";
import type { Manifest } from "../../runtime/contract.ts";
import type { Counts, Device } from "../../runtime/device.ts";
import { openWasm } from "../../runtime/devices/wasm.ts";
import { openOnSoftwareGpu } from "../devices/software-gpu.ts";
import { specOf } from "../language/spec-text.ts";
import { excess } from "../ops/on-device.ts";

export interface WholeModel {
  readonly programs: Programs;
  /** After fuse, by name: what the device runs. */
  readonly fused: ReadonlyMap<string, Graph>;
  readonly manifest: Manifest;
  readonly device: Device;
}

export const openWholeModel = (
  text: string,
  overrides: readonly string[] = [],
  target: Target = wasm,
): Promise<WholeModel> => openWholeSpec(specOf(text, overrides), target);

export async function openWholeSpec(spec: Spec, target: Target = wasm): Promise<WholeModel> {
  const programs = buildPrograms(spec);
  const fused = programs.graphs.map(fuse);
  const tileOf = tileChooser(spec.tiles, countsOf(spec), target);
  const plan = planTarget({ target, graphs: fused, updates: new Set(["update"]), tileOf, keepsAll: true });
  const kernels = renderKernels(plan, spec.name);
  const manifest: Manifest = {
    ...targetManifest(plan, kernels),
    ...modelManifest(spec, programs.model, countsOf(spec)),
  };
  const device =
    target === wasm
      ? await openWasm(manifest, await assemble(kernels.files), { threads: 2 })
      : await openOnSoftwareGpu(manifest, new Map(kernelTexts(kernels.files).map(({ file, text }) => [file, text])));
  for (const { tensor: name, rule } of manifest.constants) {
    const tensor = manifest.tensors.find((candidate) => candidate.name === name);
    if (tensor !== undefined) device.write(name, ropeTable(rule, tensor));
  }
  return { programs, fused: new Map(fused.map((graph) => [graph.name, graph])), manifest, device };
}

/** A value of a node that is outside its tolerance. */
export interface Outlier {
  readonly node: string;
  readonly value: string;
  readonly index: number;
  readonly got: number;
  readonly expected: number;
  readonly bound: number;
}

export interface NodeComparison {
  readonly outliers: readonly Outlier[];
  /** Elements that were compared. */
  readonly compared: number;
  /** By the name of what is updated in place: bounds of the new contents, element by element, summed over its nodes. */
  readonly stateBounds: ReadonlyMap<string, Float64Array>;
}

/** Runs a program and compares every output of every node with the op's reference on the node's actual inputs. */
export async function runAndCompare(
  { device, fused }: WholeModel,
  program: string,
  counts: Counts = {},
): Promise<NodeComparison> {
  const graph = fused.get(program);
  if (graph === undefined) throw new Error(`no program ${program}`);
  const known = new Map<Value, Float64Array>();
  for (const value of graph.given) known.set(value, Float64Array.from(await device.read(value.name)));
  const roots = rootsOf(graph);
  const states = new Set(roots.values());
  // What a node leaves in a state may be overwritten by a later node: it is read when the node's launches are done.
  const left = new Map<string, Float64Array>();
  await device.runStepwise(program, counts, async ({ path, operands }) => {
    for (const name of operands.filter((operand) => states.has(operand))) {
      left.set(`${path} ${name}`, Float64Array.from(await device.read(name)));
    }
  });
  const outliers: Outlier[] = [];
  const stateBounds = new Map<string, Float64Array>();
  let compared = 0;
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((value): Tensor => ({ type: value.type, data: dataOf(known, value) }));
    const stored = storedOutputs(inputs, node);
    for (const [i, output] of node.outputs.entries()) {
      const root = roots.get(output);
      const got =
        root === undefined
          ? Float64Array.from(await device.read(output.name, { program }))
          : left.get(`${node.path} ${root}`);
      if (got === undefined) throw new Error(`no launch of ${node.path} left ${root}`);
      known.set(output, got);
      const { values: expected, bounds } = stored[i];
      compared += got.length;
      got.forEach((value, index) => {
        if (excess(value, expected[index], bounds[index]) <= 0) return;
        const where = { node: `${node.path} ${node.op}`, value: output.name, index };
        outliers.push({ ...where, got: value, expected: expected[index], bound: bounds[index] });
      });
      if (root !== undefined) addTo(stateBounds, root, bounds);
    }
  }
  return { outliers, compared, stateBounds };
}

/** The persistent tensor behind every value that is one's new contents. */
function rootsOf(graph: Graph): Map<Value, string> {
  const roots = new Map<Value, string>();
  const rootOf = (value: Value): string => roots.get(value) ?? value.name;
  for (const node of graph.nodes) {
    for (const [output, input] of opOf(node as Node).inPlace)
      roots.set(node.outputs[output], rootOf(node.inputs[input]));
  }
  return roots;
}

function dataOf(known: ReadonlyMap<Value, Float64Array>, value: Value): Float64Array {
  const data = known.get(value);
  if (data === undefined) throw new Error(`${value.name} is read before it is computed`);
  return data;
}

function addTo(sums: Map<string, Float64Array>, name: string, values: Float64Array): void {
  const sum = sums.get(name) ?? new Float64Array(values.length);
  values.forEach((value, i) => {
    sum[i] += value;
  });
  sums.set(name, sum);
}

/** Random weights for every parameter, with gains around one. */
export function randomWeights(programs: Programs, random: () => number): Map<string, Float64Array> {
  return new Map(
    programs.model.parameters.map(({ name, dims, place }) => {
      const length = dims.reduce((count, d) => count * d.size, 1);
      const make = place.classes.includes("norm") ? () => 1 + 0.3 * random() : () => 0.5 * random();
      return [name, Float64Array.from({ length }, () => Math.fround(make()))];
    }),
  );
}
