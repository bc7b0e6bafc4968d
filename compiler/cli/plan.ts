// `mspec plan`: what a model of a spec takes: parameters, work per token, cache, memory, and which devices hold it.

import { type Command, Option } from "commander";
import { DiagnosticError } from "../source/diagnostic.ts";
import * as say from "../source/messages/plan.ts";
import type { Spec } from "../spec/spec.ts";
import { wholeFlag } from "./number-flags.ts";
import { planDevices } from "./plan-devices.ts";
import { outFlag, readSpecOrThrow, type SpecFlags, setFlag, warn } from "./spec-flags.ts";
import { StageTimes } from "./stage-times.ts";

interface PlanFlags extends SpecFlags {
  readonly context?: number;
  readonly device?: string;
  readonly out?: string;
}

export function addPlanVerb(program: Command): void {
  program
    .command("plan")
    .description("say what a model takes: parameters, work per token, cache, memory and devices")
    .argument("<spec>", "the model spec, a YAML file")
    .addOption(wholeFlag("context", "tokens of the sequences that are served (default: model.context)", 1))
    .addOption(
      // MSPEC_DEVICE names what runs a model; here devices have their makers' names.
      new Option("--device <name>", "only this device, with the whole arithmetic").choices(
        planDevices.map(({ name }) => name),
      ),
    )
    .addOption(outFlag("a file instead of the standard output"))
    .addOption(setFlag())
    .action(planSpec);
}

async function planSpec(path: string, flags: PlanFlags): Promise<void> {
  const times = new StageTimes();
  const spec = times.measure("read", () => readSpecOrThrow(path, flags));
  const most = spec.model.context;
  const context = flags.context ?? most;
  if (context > most) throw new DiagnosticError([say.contextTooLong(context, most)]);
  const { planFacts } = await times.measure("load the plan", () => import("./plan-facts.ts"));
  const facts = times.measure("facts", () => planFacts(spec, context));
  const isSmall = facts.trainingMemory.weights <= wasmBytes;
  const wasm = isSmall ? await times.measure("compile for wasm", () => wasmPlan(spec)) : undefined;
  const devices = planDevices.filter(({ name }) => flags.device === undefined || flags.device === name);
  const { planText } = await import("./plan-text.ts");
  const { writeText } = await import("./write-text.ts");
  writeText(`${planText({ spec, facts, devices, wasm })}\n`, flags.out);
  times.report();
}

/** A model whose weights alone are larger runs on no wasm device: its kernels and their memory are not worth planning. */
const wasmBytes = 2 ** 32;

async function wasmPlan(spec: Spec): Promise<{ activations: number; fit: string }> {
  const { compile } = await import("../compile.ts");
  const { deviceFit } = await import("./device-fit.ts");
  const { fits, noteDoesNotFit } = await import("../source/messages/device.ts");
  const build = compile(spec);
  warn(build.programs.warnings);
  const { device, needed, most, classes } = deviceFit(build.manifest);
  return {
    activations: build.manifest.arenas.activations ?? 0,
    fit: needed > most ? noteDoesNotFit(device, needed, most) : fits(device, needed, most, classes),
  };
}
