// A plan → the manifest's programs, tensors and kernels.

import type {
  Expression,
  Manifest,
  ManifestLaunch,
  ManifestOperand,
  ManifestProgram,
  ManifestTensor,
  RopeRule,
} from "../../runtime/contract.ts";
import { manifestVersion } from "../../runtime/contract.ts";
import type { Count, Kernel, Launch, Operand, TileCount } from "../kernels/plan.ts";
import type { PlacedTensor } from "../kernels/plan-memory.ts";
import type { Program, TargetPlan } from "../kernels/program.ts";
import type { KernelFiles } from "./kernel-files.ts";

/** The part of a manifest that follows from the plan alone. */
export type TargetManifest = Pick<
  Manifest,
  "version" | "target" | "tensors" | "constants" | "arenas" | "kernels" | "module" | "programs"
>;

export function targetManifest(plan: TargetPlan, kernels: KernelFiles): TargetManifest {
  const persistent = [...plan.persistent.values()];
  return {
    version: manifestVersion,
    target: plan.target.name,
    tensors: persistent.map(tensorEntry),
    constants: persistent.flatMap(({ tensor }) =>
      tensor.rule === undefined ? [] : [{ tensor: tensor.name, rule: tensor.rule as RopeRule }],
    ),
    arenas: Object.fromEntries(plan.arenaBytes),
    kernels: kernels.files.map(({ name, file, sha256, kernel, variants }) => ({
      name,
      file,
      sha256,
      scratch: scratchOf(kernel),
      template: kernel.template,
      ...(variants.length === 0
        ? {}
        : {
            variants: variants.map(({ features, file: own, sha256: hash }) => ({ features, file: own, sha256: hash })),
          }),
    })),
    ...(plan.target.name === "wasm" ? { module: "wasm/kernels.wasm" } : {}),
    programs: plan.programs.map((program) => programEntry(program, kernels)),
  };
}

/** Bytes of a thread's scratch that a kernel uses. */
function scratchOf(kernel: Kernel): number {
  if ("target" in kernel) return 0;
  if ("scratch" in kernel) return kernel.scratch;
  if (kernel.template === "formula") return kernel.plan.stash.length * Math.ceil(kernel.lanes / 4) * 16;
  return 0;
}

const tensorEntry = ({ tensor, arena, offset }: PlacedTensor): ManifestTensor => ({
  name: tensor.name,
  dtype: tensor.type.dtype,
  dims: tensor.type.dims.map(({ name, size }) => ({ name, size })),
  layout: tensor.layout,
  arena,
  offset,
});

function programEntry(program: Program, kernels: KernelFiles): ManifestProgram {
  return {
    name: program.name,
    waves: program.waves.map((wave) => wave.map((launch) => launchEntry(launch, kernels))),
    tensors: program.transient.map(tensorEntry),
    inputs: program.inputs.map((tensor) => tensor.name),
    results: Object.fromEntries([...program.results].map(([name, tensor]) => [name, tensor.name])),
  };
}

const launchEntry = (launch: Launch, kernels: KernelFiles): ManifestLaunch => ({
  kernel: kernels.indexOf(launch.kernel),
  operands: launch.operands.map(operandEntry),
  tiles: tilesEntry(launch.tiles),
  path: launch.use.path,
  flops: launch.flops,
});

function operandEntry(operand: Operand): ManifestOperand {
  switch (operand.kind) {
    case "none":
      return null;
    case "count":
      return { count: countEntry(operand.count) };
    case "scalars":
      return { tensor: "scalars" };
    case "scalar":
      return { scalar: operand.tensor.name };
    case "tensor":
      return {
        tensor: operand.tensor.name,
        ...(operand.offset === 0 ? {} : { offset: operand.offset }),
        ...(operand.bytes === undefined ? {} : { bytes: operand.bytes }),
      };
  }
}

const countEntry = (count: Count): Expression => (count.kind === "fixed" ? count.value : count.live);

/** ceil(count / per) of every factor, with what is fixed computed here. */
function tilesEntry(tiles: TileCount): Expression {
  let fixedFactor = 1;
  let expression: Expression | undefined;
  for (const { count, times = 1, per } of tiles) {
    if (count.kind === "fixed") fixedFactor *= Math.ceil((count.value * times) / per);
    else {
      const whole: Expression = times === 1 ? count.live : ["*", count.live, times];
      const factor: Expression = per === 1 ? whole : ["ceil_div", whole, per];
      expression = expression === undefined ? factor : ["*", expression, factor];
    }
  }
  if (expression === undefined) return fixedFactor;
  return fixedFactor === 1 ? expression : ["*", expression, fixedFactor];
}
