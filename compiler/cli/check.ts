// `mspec check`: everything that is wrong with a spec, and whether it fits; writes nothing.

import type { Command } from "commander";
import type { Build } from "../compile.ts";
import { DiagnosticError, InvariantError } from "../source/diagnostic.ts";
import * as say from "../source/messages/device.ts";
import { count } from "../source/messages/train.ts";
import { deviceFit, gpuNeeds } from "./device-fit.ts";
import { modelSize } from "./model-facts.ts";
import { type DeviceFlags, deviceFlag, readSpecOrThrow, type SpecFlags, setFlag, warn } from "./spec-flags.ts";
import { StageTimes } from "./stage-times.ts";
import { targetFor } from "./target-for.ts";

type CheckFlags = SpecFlags & DeviceFlags;

export function addCheckVerb(program: Command): void {
  program
    .command("check")
    .description("report everything that is wrong with a spec, and what it takes")
    .argument("<spec>", "the model spec, a YAML file")
    .addOption(deviceFlag("also refuse what does not fit this device"))
    .addOption(setFlag())
    .action(checkSpec);
}

async function checkSpec(path: string, flags: CheckFlags): Promise<void> {
  const times = new StageTimes();
  const spec = times.measure("read", () => readSpecOrThrow(path, flags));
  const { compile } = await times.measure("load the compiler", () => import("../compile.ts"));
  const target = await targetFor(flags);
  const build = compile(spec, (stage, work) => times.measure(stage, work), {}, target);
  warn(build.programs.warnings);
  await verify(build);
  const memory = target.name === "wasm" ? wasmMemory(build, flags) : gpuMemory(build, flags.device ?? "webgpu");
  process.stdout.write(`${path}: ${summary(build)}\n  ${memory}\n`);
  times.report();
}

function wasmMemory({ manifest }: Build, flags: CheckFlags): string {
  const { device, needed, most, classes } = deviceFit(manifest);
  if (needed <= most) return say.fits(device, needed, most, classes);
  if (flags.device === device) throw new DiagnosticError([say.doesNotFit(device, needed, most, classes)]);
  return say.noteDoesNotFit(device, needed, most);
}

/** Which adapter a model meets is known when it is opened: here is what it will ask of one. */
function gpuMemory({ plan, manifest }: Build, device: string): string {
  const { pieceBytes, bindingBytes } = plan.target;
  const needs = gpuNeeds(plan);
  return say.asksOfGpu(device, needs, { buffer: pieceBytes, binding: bindingBytes }, Object.entries(manifest.arenas));
}

/** The invariants of the graphs after every pass: one that does not hold is mspec's fault. */
async function verify({ programs }: Build): Promise<void> {
  const { verifyStages } = await import("../ops/verify-stages.ts");
  const problems = verifyStages(programs.stages);
  if (problems.length > 0) throw new InvariantError(problems.join("\n"));
}

function summary({ spec, manifest, kernels }: Build): string {
  const { parameters, mtp } = modelSize(spec.model, manifest.parameters);
  const apart = mtp === undefined ? "" : ` and ${count(mtp.parameters)} of mtp`;
  return `no errors; ${count(parameters)} parameters${apart}, ${manifest.programs.length} programs, ${kernels.length} kernels`;
}
