// `mspec dump --after <pass>`: the graphs of a model after a pass, or its plan, as text.

import { type Command, Option } from "commander";
import type { Build } from "../compile.ts";
import { type DeviceFlags, deviceFlag, outFlag, readSpecOrThrow, type SpecFlags, setFlag, warn } from "./spec-flags.ts";
import { targetFor } from "./target-for.ts";

/** In the order in which they run. */
const graphStages = [
  "model",
  "differentiate",
  "accumulate-loss",
  "assign-precision",
  "choose-recompute",
  "fuse",
] as const;
const planStages = ["schedule", "plan-memory"] as const;
export const dumpStages = [...graphStages, ...planStages] as const;

type Stage = (typeof dumpStages)[number];

interface DumpFlags extends SpecFlags, DeviceFlags {
  readonly after: Stage;
  readonly out?: string;
}

export function addDumpVerb(program: Command): void {
  program
    .command("dump")
    .description("print what a pass makes of a model, or (unchanged)")
    .argument("<spec>", "the model spec, a YAML file")
    .addOption(new Option("--after <pass>", "the pass").choices(dumpStages).makeOptionMandatory())
    .addOption(outFlag("a file instead of the standard output"))
    .addOption(deviceFlag("the device to compile for"))
    .addOption(setFlag())
    .action(async (path: string, flags: DumpFlags) => {
      const spec = readSpecOrThrow(path, flags);
      const { compile } = await import("../compile.ts");
      const build = compile(spec, undefined, {}, await targetFor(flags));
      warn(build.programs.warnings);
      const { writeText } = await import("./write-text.ts");
      writeText(`${await dumpText(build, flags.after)}\n`, flags.out);
    });
}

/** The text after a stage; `(unchanged)` if the stage before it has the same. */
export async function dumpText(build: Build, stage: Stage): Promise<string> {
  const { printMemory, printSchedule } = await import("./print-plan.ts");
  if (stage === "schedule") return printSchedule(build.plan);
  if (stage === "plan-memory") return printMemory(build.plan);
  const text = await graphsText(build, stage);
  const before = graphStages[graphStages.indexOf(stage) - 1];
  return before !== undefined && (await graphsText(build, before)) === text ? "(unchanged)" : text;
}

async function graphsText({ programs }: Build, stage: Stage): Promise<string> {
  const { printGraph } = await import("../graph/print.ts");
  const { opOf } = await import("../ops/index.ts");
  const graphs = programs.stages.find((one) => one.stage === stage)?.graphs ?? [];
  return graphs.map((graph) => printGraph(graph, (node) => opOf(node).formula(node))).join("\n\n");
}
