// Compiles graphs for a target and opens them on a device: what conformance tests of ops share.

import { assemble } from "../../compiler/emit/assemble.ts";
import { kernelTexts, renderKernels } from "../../compiler/emit/kernel-files.ts";
import { targetManifest } from "../../compiler/emit/manifest.ts";
import type { Graph } from "../../compiler/graph/graph.ts";
import { elementCount, type TensorType } from "../../compiler/graph/types.ts";
import type { MatmulTile } from "../../compiler/kernels/planner.ts";
import { planTarget } from "../../compiler/kernels/program.ts";
import type { Target } from "../../compiler/kernels/target.ts";
import { wasm } from "../../compiler/kernels/wasm/index.ts";
import type { Manifest } from "../../runtime/contract.ts";
import type { Device } from "../../runtime/device.ts";
import { openWasm } from "../../runtime/devices/wasm.ts";
import { openOnSoftwareGpu } from "../devices/software-gpu.ts";

interface PlanOptions {
  readonly target?: Target;
  /** Every value keeps its place to the end, so that it can be read. */
  readonly keepsAll?: boolean;
  readonly tile?: MatmulTile;
  /** Kernels as they are for adapters that have no more than they must. */
  readonly isPlain?: boolean;
}

/** The target with as little bound of a tensor at once as pieces can be: the cases have no tensor of 128 MiB. */
export const inPieces = (target: Target): Target => ({ ...target, bindingBytes: 4096 });

export async function manifestOf(
  graphs: readonly Graph[],
  { target = wasm, keepsAll = false, tile = target.defaultTile }: PlanOptions = {},
): Promise<{ manifest: Manifest; module: Uint8Array; texts: ReadonlyMap<string, string> }> {
  const plan = planTarget({
    target,
    graphs,
    updates: new Set(),
    tileOf: () => ({ tile, key: undefined }),
    keepsAll,
  });
  const kernels = renderKernels(plan, "case");
  const module = target === wasm ? await assemble(kernels.files) : new Uint8Array();
  const manifest: Manifest = {
    ...targetManifest(plan, kernels),
    name: "case",
    model: { vocab: 1, context: 1, width: 1, layers: 0, tieEmbeddings: false },
    serving: { sequences: 1, tokens: 1, pages: 1, page: 1, rowTile: 64 },
    parameters: [],
  };
  return { manifest, module, texts: new Map(kernelTexts(kernels.files).map(({ file, text }) => [file, text])) };
}

export async function openGraphs(graphs: readonly Graph[], threads = 2, options: PlanOptions = {}): Promise<Device> {
  const { manifest: made, module, texts } = await manifestOf(graphs, options);
  const kernels = made.kernels.map(({ variants: _, ...kernel }) => kernel);
  const manifest = options.isPlain === true ? { ...made, kernels } : made;
  return (options.target ?? wasm) === wasm
    ? openWasm(manifest, module, { threads })
    : openOnSoftwareGpu(manifest, texts);
}

export function writeTensor(device: Device, name: string, type: TensorType, data: ArrayLike<number>): void {
  device.write(name, type.dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data));
}

/** How far a computed value is outside its tolerance: 2 · bound + the smallest normal number; negative: inside. */
export function excess(got: number, expected: number, bound: number): number {
  if (Number.isNaN(expected)) return Number.isNaN(got) ? -1 : Number.POSITIVE_INFINITY;
  if (got === expected) return -1;
  const difference = Math.abs(got - expected);
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference - (2 * bound + 1.1754943508222875e-38);
}

export { elementCount };
